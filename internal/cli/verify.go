package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"starttls"
	"starttls/internal/verify"
)

func newVerify(std streams) *cobra.Command {
	return &cobra.Command{
		Use:   "verify LISTEN [BACKEND]",
		Short: "attack a running gateway's listener and its backend, and say what held",
		Long: `Run the attack table against the listener of a gateway that runs, and against its
backend if that is named and has an upgrade of its own: a line for each row. LISTEN and
BACKEND are written as they were for the gateway; say tls=encrypt in LISTEN if TLS is
demanded there.

Exit status: 0 all rows held; 1 one was broken; 2 it could not be reached, or
offers no TLS; 64 wrong usage.`,
		Example: `  starttls gateway verify smtp://127.0.0.1:2525
  starttls gateway verify 'imap://:143?tls=encrypt' 'imap://old.example.org?tls=encrypt'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return fmt.Errorf("verify takes LISTEN and, if you like, BACKEND; got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			broken := 0
			for i, url := range args {
				n, err := verifyOne(cmd.Context(), std, url, i == 0)
				if err != nil {
					return err
				}
				broken += n
			}
			if broken > 0 {
				return failure{statusRefused, fmt.Errorf("%d rows were broken", broken)}
			}
			return nil
		},
	}
}

// verifyOne attacks one side of a route and returns how many rows were broken.
func verifyOne(ctx context.Context, std streams, url string, listener bool) (int, error) {
	e, err := starttls.ParseEndpoint(url, "tls", "detect", "sts", "proxy", "client-cert", "match", "min-version", "dial", "client")
	if err != nil {
		return 0, err
	}
	if listener {
		e = e.Reachable()
	}
	fmt.Fprintf(std.out, "%s\n", e)
	if !listener && !e.Implicit && e.Local() && e.Options.Get("tls") == "" {
		fmt.Fprintln(std.out, "  n/a     the backend has no TLS, and nothing to attack")
		return 0, nil
	}
	target := verify.Target{
		Endpoint: e,
		Demands:  listener && e.Options.Get("tls") == starttls.Encrypt.String(),
		TLS:      &tls.Config{InsecureSkipVerify: true, ServerName: e.Options.Get("match"), MinVersion: tls.VersionTLS10},
	}
	broken, err := verify.Run(ctx, target, func(r verify.Result) {
		fmt.Fprintf(std.out, "  %-7s %-7s %s: %s\n", r.Verdict, r.ID, r.Claim, r.Detail)
	})
	if errors.Is(err, starttls.ErrNotOffered) {
		err = fmt.Errorf("%s answers and offers no TLS: there is nothing to attack", e)
	}
	return broken, failed(err)
}
