// Package gateway stands between a client and a server of one protocol and puts TLS on either leg:
// STARTTLS in front of a server that has none, or behind a client that has none, or both.
//
// A [Route] is one listener and one backend. For each connection a session is run: until TLS has begun
// and nothing more concerns it, messages are read one at a time, passed on byte for byte, and offers of
// TLS in the server's answers are edited; then the two legs are spliced.
//
// Sources: RFC 3207, 9051, 2595, 4511, 4513 through package dialect; the rules on what may follow an
// upgrade are in package starttls.
//
// This package does not parse URLs or files, load certificates, or decide about destinations.
package gateway

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/pool"
)

// A Route says what one listener does.
type Route struct {
	Name    string // how we call ourselves where the real server's name is not known
	Label   string // in the log
	Dialect *dialect.Dialect
	Front   Front
	Back    Back
	// Backs are the backends of clients that ask for a host by name, in place of Back: in the protocol's
	// own words (XMPP's "to") or else by SNI. The keys are the names, in lower case and without a dot at
	// the end; or, in a dialect with Addressed, what the client's first work is for, as in
	// [dialect.Message].For, which goes before a host. A client whose backend is dialled before it could name a host gets Back: see [Route.Chooses].
	Backs map[string]*Back
	// Others are further servers that do the same as Back, and Pool has Back and them, in this order: which
	// of them are well, and which one a client gets. One that cannot be reached is passed over for the next.
	// They are as Back is in Early. If Pool is nil, there is Back alone.
	Others []*Back
	Pool   *pool.Pool

	// Timeout bounds the whole way to TLS, or, where TLS is optional, to the first real work in the
	// clear. If zero, one minute, and five where TLS is optional: servers give their clients that much
	// (RFC 5321 §4.5.3.2.7).
	Timeout time.Duration
	// Idle ends a session on which nothing was sent either way for so long. If zero, twelve hours: mail
	// and database clients keep idle connections on purpose.
	Idle time.Duration
	// MaxConns and MaxPerAddr bound the connections in all and from one address. If zero, 10,000
	// and 500.
	MaxConns, MaxPerAddr int
	// Log gets a line for each session. If nil, nothing is logged.
	Log *slog.Logger
	// Ended is told of each session when it has ended, by its own goroutine. If nil, nobody is.
	Ended func(Ended)

	byWork bool // a key of Backs is not a host
}

// Ended is what a session was, in words of ours alone: nothing in it is a peer's.
type Ended struct {
	Outcome string // as in the log
	// TLS and Group are the version and the key exchange in front, empty without TLS.
	TLS, Group string
	Resumed    bool  // in front, by a ticket
	In, Out    int64 // bytes of the protocol from the client and from the server
	Took       time.Duration
}

// Front is the leg towards the client.
type Front struct {
	Level    starttls.Level // None, May or Encrypt
	Implicit bool           // TLS from the first byte
	TLS      *tls.Config    // with certificates, unless Level is None
	// Detect is how long to wait for a client that begins with TLS on an in-band listener of a protocol
	// in which the server speaks first; every other client gets its greeting so much later. If zero,
	// none is expected. Where the client speaks first, such a client is always served, without a wait.
	Detect time.Duration
	// STS is a policy of strict transport security that clients are told in place of the server's own, in
	// the protocol's syntax (see [dialect.Dialect].STS). If empty, the server's own stays.
	STS string
	// Proxies are the sources that say with a PROXY header who the client is, and must. All others are
	// clients, and whatever they send is their protocol.
	Proxies []netip.Prefix
}

// Back is the leg towards the server.
type Back struct {
	Name     string // of the server, as configured: in the greeting that we make in its place
	Addr     string // where it is, for the log
	Level    starttls.Level
	Implicit bool
	TLS      *tls.Config // for verification, unless Level is None
	// Early dials when the client comes, also where TLS is demanded of it. Otherwise such a client is
	// met by us alone until TLS has begun, and the server is dialled then, unless its greeting holds
	// what a login needs.
	Early bool
	// Proxy is the version, 1 or 2, of the PROXY header with which the server is told who the client is.
	// Version 2 tells it of the client's TLS as well if the server is dialled inside it. If zero, none is
	// sent.
	Proxy int
	// Tell tells the server who the client is in the protocol's own words (see [dialect.Dialect].Tells),
	// when TLS has begun on its leg and before the client is heard there. A server that does not take that
	// from us is as good as down. It is only for dialects that have such words.
	Tell bool
	// Dial opens the connection.
	Dial func(context.Context) (net.Conn, error)
}

// Chooses reports whether every client that names a host can have done so when its backend is dialled.
func (r *Route) Chooses() bool {
	d := r.Dialect
	switch {
	case r.Front.Implicit:
		return true
	case r.Front.Level == starttls.None:
		return d.Named && !d.Script.ServerFirst()
	case r.Front.Level == starttls.Encrypt:
		return !d.Early && !r.Back.Early || !d.Script.ServerFirst()
	default:
		return !d.Script.ServerFirst() || d.Fresh
	}
}

// withDefaults fills in what was left zero.
func (r Route) withDefaults() Route {
	if r.Timeout == 0 {
		r.Timeout = time.Minute
		if !r.Front.Implicit && r.Front.Level != starttls.Encrypt {
			r.Timeout = 5 * time.Minute
		}
	}
	if r.Idle == 0 {
		r.Idle = 12 * time.Hour
	}
	if r.MaxConns == 0 {
		r.MaxConns = 10_000
	}
	if r.MaxPerAddr == 0 {
		r.MaxPerAddr = 500
	}
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	r.Front.TLS = noting(ready(r.Front.TLS, r.Dialect))
	r.Back.TLS = ready(r.Back.TLS, r.Dialect)
	backs := make(map[string]*Back, len(r.Backs))
	for name, back := range r.Backs {
		own := *back
		own.TLS = ready(own.TLS, r.Dialect)
		backs[name] = &own
		r.byWork = r.byWork || strings.Contains(name, ":")
	}
	r.Backs = backs
	others := make([]*Back, len(r.Others))
	for i, back := range r.Others {
		own := *back
		own.TLS = ready(own.TLS, r.Dialect)
		others[i] = &own
	}
	r.Others = others
	return r
}

// ready puts the ALPN ids of the protocol into a copy of config, made once for all sessions so that
// they share their ticket keys.
func ready(config *tls.Config, d *dialect.Dialect) *tls.Config {
	if config == nil {
		return nil
	}
	config = starttls.Strict(config.Clone(), d)
	config.DynamicRecordSizingDisabled = true // what passes here is bulk, not web pages
	return config
}
