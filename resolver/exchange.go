package resolver

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	udpSize  = 1232 // what we take by UDP: it is never fragmented (RFC 9715)
	udpTime  = 2 * time.Second
	tcpTime  = 5 * time.Second
	maxStray = 16 // datagrams that answer something else, before we give up on a server
	rounds   = 2  // how often a server that is silent is asked
)

// A client asks servers, in their order, beginning with the one that answered last.
type client struct {
	servers []server
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	tls     *tls.Config
	first   atomic.Uint32
	idle    pool
}

func newClient(servers []server, dial func(context.Context, string, string) (net.Conn, error), roots *x509.CertPool) *client {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &client{servers: servers, dial: dial, tls: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
}

// query makes the message that asks: for signatures and no judgement (DO and CD), or for the server's
// judgement (AD, RFC 6840 §5.7).
func query(name string, t uint16, validate bool) *dns.Msg {
	m := new(dns.Msg).SetQuestion(name, t)
	m.SetEdns0(udpSize, validate)
	m.CheckingDisabled, m.AuthenticatedData = validate, !validate
	return m
}

// exchange returns the first reply that is an answer: NOERROR or NXDOMAIN. When a server fails the next
// is asked, and all of them once more when none has said anything.
func (c *client) exchange(ctx context.Context, q *dns.Msg) (*reply, error) {
	var fault error
	begin, heard := int(c.first.Load()), false
	for range rounds {
		for i := range c.servers {
			n := (begin + i) % len(c.servers)
			r, err := c.ask(ctx, c.servers[n], q)
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case err != nil && !heard:
				// Not wrapped: that a server was slow is not that our own time has run out.
				fault = indeterminate(edeUnreachable, "no answer from %s: %v", c.servers[n], err)
			case err != nil:
			case r.rcode == dns.RcodeSuccess || r.rcode == dns.RcodeNameError:
				c.first.Store(uint32(n))
				return r, nil
			default:
				fault, heard = refusal(c.servers[n], r), true
			}
		}
		if heard {
			break
		}
	}
	return nil, fault
}

// turn has the next questions begin with another server: that an answer was bogus can be the fault of the
// one that passed it on.
func (c *client) turn() { c.first.Add(1) }

// refusal is the fault that a server told, with its extended error.
func refusal(s server, r *reply) error {
	e := &Error{Status: Indeterminate, Code: edeNone, Err: fmt.Errorf("%s says %s", s, cmp.Or(dns.RcodeToString[r.rcode], fmt.Sprint(r.rcode)))}
	if r.ede != nil {
		e.Code, e.Text = int(r.ede.InfoCode), r.ede.ExtraText
	}
	return e
}

// ask asks one server: by UDP, and by TCP when the answer does not fit or could be somebody else's.
func (c *client) ask(ctx context.Context, s server, q *dns.Msg) (*reply, error) {
	if s.name == "" {
		r, whole, err := c.byUDP(ctx, s, q)
		if err != nil || whole {
			return r, err
		}
	}
	return c.byTCP(ctx, s, q)
}

// byUDP asks by UDP. The reply is not whole when it was truncated (RFC 2181 §9: then nothing of it is
// used), or when it is not quite to what was asked.
func (c *client) byUDP(ctx context.Context, s server, q *dns.Msg) (r *reply, whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, udpTime)
	defer cancel()
	conn, err := c.dial(ctx, "udp", s.addr.String())
	if err != nil {
		return nil, false, err
	}
	defer conn.Close()
	defer bounded(ctx, conn)()
	m, out, err := disguised(q)
	if err != nil {
		return nil, false, err
	}
	if _, err := conn.Write(out); err != nil {
		return nil, false, err
	}
	buf := make([]byte, 4096) // more than we ask for, for servers that do not care
	for range maxStray {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, false, err
		}
		a := new(dns.Msg)
		broken := a.Unpack(buf[:n]) != nil
		if !answers(a, m) {
			continue // somebody guesses, and the right one may follow
		}
		exact := !broken && !a.Truncated && a.Question[0].Name == m.Question[0].Name
		return newReply(a), exact, nil
	}
	return nil, false, errors.New("too many datagrams that answer something else")
}

// disguised returns a query with what an answer has to guess besides the port: the id and the case of
// each letter (RFC 5452 §9.2; draft-vixie-dnsext-dns0x20).
func disguised(q *dns.Msg) (m *dns.Msg, out []byte, err error) {
	m = q.Copy()
	m.Id = dns.Id()
	m.Question[0].Name = mixCase(m.Question[0].Name)
	out, err = m.Pack()
	return m, out, err
}

// answers reports whether a message answers a query.
func answers(a, q *dns.Msg) bool {
	return a.Response && a.Id == q.Id && a.Opcode == dns.OpcodeQuery && len(a.Question) == 1 &&
		a.Question[0].Qtype == q.Question[0].Qtype && a.Question[0].Qclass == dns.ClassINET &&
		strings.EqualFold(a.Question[0].Name, q.Question[0].Name)
}

// mixCase makes each letter large or small at random.
func mixCase(name string) string {
	mixed := []byte(name)
	random := make([]byte, len(name))
	rand.Read(random)
	for i, c := range mixed {
		if 'a' <= c && c <= 'z' && random[i]&1 == 1 {
			mixed[i] = c - 'a' + 'A'
		}
	}
	return string(mixed)
}

// bounded ends what is going on with a connection when the context ends. What it returns ends that.
func bounded(ctx context.Context, conn net.Conn) (release func() bool) {
	return context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
}
