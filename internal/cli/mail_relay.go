package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/policy"
	"starttls/internal/relay"
)

// backendMX is how a backend begins that is the servers of each recipient's domain.
const backendMX = "mx:"

// passesMail reports whether a backend takes whole messages, one by one, and not a client's connection: it
// is found for each recipient, or we log in to it ourselves.
func passesMail(backend string) bool {
	_, query, _ := strings.Cut(backend, "?")
	options, _ := url.ParseQuery(query)
	return strings.HasPrefix(backend, backendMX) || options.Has("auth")
}

// relayed puts the relay behind.
func (a *assembly) relayed(r *running) (err error) {
	if r.Dialect != &dialect.SMTP && r.Dialect != &dialect.LMTP {
		return fmt.Errorf("%s in front: mail comes by smtp:// or lmtp://", r.Dialect.Name)
	}
	o := &outbound{log: a.log}
	o.Config = relay.Config{Name: r.Name, Dialect: r.Dialect, Log: a.log, MaxConns: a.MaxConns, MaxPerAddr: a.MaxPerAddr}
	o.TLS = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(0), DynamicRecordSizingDisabled: true}
	if a.CA != "" {
		if o.TLS.RootCAs, err = readRoots("--ca", a.CA); err != nil {
			return err
		}
	}
	if strings.HasPrefix(a.servers[0], backendMX) {
		err = a.exchangers(r, o)
	} else {
		err = a.smarthost(r, o)
	}
	if err != nil {
		return err
	}
	r.outbound = o
	return nil
}

// admit reads who may hand mail in, and tells of what a listener for mail that is passed on does not do.
func (a *assembly) admit(r *running) (err error) {
	switch {
	case r.outbound == nil && len(a.Allow)+len(a.Alarm)+len(a.Collector) > 0:
		return fmt.Errorf("allow, alarm and tlsrpt-socket are for backends that pass mail on, such as %s", backendMX)
	case r.outbound == nil:
		return nil
	case len(r.Front.Proxies) > 0 || r.Front.Detect > 0 || len(a.Backends) > 0:
		return fmt.Errorf("proxy=, detect= and further backends are not for the backend %s", a.servers[0])
	}
	r.outbound.socket = a.Collector
	if a.Alarm != "" {
		if r.outbound.hook, err = parseHook(a.Alarm, a.log); err != nil {
			return err
		}
	}
	for _, word := range a.Allow {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			return fmt.Errorf("%q: meant is a network, such as 192.0.2.0/24 or 2001:db8::/32", word)
		}
		r.outbound.Allow = append(r.outbound.Allow, p.Masked())
	}
	return nil
}

// exchangers sends each message to the servers of its recipients' domains.
func (a *assembly) exchangers(r *running, o *outbound) error {
	rest, query, _ := strings.Cut(strings.TrimPrefix(a.servers[0], backendMX), "?")
	options, err := url.ParseQuery(query)
	if err != nil || rest != "" {
		return fmt.Errorf("%s: meant is mx:?tls=auto", a.servers[0])
	}
	for key := range options {
		if key != "tls" && key != "stripped" && key != "loopback" {
			return fmt.Errorf("%s: unknown option %q; the options here are tls, stripped, loopback", a.servers[0], key)
		}
	}
	level, err := starttls.ParseLevel(cmp.Or(options.Get("tls"), starttls.Auto.String()))
	if err != nil {
		return err
	}
	plans, err := planOptions(level, options.Get("stripped"))
	if err != nil {
		return err
	}
	switch word := options.Get("loopback"); word {
	case "", "no":
		o.NotHere = a.lab == nil
	case "yes":
	default:
		return fmt.Errorf("loopback=%s: meant is yes or no", word)
	}
	o.planner = &relay.Planner{Options: plans}
	o.evidence = evidenceFlags{dns: dnsFlags{mode: a.file.DNS.Mode, servers: a.file.DNS.Servers, anchors: a.file.DNS.Anchors, bogus: a.file.DNS.Bogus, probe: a.file.DNS.Probe}, ca: a.CA, overrides: a.file.Overrides, within: a.lab}
	o.store = storeFlags{url: a.file.Store.URL, state: cmp.Or(a.file.State, defaultState())}
	if _, err := o.evidence.dns.resolver(); err != nil {
		return err
	}
	if _, err := o.evidence.readOverrides(); err != nil {
		return err
	}
	r.back = "the servers of each recipient's domain (tls=" + level.String() + ")"
	if a.lab != nil {
		r.back += ", in the lab"
	}
	return nil
}

// smarthost sends all messages to one server, and logs in there.
func (a *assembly) smarthost(r *running, o *outbound) error {
	e, err := starttls.ParseEndpoint(a.servers[0], "tls", "match", "auth", "secret", "mech")
	if err != nil {
		return err
	}
	if e.Dialect != &dialect.SMTP || e.Network != "tcp" || e.Host == "" {
		return fmt.Errorf("%s: a server to log in to is submission://HOST, submissions://HOST or smtp://HOST", a.servers[0])
	}
	demand := policy.Override{Level: starttls.Secure}
	if e.Local() && !e.Implicit {
		demand.Level = starttls.None
	}
	if word := e.Options.Get("tls"); word != "" {
		if demand.Level, err = starttls.ParseLevel(word); err != nil {
			return err
		}
	}
	if !e.Local() && (demand.Level < starttls.Verify || demand.Level > starttls.Secure) {
		return fmt.Errorf("tls=%s: a login is for verified servers; meant is verify or secure", demand.Level)
	}
	if name := e.Options.Get("match"); name != "" {
		demand.Names = []string{name}
	}
	if o.Auth, err = loginOf(e.Options); err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(e.Address)
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	o.Implicit, o.Next = e.Implicit, "["+e.Host+"]:"+port
	o.Plan = relay.Smarthost(e.Host, uint16(number), demand)
	r.back = fmt.Sprintf("%s as %s (tls=%s)", e, o.Auth.User, demand.Level)
	return nil
}

// loginOf reads how to log in.
func loginOf(options url.Values) (*relay.Auth, error) {
	auth := &relay.Auth{User: options.Get("auth"), Mech: strings.ToUpper(options.Get("mech"))}
	if auth.User == "" {
		return nil, errors.New("auth= needs a user")
	}
	if auth.Mech != "" && !slices.Contains(relay.Mechs, auth.Mech) {
		return nil, fmt.Errorf("mech=%s: the mechanisms are %s", options.Get("mech"), strings.ToLower(strings.Join(relay.Mechs, ", ")))
	}
	kind, rest, _ := strings.Cut(options.Get("secret"), ":")
	switch kind {
	case "file":
		auth.Secret = func(context.Context) (string, error) { return firstLine(os.ReadFile(rest)) }
		_, err := auth.Secret(context.Background())
		if err != nil {
			return nil, failed(fmt.Errorf("secret: %w", err))
		}
	case "command":
		auth.Secret = func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, secretTimeout)
			defer cancel()
			return firstLine(exec.CommandContext(ctx, "sh", "-c", rest).Output())
		}
	default:
		return nil, errors.New("auth= needs secret=file:PATH or secret=command:COMMAND, which has the password or token on its first line")
	}
	return auth, nil
}

// secretTimeout is for a command that tells the secret: it may have to ask for a token.
const secretTimeout = 20 * time.Second

// firstLine returns the secret in what was read.
func firstLine(text []byte, err error) (string, error) {
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	if err == nil && line == "" {
		err = errors.New("it is empty")
	}
	return line, err
}
