// Package relay passes mail on to the servers that take it for its recipients, under the policy of each.
//
// It is a smarthost without a queue. A client (the local mail server) hands a message in; while it does,
// the message goes out: next hops are found and reached when recipients are named, content passes as
// it comes, and the client hears 250 when the next hop has said so. Nothing is held, so nothing can be
// lost; whatever fails is the client's to try again.
//
//	front (session)      the client's commands, strictly; one transaction at a time
//	delivery             the part of a transaction that goes to one next hop: walks the plan
//	hop                  one session with a server: the way to TLS, extensions, commands
//	intake               content on its way from the client to each delivery, watched and bounded
//
// Sources: RFC 5321, 2033, 1870, 2920, 3030, 6152, 6531, 2034, 8689.
//
// This package decides nothing about what a destination must be met with: that is in a [policy.Plan].
package relay

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/gateway"
	"starttls/internal/policy"
	"starttls/tlsrpt"
)

// A Config says who may hand mail in, and where it goes. Dialect and Plan are needed.
type Config struct {
	// Name is what we call ourselves, to clients and next hops. If empty, "localhost".
	Name string
	// Label is what the log calls us.
	Label string
	// Dialect of the front is SMTP or LMTP.
	Dialect *dialect.Dialect
	Front   Front
	// Allow are the networks whose clients may hand mail in. This machine always may; nobody else may
	// by default.
	Allow []netip.Prefix
	// Next is the destination of all mail: "[mail.example.org]:587", a smarthost. If empty, each recipient's
	// domain is.
	Next string
	// NotHere keeps mail from servers at loopback addresses: who names such a one as his MX makes mail go in
	// circles.
	NotHere bool
	// Implicit says that TLS begins there with the first byte.
	Implicit bool
	// Plan returns the plan for a destination: a domain, an address literal, or Next. What fails is a plan
	// with a refusal.
	Plan func(ctx context.Context, next string, message Message) *policy.Plan
	// Again returns a plan that is better founded than one that has failed, or nil if there is none: it is
	// asked before a message is put off (RFC 8461 §5.1). If nil, there never is.
	Again func(ctx context.Context, failed *policy.Plan, message Message) *policy.Plan
	// Remember is told what a host of a destination gave. If nil, nobody is.
	Remember func(ctx context.Context, next, host string, seen policy.Seen)
	// Tally is told each session as reports count it. It must not block. If nil, nobody is.
	Tally func(tlsrpt.Session)
	// Alarm is told when what was proved of a host is contradicted by what it gives. It must not block. If
	// nil, the log alone tells.
	Alarm func(Alarm)
	// Delivered is told how each delivery ended. It must not block. If nil, nobody is.
	Delivered func(Delivery)
	// TLS is what a handshake with a next hop has besides what its attempt demands: authorities to trust,
	// a cache of sessions. If nil, nothing.
	TLS *tls.Config
	// Dial opens connections to next hops. If nil, that of an empty net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Auth is how we log in to next hops: for a smarthost. If nil, we do not.
	Auth *Auth

	Times Times
	// MaxConns and MaxPerAddr bound the clients in all and from one address. If zero, 1,000 and 500.
	MaxConns, MaxPerAddr int
	// MaxSize is the size of a message, in octets, that is announced and enforced. If zero, the next
	// hop's is all there is.
	MaxSize int64
	// MaxRecipients bounds those of one transaction. If zero, 1,000.
	MaxRecipients int
	// Log gets a line for each delivery. If nil, nothing is logged.
	Log *slog.Logger
}

// Front is the leg towards the client.
type Front struct {
	Level    starttls.Level // None, May or Encrypt
	Implicit bool           // TLS from the first byte
	TLS      *tls.Config    // with certificates, unless Level is None
}

// A Message is what a message itself says of TLS.
type Message struct {
	RequireTLS  bool // REQUIRETLS was demanded for it (RFC 8689 §4.2.1)
	TLSOptional bool // "TLS-Required: No" (RFC 8689 §4.2.2)
}

// Times bound how long we wait. Clients wait five minutes for the answer to RCPT and ten for that to a
// message (RFC 5321 §4.5.3.2): all hosts must have been tried before.
type Times struct {
	Connect time.Duration // for a TCP connection to one address. If zero, 20 s
	TLS     time.Duration // from there to the answer to EHLO inside TLS. If zero, 45 s
	Command time.Duration // for the answer to a command. If zero, 2 min
	Walk    time.Duration // for all hosts of a destination. If zero, 4 min
	Block   time.Duration // for a piece of content, to be sent or to come. If zero, 3 min
	Stall   time.Duration // how long one next hop may keep those of other recipients waiting. If zero, 1 min
	Final   time.Duration // for the answer to a message. If zero, 10 min
	Idle    time.Duration // for the client's next command. If zero, 5 min
	Reuse   time.Duration // how long a session with a next hop is kept for the next message. If zero, 5 s
}

// A Relay serves the clients of one listener.
type Relay struct {
	Config
	crowd crowd
	own   gateway.Own   // connections to next hops
	epoch string        // of this process, in ids
	count atomic.Uint64 // of ids
	late  lateRefusals
}

// New returns a relay.
func New(c Config) *Relay {
	def := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	t := &c.Times
	def(&t.Connect, 20*time.Second)
	def(&t.TLS, 45*time.Second)
	def(&t.Command, 2*time.Minute)
	def(&t.Walk, 4*time.Minute)
	def(&t.Block, 3*time.Minute)
	def(&t.Stall, time.Minute)
	def(&t.Final, 10*time.Minute)
	def(&t.Idle, 5*time.Minute)
	def(&t.Reuse, 5*time.Second)
	if c.Name == "" {
		c.Name = "localhost"
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.MaxConns == 0 {
		c.MaxConns = 1000
	}
	if c.MaxPerAddr == 0 {
		c.MaxPerAddr = 500
	}
	if c.MaxRecipients == 0 {
		c.MaxRecipients = 1000
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Relay{Config: c, epoch: strings.ToLower(rand.Text()[:6])}
}

// id returns a new id, to be told to clients and found in the log.
func (r *Relay) id() string { return fmt.Sprintf("%s-%d", r.epoch, r.count.Add(1)) }

// mayRelay reports whether a client may hand mail in.
func (r *Relay) mayRelay(peer net.Addr) bool {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return peer.Network() == "unix" // whoever may open the socket
	}
	ip := tcp.AddrPort().Addr().Unmap()
	for _, network := range r.Allow {
		if network.Contains(ip) {
			return true
		}
	}
	return ip.IsLoopback()
}
