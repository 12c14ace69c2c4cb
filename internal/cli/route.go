package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"starttls"
	"starttls/internal/cert"
	"starttls/internal/config"
	"starttls/internal/gateway"
	"starttls/internal/lab"
	"starttls/internal/relay"
)

// A running route is what the configuration asks for, ready to be served.
type running struct {
	gateway.Route
	listen   starttls.Endpoint
	back     string   // for people
	others   []string // further backends, for people
	servers  []string // of the pool, where they are
	certs    *cert.Store
	made     bool      // the self-signed certificate is new
	self     bool      // the certificate is self-signed by us
	state    string    // the folder in which that one is
	outbound *outbound // what passes mail on, nil if the gateway itself serves
}

// A server serves the clients of a listener.
type server interface {
	Serve(ctx context.Context, ln net.Listener) error
	Live() int
	Drain(ctx context.Context) (broken int)
}

// server returns a new one for the route, with a board to show it on.
func (r *running) server(b *board) server {
	if r.outbound == nil {
		return gateway.New(r.Route)
	}
	return r.outbound.open(r.Label, relay.Front{Level: r.Front.Level, Implicit: r.Front.Implicit, TLS: r.Front.TLS}, b)
}

// newLogger returns the log that is asked for.
func newLogger(std streams, file *config.File) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cmp.Or(file.Log.Level, "info"))); err != nil {
		return nil, file.Errorf("log.level", "unknown log level %q; the levels are debug, info, warn, error", file.Log.Level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch cmp.Or(file.Log.Format, "text") {
	case "text":
		return slog.New(slog.NewTextHandler(std.err, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(std.err, options)), nil
	}
	return nil, file.Errorf("log.format", "unknown log format %q; the formats are text, json", file.Log.Format)
}

// listenOptions are what a listener can be told.
var listenOptions = []string{"tls", "detect", "sts", "proxy", "client-cert"}

// An assembly puts one route of the configuration together.
type assembly struct {
	config.Route
	file *config.File
	key  string // of the route in the file
	std  streams
	log  *slog.Logger
	lab  *lab.Lab // what is behind mx:, nil for the world
	// tickets are shared with other nodes, or not.
	tickets *sharedTickets
	stapler *cert.Stapler
	// stores are those of the routes before this one, which it shares where files and strictness are the same.
	stores map[storeKey]*cert.Store
	// servers are the endpoints behind.
	servers []string
	// look says to look only: nothing is made on disk.
	look bool
}

// wrong tells a mistake at a key of the route, if it is not told already.
func (a *assembly) wrong(key string, err error) error {
	_, isFailure := errors.AsType[failure](err)
	if _, told := errors.AsType[*config.Mistake](err); told || isFailure {
		return err
	}
	return a.file.Errorf(a.key+"."+key, "%v", err)
}

// assembleRoutes turns the configuration's routes into ones that can be served. Nothing is opened yet but the
// files of certificates.
func (s *service) assembleRoutes(file *config.File, look bool) (all []*running, failed error) {
	if len(file.Routes) == 0 {
		return nil, file.Errorf("", "there is no [[route]]: nothing to serve")
	}
	stores, told := make(map[storeKey]*cert.Store), make(map[string]bool)
	for i, route := range file.Routes {
		a := &assembly{
			Route: route, file: file, key: fmt.Sprintf("route[%d]", i), std: s.std, log: s.log, lab: s.lab,
			tickets: s.tickets, stapler: s.stapler, stores: stores, look: look,
		}
		r, err := a.assemble()
		if err == nil && slices.ContainsFunc(all, func(o *running) bool { return overlap(o.listen, r.listen) }) {
			err = a.wrong("listen", fmt.Errorf("%s is another route's already", r.listen))
		}
		if err == nil && route.Name != "" && slices.ContainsFunc(all, func(o *running) bool { return o.Label == route.Name }) {
			err = a.wrong("name", fmt.Errorf("%q is another route's name already; what both call themselves in greetings is said by host", route.Name))
		}
		if err != nil {
			if !told[err.Error()] { // what all routes have in common is told once
				failed = errors.Join(failed, err)
			}
			told[err.Error()] = true
			continue
		}
		all = append(all, r)
	}
	for _, web := range []struct{ key, address string }{
		{"metrics.listen", file.Metrics.Listen}, {"acme.http", file.ACME.Port80}, {"acme.tls-alpn", file.ACME.Port443},
	} {
		if slices.ContainsFunc(all, func(r *running) bool { return overlap(r.listen, tcpAt(web.address)) }) {
			failed = errors.Join(failed, file.Errorf(web.key, "%s is a route's already", web.address))
		}
	}
	labelRoutes(file, all)
	return all, failed
}

// overlap reports whether two cannot both listen. A host that is left out, or an unspecified address of either
// family, is all addresses.
func overlap(a, b starttls.Endpoint) bool {
	if a.Network != b.Network || a.Network == "unix" {
		return a.Network == b.Network && a.Address == b.Address
	}
	_, port, _ := net.SplitHostPort(a.Address)
	_, other, _ := net.SplitHostPort(b.Address)
	if port != other || port == "0" || port == "" {
		return false
	}
	host, another := addressOf(a.Host), addressOf(b.Host)
	return host == "" || another == "" || host == another
}

// addressOf returns one spelling of a listener's host, "" for all addresses.
func addressOf(host string) string {
	ip := net.ParseIP(host)
	switch {
	case host == "localhost":
		return "127.0.0.1"
	case ip.IsUnspecified():
		return ""
	case ip != nil:
		return ip.String()
	}
	return strings.ToLower(host)
}

func (a *assembly) assemble() (*running, error) {
	if a.Listen == "" {
		return nil, a.wrong("listen", errors.New("a route needs listen, where clients come: \"imap://:143\""))
	}
	listen, err := starttls.ParseEndpoint(a.Listen, listenOptions...)
	if err != nil {
		return nil, a.wrong("listen", err)
	}
	host := cmp.Or(a.Host, a.Name, hostname())
	r := &running{listen: listen, Route: gateway.Route{
		Name: host, Label: a.Name, Dialect: listen.Dialect, Log: a.log, MaxConns: a.MaxConns, MaxPerAddr: a.MaxPerAddr,
	}}
	if a.MaxConns < 0 || a.MaxPerAddr < 0 {
		return nil, a.wrong("max-connections", errors.New("a limit is below zero"))
	}
	if r.Timeout, err = a.file.Duration(a.key+".timeout", a.Timeout, 0); err != nil {
		return nil, err
	}
	if r.Idle, err = a.file.Duration(a.key+".idle", a.Idle, 0); err != nil {
		return nil, err
	}
	if a.servers, err = a.Servers(); err != nil {
		return nil, a.wrong("backend", err)
	}
	switch {
	case len(a.servers) < 2 && (a.Balance != "" || a.Health != config.Health{}):
		err = errors.New("balance and health are for several backends")
	case len(a.servers) == 0:
		err = a.tryout(r)
	case len(a.servers) > 1:
		err = a.several(r)
	case passesMail(a.servers[0]):
		err = a.relayed(r)
	default:
		r.Back, r.back, err = a.behind(r, a.servers[0])
	}
	if err != nil {
		return nil, a.wrong("backend", err)
	}
	if err := a.level(r); err != nil {
		return nil, a.wrong("listen", err)
	}
	if err := a.admit(r); err != nil {
		return nil, a.wrong("allow", err)
	}
	if err := a.others(r); err != nil {
		return nil, err
	}
	return r, a.front(r) // last: it may make a certificate
}

// level fills in how much TLS is demanded of clients.
func (a *assembly) level(r *running) (err error) {
	front := &r.Front
	front.Implicit, front.Level = r.listen.Implicit, starttls.May
	if front.Implicit {
		front.Level = starttls.Encrypt
	}
	if word := r.listen.Options.Get("tls"); word != "" {
		if front.Level, err = starttls.ParseLevel(word); err != nil || front.Level > starttls.Encrypt {
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
	if front.Proxies, err = parseProxies(r.listen.Options.Get("proxy")); err != nil {
		return err
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

// parseProxies reads the sources that tell who the client is: addresses and networks, with commas.
func parseProxies(words string) (all []netip.Prefix, err error) {
	for word := range strings.SplitSeq(words, ",") {
		if word == "" {
			continue
		}
		p, perr := netip.ParsePrefix(word)
		if addr, aerr := netip.ParseAddr(word); aerr == nil {
			p, perr = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if perr != nil {
			return nil, fmt.Errorf("proxy=%s: meant are addresses or networks, such as 192.0.2.1 or 10.0.0.0/8, with commas between them", words)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// front fills in the certificates that clients are shown.
func (a *assembly) front(r *running) error {
	front := &r.Front
	word := cmp.Or(a.MinVersion, a.file.TLS.MinVersion)
	version, err := parseVersion(word)
	switch {
	case err != nil && a.MinVersion == "":
		return a.file.Errorf("tls.min-version", "%v", err)
	case err != nil:
		return a.wrong("min-version", err)
	}
	if word := a.file.TLS.Staple; word != "" && word != "auto" && word != "no" {
		return a.file.Errorf("tls.staple", "unknown staple %q; meant is auto or no", word)
	}
	asks, err := a.clientCerts(r)
	if err != nil || front.Level == starttls.None {
		return err
	}
	key, certs := a.key+".certificate", pems(a.Certificates)
	if len(certs) == 0 {
		key, certs = "tls.certificate", append(pems(a.file.TLS.Certificates), acmeFiles(a.file)...)
	}
	strict := r.Dialect.ALPN != nil
	switch {
	case a.look && len(a.file.ACME.Certificates) > 0:
		return nil
	case len(certs) > 0:
		r.certs, err = a.load(key, certs, strict)
	case a.look:
		return nil
	default:
		r.self, r.state = true, cmp.Or(a.file.State, defaultState())
		r.certs, r.made, err = cert.SelfSigned(r.state, r.Name)
	}
	if err != nil {
		return failed(err)
	}
	r.certs.Log = r.Log
	r.certs.Strict = !r.self && strict
	if a.file.TLS.Staple != "no" {
		r.certs.Staples = a.stapler
	}
	asks.GetCertificate = r.certs.GetCertificate
	front.TLS = withVersion(asks, version)
	if err := a.tickets.protect(front.TLS, r, a.ClientCA); err != nil {
		return failed(err)
	}
	if version < tls.VersionTLS12 {
		r.Log.Warn("clients may use a TLS version that is no longer safe (RFC 8996)", "min_version", word)
	}
	return nil
}

// A storeKey is what routes must have in common to share a store of certificates.
type storeKey struct {
	files  string
	strict bool
}

// load returns the store of some files, which are named at key. Routes that share it read the files again together.
func (a *assembly) load(key string, certs []cert.Pair, strict bool) (*cert.Store, error) {
	same := storeKey{fmt.Sprintf("%q", certs), strict}
	if s := a.stores[same]; s != nil {
		return s, nil
	}
	s, err := cert.Load(certs...)
	if err != nil {
		i := slices.IndexFunc(certs, func(p cert.Pair) bool { _, err := cert.Load(p); return err != nil })
		return nil, a.file.Errorf(fmt.Sprintf("%s[%d].cert", key, i), "%v", err)
	}
	a.stores[same] = s
	return s, nil
}

// pems returns the files of certificates.
func pems(certs []config.Certificate) (all []cert.Pair) {
	for _, c := range certs {
		all = append(all, cert.Pair{Cert: c.Cert, Key: cmp.Or(c.Key, c.Cert)})
	}
	return all
}

// anyPort reports whether the system chooses the endpoint's port.
func anyPort(e starttls.Endpoint) bool { return strings.HasSuffix(e.Address, ":0") }

func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}
