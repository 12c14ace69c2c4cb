package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starttls/internal/check"
	"starttls/internal/finding"
	"starttls/internal/report"
)

type checkFlags struct {
	format, name, explain  string
	evidence               evidenceFlags
	standards              []string
	all, quick             bool
	budget                 int
	gap, timeout, patience time.Duration
}

func newCheck(std streams) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check TARGET...",
		Short: "audit a mail domain or a service, and say what to mend",
		Long: `Ask each TARGET, and say what was found: is TLS offered, what passes before it, can
somebody on the path put words into it or take it away, what TLS is worth.

TARGET is a mail domain, example.org: its MX hosts at all their addresses, DNSSEC, DANE
and MTA-STS against what the hosts show, TLS-RPT, and what senders would do with a message
now. Or it is the URL of a service, in-band or implicit: smtp://mx.example.org,
imaps://mail.example.org. Add ?match=NAME if the certificate is to be for another name
than the host.

To an address there is one connection at a time and at most --connections of them. No
account is needed, no mail is delivered. A server that puts us off (421, a tarpit) is
come back to once, and then reported as not testable, which is not the same as "no TLS".

Exit status: 0 nothing is insufficient; 1 something is; 2 nothing was reached or could be
tested; 64 wrong usage.`,
		Example: `  starttls check example.org
  starttls check imap://mail.example.org
  starttls check --lab dane-ee.test
  starttls check smtp://127.0.0.1:2525 ldap://127.0.0.1:389 --format json
  starttls check --explain clear.command-injection`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && f.explain == "" {
				return errors.New("check takes TARGETs, such as example.org or imap://mail.example.org")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.explain != "" {
				return explain(std.out, f.explain, f.format)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			return f.run(ctx, std, args)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.format, "format", "text", "text, json")
	fs.BoolVar(&f.all, "all", false, "show what is as it should be, too")
	fs.BoolVar(&f.quick, "quick", false, "one connection to each address")
	fs.StringSliceVar(&f.standards, "standard", []string{"rfc9325"}, "judge by these standards (comma or repeat): "+strings.Join(standardIDs(), ", "))
	fs.StringVar(&f.explain, "explain", "", "say what finding `ID` means and how to mend it; all lists them")
	fs.StringVar(&f.name, "name", "", "how we call ourselves (default: the host's name)")
	fs.IntVar(&f.budget, "connections", 20, "at most so many to one address")
	fs.DurationVar(&f.gap, "gap", 0, "at least so long between two of them")
	fs.DurationVar(&f.timeout, "timeout", 10*time.Second, "for each conversation")
	fs.DurationVar(&f.patience, "patience", 5*time.Second, "how long to wait before we come back to a server that puts us off")
	f.evidence.add(fs)
	fs.Lookup("ca").Usage = "authorities that clients and senders trust, PEM `FILE` (default: the system's)"
	return cmd
}

func standardIDs() (ids []string) {
	for _, s := range finding.Standards {
		ids = append(ids, s.ID)
	}
	return ids
}

// explain prints what a finding means, or all of them.
func explain(w io.Writer, id, format string) error {
	switch {
	case id == "all" && format == "markdown":
		fmt.Fprint(w, finding.Markdown())
		return nil
	case id == "all":
		for _, e := range finding.Catalogue() {
			fmt.Fprintf(w, "%-30s %s\n", e.ID, e.Title)
		}
		return nil
	}
	e, ok := finding.ByID(id)
	if !ok {
		return fmt.Errorf("unknown finding %q; --explain all lists them", id)
	}
	fmt.Fprint(w, e.Explain())
	return nil
}

// config makes the checker's.
func (f *checkFlags) config() (c check.Config, err error) {
	c = check.Config{Name: f.name, Budget: f.budget, Gap: f.gap, Timeout: f.timeout, Patience: f.patience}
	if c.Name == "" {
		c.Name = hostname()
	}
	if f.quick {
		c.Depth = check.Quick
	}
	for _, id := range f.standards {
		s, err := finding.StandardByID(id)
		if err != nil {
			return c, err
		}
		c.Standards = append(c.Standards, s)
	}
	if f.evidence.ca != "" {
		c.Roots, err = readRoots(f.evidence.ca)
	}
	return c, err
}

func (f *checkFlags) run(ctx context.Context, std streams, args []string) error {
	show, err := f.shower(std)
	if err != nil {
		return err
	}
	var targets []check.Target
	for _, arg := range args {
		t, err := check.ParseTarget(arg)
		if err != nil {
			return err
		}
		targets = append(targets, t)
	}
	config, err := f.config()
	if err != nil {
		return err
	}
	if f.evidence.lab || slices.ContainsFunc(targets, func(t check.Target) bool { return t.Domain != nil }) {
		e, err := f.evidence.open(nil, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		defer e.close()
		if err := e.prove(ctx); err != nil {
			fmt.Fprintf(std.err, "starttls: the DNS is not fit, what needs DNSSEC cannot be told: %v\n", err)
		}
		if config.Mail = e.gather; e.lab != nil {
			config.Dial, config.Roots = e.lab.Dial, e.lab.Roots()
		}
	}
	checker := check.New(config)
	var sum tally
	for _, t := range targets {
		r, err := checker.Check(ctx, t)
		if err != nil {
			return failed(err)
		}
		sum.add(r)
		if err := show(r); err != nil {
			return failed(err)
		}
	}
	return sum.status()
}

// shower returns what writes a result in the format that was asked for.
func (f *checkFlags) shower(std streams) (func(*finding.Result) error, error) {
	switch f.format {
	case "text":
		text := report.Text{W: std.out, All: f.all}
		return func(r *finding.Result) error { text.Result(r); return nil }, nil
	case "json":
		return func(r *finding.Result) error { return report.JSON(std.out, r) }, nil
	}
	return nil, fmt.Errorf("unknown --format %q; the formats are text, json", f.format)
}

// A tally says what the exit status is.
type tally struct{ targets, reached, bad int }

func (t *tally) add(r *finding.Result) {
	t.targets++
	if r.Reached {
		t.reached++
	}
	if r.Verdict == finding.Insufficient {
		t.bad++
	}
}

func (t *tally) status() error {
	switch {
	case t.bad > 0:
		return failure{statusRefused, fmt.Errorf("%d of %d targets have findings that are insufficient", t.bad, t.targets)}
	case t.reached < t.targets:
		return failed(fmt.Errorf("%d of %d targets could not be reached or tested", t.targets-t.reached, t.targets))
	}
	return nil
}
