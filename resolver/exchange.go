package resolver

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	udpSize   = 1232 // what we take over UDP: never fragmented (RFC 9715)
	udpTry    = 2 * time.Second
	streamTry = 5 * time.Second
	maxStray  = 16 // datagrams that answer something else before we give up on one server
	rounds    = 2  // how often a server that is silent is asked
)

// A client asks servers, in their order, beginning with the one that answered last.
type client struct {
	servers []server
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	tls     *tls.Config
	first   atomic.Uint32
}

// query makes the message that asks. The options of EDNS are told by flags in the header: dnssec wants
// signatures and no judgement (DO and CD), else the server's judgement is asked for (AD, RFC 6840 §5.7).
func query(name string, t uint16, dnssec bool) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, t)
	m.SetEdns0(udpSize, dnssec)
	m.CheckingDisabled = dnssec
	m.AuthenticatedData = !dnssec
	return m
}

// exchange returns the first reply that is an answer (NOERROR or NXDOMAIN). Another server is asked when
// one fails, and all once more when none has said anything.
func (c *client) exchange(ctx context.Context, q *dns.Msg) (*reply, error) {
	var fault error
	for range rounds {
		for i := range c.servers {
			n := (int(c.first.Load()) + i) % len(c.servers)
			r, err := c.ask(ctx, c.servers[n], q)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				fault = pick(fault, indeterminate(edeUnreachable, "no answer from %s: %w", c.servers[n], err))
				continue
			}
			if r.rcode == dns.RcodeSuccess || r.rcode == dns.RcodeNameError {
				c.first.Store(uint32(n))
				return r, nil
			}
			fault = refusal(c.servers[n], r)
		}
		if e, ok := errors.AsType[*Error](fault); ok && e.Code != edeUnreachable {
			break // somebody answered, and would say the same again
		}
	}
	return nil, fault
}

// pick keeps what a server said over the silence of another.
func pick(old, fresh error) error {
	if old != nil {
		return old
	}
	return fresh
}

// refusal is the fault that a server told, with its extended error.
func refusal(s server, r *reply) error {
	e := &Error{Status: Indeterminate, Code: edeNone, Err: fmt.Errorf("%s says %s", s, dns.RcodeToString[r.rcode])}
	if r.ede != nil {
		e.Code, e.Text = int(r.ede.InfoCode), r.ede.ExtraText
	}
	return e
}

// ask asks one server: over UDP, and over TCP when the answer does not fit or could be of somebody else.
func (c *client) ask(ctx context.Context, s server, q *dns.Msg) (*reply, error) {
	if s.name == "" {
		r, whole, err := c.over(ctx, udpTry, "udp", s, q)
		if err != nil || whole {
			return r, err
		}
	}
	r, whole, err := c.over(ctx, streamTry, "tcp", s, q)
	if err == nil && !whole {
		return nil, errors.New("its answer is truncated even over TCP")
	}
	return r, err
}

// over asks over one transport. The reply is not whole when it was truncated (RFC 2181 §9: then nothing
// of it is used).
func (c *client) over(ctx context.Context, limit time.Duration, network string, s server, q *dns.Msg) (r *reply, whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := c.dial(ctx, network, s.addr.String())
	if err != nil {
		return nil, false, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if s.name != "" {
		config := c.tls.Clone()
		config.ServerName = s.name
		conn = tls.Client(conn, config)
	}

	// An answer has to guess the port, the id, and the case of each letter (RFC 5452 §9).
	m := q.Copy()
	m.Id = dns.Id()
	m.Question[0].Name = mixCase(m.Question[0].Name)
	out, err := m.Pack()
	if err != nil {
		return nil, false, err
	}
	read := readDatagram
	if network == "tcp" {
		read = readStream
		out = append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)
	}
	if _, err := conn.Write(out); err != nil {
		return nil, false, err
	}
	for range maxStray {
		in, err := read(conn)
		if err != nil {
			return nil, false, err
		}
		a := new(dns.Msg)
		if a.Unpack(in) != nil && !a.Truncated || !answers(a, m) {
			if network == "tcp" {
				return nil, false, errors.New("its answer is to something else, or no message")
			}
			continue // somebody guesses; the right one may follow
		}
		sameCase := a.Question[0].Name == m.Question[0].Name
		return newReply(a, len(in)), !a.Truncated && (sameCase || network == "tcp"), nil
	}
	return nil, false, errors.New("too many datagrams that answer something else")
}

// answers reports whether a message answers a query.
func answers(a, q *dns.Msg) bool {
	return a.Response && a.Id == q.Id && a.Opcode == dns.OpcodeQuery && len(a.Question) == 1 &&
		a.Question[0].Qtype == q.Question[0].Qtype && a.Question[0].Qclass == dns.ClassINET &&
		dns.CanonicalName(a.Question[0].Name) == dns.CanonicalName(q.Question[0].Name)
}

func readDatagram(conn net.Conn) ([]byte, error) {
	buf := make([]byte, 4096) // more than we take, for servers that do not care
	n, err := conn.Read(buf)
	return buf[:n], err
}

func readStream(conn net.Conn) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(conn, buf)
	return buf, err
}

// mixCase makes each letter large or small at random.
func mixCase(name string) string {
	random := make([]byte, len(name))
	rand.Read(random) // never fails
	mixed := []byte(strings.ToLower(name))
	for i, c := range mixed {
		if 'a' <= c && c <= 'z' && random[i]&1 == 1 {
			mixed[i] = c - 'a' + 'A'
		}
	}
	return string(mixed)
}
