package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starttls/internal/socketmap"
	"starttls/internal/systemd"
)

// policyServeFlags are the flags of "policy serve".
type policyServeFlags struct {
	listen, table []string
	anywhere      bool
	postfix       string
	metrics       string
	evidence      evidenceFlags
	store         storeFlags
	log           logFlags
}

func newPolicyServe(std streams) *cobra.Command {
	var f policyServeFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "answer Postfix what a delivery must demand",
		Long: `Answer Postfix's smtp_tls_policy_maps: for each destination what the evidence demands,
DANE (RFC 7672), MTA-STS (RFC 8461) and the operator's own settings, in the words of
that version of Postfix.

Where to listen
  unix:PATH          a unix socket; everybody on this machine may ask
  inet:HOST:PORT     TCP, on this machine unless --anywhere is said
Without --listen it is inet:127.0.0.1:8461, or the sockets that systemd hands over; one
with FileDescriptorName=tcp-table is for --tcp-table's protocol.

In Postfix's main.cf
  smtp_tls_security_level = dane
  smtp_dns_support_level = dnssec
  smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfix

What is answered
  dane-only          each host has TLSA records
  dane               some host has; Postfix looks at each
  secure match=…     MTA-STS is enforced
  encrypt, and any other level, or fingerprint match=…
                     the operator demands it, by --overrides
  NOTFOUND           nothing is demanded: Postfix does as it is configured
  TEMP               DNS does not say what must be demanded: the mail waits
  PERM               the key is no destination, or there is no such table
The table is "postfix". The table "sts" is for Sendmail and Exim, and has nothing but what
MTA-STS demands.

SIGHUP drops all answers and reads files again. SIGTERM stops: what was asked is answered.

Exit status: 0 stopped; 2 could not be started; 64 wrong usage.`,
		Example: `  starttls policy serve
  starttls policy serve --listen unix:/var/spool/postfix/starttls/policy --postfix 3.10
  starttls policy serve --listen inet:127.0.0.1:8461 --metrics 127.0.0.1:9461
  postmap -q example.org socketmap:inet:127.0.0.1:8461:postfix`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("policy serve takes no arguments; got %q", args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), std) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringArrayVar(&f.listen, "listen", nil, "answer socketmap at unix:`PATH` or inet:HOST:PORT; may be said again")
	fs.StringArrayVar(&f.table, "tcp-table", nil, "answer tcp_table at inet:`HOST:PORT` as well; may be said again")
	fs.BoolVar(&f.anywhere, "anywhere", false, "let --listen, --tcp-table and --metrics be on other addresses than this machine's own: nothing protects what is said there")
	fs.StringVar(&f.postfix, "postfix", "auto", "the `VERSION` of Postfix that asks, 3.4 or later; auto asks postconf, and is 3.4 without it")
	fs.StringVar(&f.metrics, "metrics", "", "serve metrics for Prometheus at `HOST:PORT`, under /metrics, and /healthz")
	f.evidence.add(fs)
	f.store.add(fs)
	f.log.add(fs)
	return cmd
}

const defaultListen = "inet:127.0.0.1:8461"

// A listening is one listener with its protocol.
type listening struct {
	net.Listener
	protocol socketmap.Protocol
}

// open opens all listeners, or takes those of systemd.
func (f *policyServeFlags) open() (all []listening, err error) {
	defer func() {
		if err != nil {
			closeAll(all)
		}
	}()
	handed, err := systemd.Listeners()
	if err != nil {
		return nil, failed(err)
	}
	for _, s := range handed {
		protocol := socketmap.Socketmap
		if s.Name == "tcp-table" {
			protocol = socketmap.TCPTable
		}
		all = append(all, listening{s.Listener, protocol})
	}
	listen := f.listen
	if len(listen)+len(f.table)+len(handed) == 0 {
		listen = []string{defaultListen}
	}
	for _, side := range []struct {
		flag     string
		places   []string
		protocol socketmap.Protocol
	}{{"listen", listen, socketmap.Socketmap}, {"tcp-table", f.table, socketmap.TCPTable}} {
		for _, place := range side.places {
			ln, err := f.openAt(side.flag, place)
			if err != nil {
				return all, err
			}
			all = append(all, listening{ln, side.protocol})
		}
	}
	return all, nil
}

func closeAll(all []listening) {
	for _, ln := range all {
		ln.Close()
	}
}

// openAt opens a listener at a place in Postfix's words.
func (f *policyServeFlags) openAt(flag, place string) (net.Listener, error) {
	kind, address, _ := strings.Cut(place, ":")
	switch kind {
	case "unix":
		ln, err := open("unix", address)
		if err == nil {
			err = os.Chmod(address, 0o666) // who may ask is up to the folder
		}
		return ln, failed(err)
	case "inet":
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("--%s %s: meant is inet:HOST:PORT", flag, place)
		}
		if !isLoopback(host) && !f.anywhere {
			return nil, fmt.Errorf("--%s %s is not this machine alone, and nothing protects what is said there: say --anywhere if that is meant", flag, place)
		}
		ln, err := open("tcp", address)
		return ln, failed(err)
	}
	return nil, fmt.Errorf("--%s %s: meant is unix:PATH or inet:HOST:PORT", flag, place)
}

// version returns the version of Postfix, and how it is known.
func (f *policyServeFlags) version(ctx context.Context) (v socketmap.Version, how string, err error) {
	if f.postfix != "auto" {
		v, err = socketmap.ParseVersion(f.postfix)
		return v, "as told", err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	program, err := exec.LookPath("postconf")
	if err != nil {
		program = "/usr/sbin/postconf" // not in everybody's PATH
	}
	out, err := exec.CommandContext(ctx, program, "-d", "-h", "mail_version").Output()
	if err != nil {
		return socketmap.Oldest, "there is no postconf to ask", nil
	}
	v, err = socketmap.ParseVersion(string(out))
	return v, "says postconf", err
}
