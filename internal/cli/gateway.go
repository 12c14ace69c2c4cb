package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"starttls"
	"starttls/internal/config"
)

// gatewayFlags are the flags of the one-line form.
type gatewayFlags struct {
	config               string
	check                bool
	certs, keys          []string
	backends             []string // NAME=URL
	balance              string
	allow                []string
	alarm, collector     string
	dns                  dnsFlags
	store, overrides     string
	lab                  bool
	ca, clientCA         string
	state, name, user    string
	minVersion           string
	logLevel, logFormat  string
	metrics              string
	anywhere             bool
	timeout, idle, grace time.Duration
	maxConns, maxPerAddr int
}

// gatewayHelp is what "gateway --help" says.
func gatewayHelp() string {
	return `Listen at LISTEN and pass each connection on to BACKEND, with TLS put on either side.

Endpoints are URLs, scheme://host:port?option=value, or scheme+unix:/path.
  ` + strings.Join(starttls.Schemes(), " ") + `
A scheme with an s at its end is implicit TLS, from the first byte.

Options of LISTEN
  tls=may       offer STARTTLS, serve clients without TLS as well (default)
  tls=encrypt   nothing but the way to TLS without it
  tls=none      no TLS
  detect=200ms  where the server speaks first: wait so long for a client that begins
                with TLS at once, and serve it too
  sts=port=6697,duration=2592000
                IRC: tell clients in the clear to come back to that port with TLS, and
                those inside TLS to come no other way for so many seconds
  proxy=10.0.0.0/8,192.0.2.1
                connections from there begin with a PROXY header (HAProxy's, version 1 or
                2) that says who the client is, or are ended
  client-cert=ask
                clients may show a certificate, which must be good by --client-ca, and is
                told on in the log and by proxy=2 behind; "demand": they must
Options of BACKEND
  tls=none      no TLS (default on this machine)
  tls=may       TLS if it is offered, unverified
  tls=encrypt   TLS or nothing, unverified
  tls=verify    TLS, and the certificate must be for the host
  tls=secure    the same, with a name that is not from DNS (default for other hosts)
  match=NAME    the name that the certificate must be for
  min-version=1.2
  dial=early    dial when a client comes, also where TLS is demanded of it; else (late)
                such a backend is dialled when TLS has begun
  proxy=2       begin with a PROXY header of that version, 1 or 2, which says who the
                client is; 2, dialled late, also tells of its TLS
  client=xclient
                (SMTP, LMTP, POP3, ManageSieve) say who the client is by XCLIENT, or by
  client=id     (IMAP) fields of ID; Postfix and Dovecot take them from whom they trust

BACKEND mx: is for outbound mail: the servers of each recipient's domain, smtp:// or
lmtp:// in front. The message passes through while the client waits; nothing is kept.
  tls=auto      for each server DANE, else MTA-STS, else TLS if it is offered (default);
                or one of the levels above, dane and dane-only
  stripped=deliver
                a server that gave TLS before and offers none now: let mail go, and
                raise the alarm (default: delay)
  loopback=yes  servers may be at 127.0.0.1 and its like: for tests, such as "starttls lab"
BACKEND submission://HOST?auth=USER is a server that we log in to ourselves.
  secret=file:PATH, secret=command:COMMAND
                the password, or the token, on the first line
  mech=xoauth2  (default: the best for passwords that is offered)
Both take mail from this machine, and from each --allow NETWORK. See docs/relay.md.

--backend is for names that clients ask for by SNI, or in XMPP and MTQP in the clear; with
PostgreSQL also for database:NAME and user:NAME, which clients say when they log in.
Where the server speaks first and is dialled at once, nobody could have named any.

Several BACKENDs are servers that do the same. One that cannot be reached is passed over.
Each is checked every ten seconds, through the upgrade and with its certificate; one that
has failed three times is not dialled until it is well. See --balance.

Without BACKEND a built-in try-out server answers. Without --cert a self-signed
certificate is made and kept in the state folder, which is --state, else $STATE_DIRECTORY (as
systemd sets it), else $XDG_STATE_HOME/starttls, else ~/.local/state/starttls.

--config reads any number of routes from a file, in the same words; see docs/config.md.

SIGHUP reads certificates again, and the file: new routes are opened, those that are gone
let their sessions end, and those that are as before are not touched. If there is a mistake
in the file, everything stays as it was. SIGUSR2 starts the program anew, as it is on disk
now, on the same sockets: no connection is lost, and the old instance ends with its last
session or after --grace. SIGTERM stops: no new connections, the others may
end within --grace; a second one stops at once.

Exit status: 0 stopped by a signal; 2 a listener could not be opened or failed, or a file
could not be read; 64 wrong usage, or a mistake in the file.`
}

func newGateway(std streams) *cobra.Command {
	var f gatewayFlags
	cmd := &cobra.Command{
		Use: "gateway {LISTEN [BACKEND...] | --config FILE}",
		// "verify" is a command of its own below this one.
		TraverseChildren: true,
		Short:            "TLS in front of, or behind, any of the protocols",
		Long:             gatewayHelp(),
		Example: `  starttls gateway smtp://127.0.0.1:2525
  starttls gateway 'imap://:143' 'imap://127.0.0.1:1143' --cert mail.pem --key mail.key
  starttls gateway 'ldap://:389?tls=encrypt' 'ldap://127.0.0.1:1389'
  starttls gateway 'smtp://127.0.0.1:2525?tls=none' 'submission://mail.example.org'
  starttls gateway 'imaps://:993' 'imap://old.example.org?tls=encrypt'
  starttls gateway xmpp://:5222 xmpp://127.0.0.1:15222 --backend b.example=xmpp://127.0.0.1:25222
  starttls gateway 'smtp://127.0.0.1:2525?tls=none' 'mx:?tls=auto'
  starttls gateway 'smtp://127.0.0.1:2525?tls=none' mx: --lab
  starttls gateway smtp://192.0.2.1:2525 'submission://mail.example.org?auth=printer&secret=file:/etc/printer.secret' --allow 192.0.2.0/24
  starttls gateway 'imap://:143' imap://10.0.0.1 imap://10.0.0.2 --balance least
  starttls gateway --config starttls.toml --check`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.config == "" && f.check:
				return errors.New("--check is for --config")
			case f.config == "" && len(args) < 1:
				return errors.New("gateway takes LISTEN and, if you like, BACKEND; got no arguments")
			case f.config != "" && len(args) > 0:
				return errors.New("gateway takes LISTEN or --config, not both")
			case f.lab && (len(args) < 2 || !strings.HasPrefix(args[1], backendMX)):
				return errors.New("--lab is for the backend " + backendMX + " alone")
			}
			return cmp.Or(f.alone(cmd.Flags()), f.unused(cmd.Flags(), args))
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			s := &service{std: std, read: func() (*config.File, error) { return f.file(args) }}
			if f.lab {
				l, err := startLab()
				if err != nil {
					return err
				}
				defer l.Close()
				s.lab = l
			}
			if f.config != "" {
				s.read = f.readConfig
			}
			if f.check {
				return s.check()
			}
			return s.run(cmd.Context())
		},
	}
	f.add(cmd.Flags())
	cmd.AddCommand(newVerify(std))
	return cmd
}

// add adds the flags to those of a command.
func (f *gatewayFlags) add(fs *pflag.FlagSet) {
	fs.SortFlags = false
	fs.StringVar(&f.config, "config", "", "read routes and all else from `FILE`")
	fs.BoolVar(&f.check, "check", false, "read the file, tell what is wrong with it, and serve nothing")
	fs.StringArrayVar(&f.certs, "cert", nil, "certificate chain, PEM `FILE`; again for more names, chosen by SNI")
	fs.StringArrayVar(&f.keys, "key", nil, "its key, PEM `FILE` (default: in the --cert file)")
	fs.StringArrayVar(&f.backends, "backend", nil, "`NAME=URL`: another backend, for clients that ask for NAME; again for more")
	fs.StringVar(&f.balance, "balance", "", "which of several backends that are well: first, round-robin, least, the one with the fewest sessions (default first)")
	fs.StringArrayVar(&f.allow, "allow", nil, "`NETWORK` that may hand mail in for mx:, besides this machine; again for more")
	fs.StringVar(&f.alarm, "alarm", "", "tell of alarms of mx: at `URL`, or by command:COMMAND; JSON")
	fs.StringVar(&f.collector, "tlsrpt-socket", "", "hand the sessions of mx: to the collector of a tlsrpt-reporter at the socket `PATH`")
	fs.StringVar(&f.store, "store", "", "keep what mx: learns at `URL`, sqlite:PATH or postgres://USER@HOST/DATABASE (default: a file in the state folder)")
	fs.StringVar(&f.overrides, "overrides", "", "for mx:, `FILE` of what is demanded of single destinations; each line as in Postfix: example.org secure match=mx.example.org")
	f.dns.add(fs)
	fs.BoolVar(&f.lab, "lab", false, "mx: is the built-in lab and not the Internet, see \"starttls lab --list\"")
	fs.StringVar(&f.ca, "ca", "", "trust these certificates for the backend, PEM `FILE` (default: the system's)")
	fs.StringVar(&f.clientCA, "client-ca", "", "trust these certificates for clients, PEM `FILE`; for client-cert= of LISTEN")
	fs.StringVar(&f.state, "state", defaultState(), "folder for what the program keeps")
	fs.StringVar(&f.user, "user", "", "when root has started it: open the sockets, and become `NAME` or NAME:GROUP before anything else")
	fs.StringVar(&f.name, "name", "", "how the gateway calls itself, in greetings and as route in the log (default: the host's name; in the log scheme and port)")
	fs.StringVar(&f.minVersion, "min-version", "1.2", "lowest TLS `VERSION` towards clients: 1.0, 1.1, 1.2, 1.3")
	fs.DurationVar(&f.timeout, "timeout", 0, "for the whole way to TLS (default 1m, 5m where TLS is optional)")
	fs.DurationVar(&f.idle, "idle", 12*time.Hour, "end a session on which nothing was sent for so long")
	fs.DurationVar(&f.grace, "grace", 30*time.Second, "on SIGTERM: how long sessions may still last")
	fs.IntVar(&f.maxConns, "max-connections", 10_000, "at the same time")
	fs.IntVar(&f.maxPerAddr, "max-per-address", 500, "at the same time from one address")
	fs.StringVar(&f.metrics, "metrics", "", "show a status page, /metrics for Prometheus and /healthz at `HOST:PORT`, by HTTP")
	fs.BoolVar(&f.anywhere, "anywhere", false, "let --metrics be seen from other machines")
	fs.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn, error")
	fs.StringVar(&f.logFormat, "log-format", "text", "text, json")
}

// alone tells of flags that were given beside --config, and would not count.
func (f *gatewayFlags) alone(flags *pflag.FlagSet) (err error) {
	if f.config == "" {
		return nil
	}
	flags.Visit(func(flag *pflag.Flag) {
		if flag.Name != "config" && flag.Name != "check" && err == nil {
			err = fmt.Errorf("--%s beside --config: write it into the file", flag.Name)
		}
	})
	return err
}

// onlyMail are the flags that mean nothing without mx:.
var onlyMail = []string{"store", "overrides", "dns-server", "dns-mode", "dns-anchors", "dns-probe", "dns-bogus"}

// unused tells of a flag of the one-line form that would not count.
func (f *gatewayFlags) unused(flags *pflag.FlagSet, args []string) error {
	if f.config != "" {
		return nil
	}
	switch {
	case f.anywhere && f.metrics == "":
		return errors.New("--anywhere is for --metrics")
	case f.ca != "" && len(args) < 2 && len(f.backends) == 0:
		return errors.New("--ca is for a BACKEND")
	}
	for _, name := range onlyMail {
		if flags.Changed(name) && (len(args) < 2 || !strings.HasPrefix(args[1], backendMX)) {
			return fmt.Errorf("--%s is for the backend %s alone", name, backendMX)
		}
	}
	return nil
}

// readConfig reads the file.
func (f *gatewayFlags) readConfig() (*config.File, error) {
	text, err := os.ReadFile(f.config)
	if err != nil {
		return nil, failed(fmt.Errorf("--config: %w", err))
	}
	return config.Read(f.config, text)
}

// file returns what the one-line form says, as a file would.
func (f *gatewayFlags) file(args []string) (*config.File, error) {
	if err := f.checkNumbers(); err != nil {
		return nil, err
	}
	certs, err := pairs(f.certs, f.keys)
	if err != nil {
		return nil, err
	}
	route := config.Route{
		Name: f.name, Listen: args[0], Backend: args[1:], Balance: f.balance, Certificates: certs, CA: f.ca, ClientCA: f.clientCA, MinVersion: f.minVersion,
		Timeout: f.timeout.String(), Idle: f.idle.String(), MaxConns: f.maxConns, MaxPerAddr: f.maxPerAddr,
		Backends: make(map[string]string), Allow: f.allow, Alarm: f.alarm, Collector: f.collector,
	}
	for _, pair := range f.backends {
		name, url, ok := strings.Cut(pair, "=")
		if !ok || name == "" || strings.Contains(name, "/") {
			return nil, fmt.Errorf("--backend %s: meant is NAME=URL", pair)
		}
		if route.Backends[name] != "" {
			return nil, fmt.Errorf("--backend %s: %s has one already", pair, name)
		}
		route.Backends[name] = url
	}
	return &config.File{
		State: f.state, User: f.user, Grace: f.grace.String(), Overrides: f.overrides, Routes: []config.Route{route},
		Log:     config.Log{Level: f.logLevel, Format: f.logFormat},
		Metrics: config.Metrics{Listen: f.metrics, Anywhere: f.anywhere},
		DNS:     config.DNS{Mode: f.dns.mode, Servers: f.dns.servers, Anchors: f.dns.anchors, Bogus: f.dns.bogus, Probe: f.dns.probe},
		Store:   config.Store{URL: f.store},
	}, nil
}

// checkNumbers tells of a flag that is below zero.
func (f *gatewayFlags) checkNumbers() error {
	for _, n := range []struct {
		flag  string
		below bool
	}{
		{"timeout", f.timeout < 0}, {"idle", f.idle < 0}, {"grace", f.grace < 0},
		{"max-connections", f.maxConns < 0}, {"max-per-address", f.maxPerAddr < 0},
	} {
		if n.below {
			return fmt.Errorf("--%s is below zero", n.flag)
		}
	}
	return nil
}
