package cli

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starttls"
	"starttls/internal/cert"
	"starttls/internal/gateway"
)

// gatewayFlags are the flags of the one-line form.
type gatewayFlags struct {
	certs, keys          []string
	backends             []string // NAME=URL
	ca, state, name      string
	minVersion           string
	logLevel, logFormat  string
	timeout, idle, grace time.Duration
	maxConns, maxPerAddr int
}

func newGateway(std streams) *cobra.Command {
	var f gatewayFlags
	cmd := &cobra.Command{
		Use: "gateway LISTEN [BACKEND]",
		// "verify" is a command of its own below this one.
		TraverseChildren: true,
		Short:            "TLS in front of, or behind, any of the protocols",
		Long: `Listen at LISTEN and pass each connection on to BACKEND, with TLS put on either side.

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

--backend is for names that clients ask for by SNI, or in XMPP and MTQP in the clear.
Where the server speaks first and is dialled at once, nobody could have named any.

Without BACKEND a built-in try-out server answers. Without --cert a self-signed
certificate is made and kept in the state folder.

SIGHUP reads certificates again. SIGTERM stops: no new connections, the others may
end within --grace; a second one stops at once.`,
		Example: `  starttls gateway smtp://127.0.0.1:2525
  starttls gateway 'imap://:143' 'imap://127.0.0.1:1143' --cert mail.pem --key mail.key
  starttls gateway 'ldap://:389?tls=encrypt' 'ldap://127.0.0.1:1389'
  starttls gateway 'smtp://127.0.0.1:2525?tls=none' 'submission://mail.example.org'
  starttls gateway 'imaps://:993' 'imap://old.example.org?tls=encrypt'
  starttls gateway xmpp://:5222 xmpp://127.0.0.1:15222 --backend b.example=xmpp://127.0.0.1:25222`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return fmt.Errorf("gateway takes LISTEN and, if you like, BACKEND; got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.route(std, args)
			if err != nil {
				return err
			}
			return r.serve(cmd.Context(), std)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringArrayVar(&f.certs, "cert", nil, "certificate chain, PEM `FILE`; again for more names, chosen by SNI")
	fs.StringArrayVar(&f.keys, "key", nil, "its key, PEM `FILE` (default: in the --cert file)")
	fs.StringArrayVar(&f.backends, "backend", nil, "`NAME=URL`: another backend, for clients that ask for NAME; again for more")
	fs.StringVar(&f.ca, "ca", "", "trust these certificates for the backend, PEM `FILE` (default: the system's)")
	fs.StringVar(&f.state, "state", defaultState(), "folder for what the program keeps")
	fs.StringVar(&f.name, "name", "", "how the gateway calls itself, in greetings and as route in the log (default: the host's name)")
	fs.StringVar(&f.minVersion, "min-version", "1.2", "lowest TLS `VERSION` towards clients: 1.0, 1.1, 1.2, 1.3")
	fs.DurationVar(&f.timeout, "timeout", 0, "for the whole way to TLS (default 1m, 5m where TLS is optional)")
	fs.DurationVar(&f.idle, "idle", 12*time.Hour, "end a session on which nothing was sent for so long")
	fs.DurationVar(&f.grace, "grace", 30*time.Second, "on SIGTERM: how long sessions may still last")
	fs.IntVar(&f.maxConns, "max-connections", 10_000, "at the same time")
	fs.IntVar(&f.maxPerAddr, "max-per-address", 500, "at the same time from one address")
	fs.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn, error")
	fs.StringVar(&f.logFormat, "log-format", "text", "text, json")
	cmd.AddCommand(newVerify(std))
	return cmd
}

// logger returns the log that the flags ask for.
func (f *gatewayFlags) logger(std streams) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, fmt.Errorf("unknown --log-level %q; the levels are debug, info, warn, error", f.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(std.err, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(std.err, options)), nil
	}
	return nil, fmt.Errorf("unknown --log-format %q; the formats are text, json", f.logFormat)
}

// A running route is what the command line asks for, ready to be served.
type running struct {
	gateway.Route
	listen starttls.Endpoint
	back   string   // for people
	others []string // further backends, for people
	certs  *cert.Store
	made   bool // the self-signed certificate is new
	self   bool // the certificate is self-signed by us
	grace  time.Duration
}

// route turns arguments and flags into a route. Nothing is opened yet but the files of certificates.
func (f *gatewayFlags) route(std streams, args []string) (*running, error) {
	log, err := f.logger(std)
	if err != nil {
		return nil, err
	}
	if err := f.checkNumbers(); err != nil {
		return nil, err
	}
	listen, err := starttls.ParseEndpoint(args[0], "tls", "detect", "sts")
	if err != nil {
		return nil, err
	}
	if f.name == "" {
		f.name = hostname()
	}
	r := &running{listen: listen, grace: f.grace, Route: gateway.Route{
		Name: f.name, Dialect: listen.Dialect, Log: log,
		Timeout: f.timeout, Idle: f.idle, MaxConns: f.maxConns, MaxPerAddr: f.maxPerAddr,
	}}
	if len(args) == 2 {
		r.Back, r.back, err = f.behind(r, args[1])
	} else {
		err = f.tryout(r, std)
	}
	if err != nil {
		return nil, err
	}
	if err := f.level(r); err != nil {
		return nil, err
	}
	if err := f.others(r); err != nil {
		return nil, err
	}
	return r, f.front(r) // last: it may make a certificate
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

// level fills in how much TLS is demanded of clients.
func (f *gatewayFlags) level(r *running) (err error) {
	front := &r.Front
	front.Implicit, front.Level = r.listen.Implicit, starttls.May
	if front.Implicit {
		front.Level = starttls.Encrypt
	}
	if word := r.listen.Options.Get("tls"); word != "" {
		if front.Level, err = starttls.ParseLevel(word); err != nil {
			return err
		}
		if front.Level > starttls.Encrypt {
			return fmt.Errorf("tls=%s: a listener's tls is none, may or encrypt", word)
		}
		if front.Implicit && front.Level != starttls.Encrypt {
			return fmt.Errorf("tls=%s: %s is TLS from the first byte", word, r.listen.Scheme)
		}
	}
	if word := r.listen.Options.Get("detect"); word != "" {
		if front.Detect, err = time.ParseDuration(word); err != nil || front.Detect < 0 {
			return fmt.Errorf("detect=%s: meant is a time such as 200ms", word)
		}
	}
	if front.STS = r.listen.Options.Get("sts"); front.STS == "" {
		return nil
	}
	if r.Dialect.STS == nil {
		return fmt.Errorf("sts=%s: %s has no word for that", front.STS, r.Dialect.Name)
	}
	if err := r.Dialect.STS(front.STS); err != nil {
		return fmt.Errorf("sts=%s: %w", front.STS, err)
	}
	return nil
}

// front fills in the certificates that clients are shown.
func (f *gatewayFlags) front(r *running) (err error) {
	front := &r.Front
	version, err := parseVersion(f.minVersion)
	if err != nil || front.Level == starttls.None {
		return err
	}
	all, err := pairs(f.certs, f.keys)
	if err != nil {
		return err
	}
	if len(all) > 0 {
		r.certs, err = cert.Load(all...)
	} else {
		r.self = true
		r.certs, r.made, err = cert.SelfSigned(f.state, f.name)
	}
	if err != nil {
		return failed(err)
	}
	r.certs.Log = r.Log
	r.certs.Strict = !r.self && r.Dialect.ALPN != nil
	front.TLS = withVersion(&tls.Config{GetCertificate: r.certs.GetCertificate}, version)
	if version < tls.VersionTLS12 {
		r.Log.Warn("clients may use a TLS version that is no longer safe (RFC 8996)", "min_version", f.minVersion)
	}
	return nil
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}

// announce tells a person what was started and with which certificate.
func (r *running) announce(std streams, addr net.Addr) {
	how := map[starttls.Level]string{
		starttls.None:    "no TLS",
		starttls.May:     "TLS offered, clients without it are served",
		starttls.Encrypt: "TLS demanded",
	}[r.Front.Level]
	if r.Front.Implicit {
		how = "TLS from the first byte"
	}
	where := r.listen.Scheme + "://" + addr.String()
	if r.listen.Network == "unix" {
		where = r.listen.String()
	}
	fmt.Fprintf(std.out, "listening  %s (%s)\n", where, how)
	for _, back := range append([]string{r.back}, r.others...) {
		fmt.Fprintf(std.out, "backend    %s\n", back)
	}
	if r.certs == nil {
		return
	}
	c := r.certs.First()
	kind := fmt.Sprintf("%s, until %s", c.Subject, c.NotAfter.Format(time.DateOnly))
	if r.self {
		kind = "self-signed, kept in the state folder"
	}
	if r.self && c.VerifyHostname(r.Name) != nil {
		kind = fmt.Sprintf("self-signed for %s and kept in the state folder; remove it there to have one for %s", c.Subject.CommonName, r.Name)
	}
	if r.made {
		kind = "self-signed, made now and kept in the state folder"
	}
	fmt.Fprintf(std.out, "certificate %s\n  SHA-256  %s\n  TLSA     %s\n", kind, cert.Fingerprint(c), cert.TLSA(c))
}
