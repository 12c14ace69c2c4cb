package zone

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// maxChain is how many aliases are followed.
const maxChain = 16

// payload is the largest answer by UDP (www.dnsflagday.net/2020).
const payload = 1232

// Authority answers for the zones of these origins, or for all there are, as their name server.
func (t *Tree) Authority(origins ...string) dns.Handler {
	var only map[string]bool
	for _, origin := range origins {
		if only == nil {
			only = make(map[string]bool)
		}
		only[dns.CanonicalName(origin)] = true
	}
	return &face{t, only, false}
}

// Recursor answers for every name in the tree, like a recursive resolver that does not validate, or that
// was asked not to (CD): what is wrong with an answer is for the client to find out.
func (t *Tree) Recursor() dns.Handler { return &face{t, nil, true} }

// A face is how the tree shows itself.
type face struct {
	tree    *Tree
	only    map[string]bool // origins; nil is all
	recurse bool
}

// ServeDNS answers one question.
func (f *face) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := f.reply(q)
	if m == nil {
		return // silence
	}
	size := dns.MaxMsgSize
	if w.LocalAddr().Network() == "udp" {
		size = dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = min(max(int(opt.UDPSize()), size), payload)
		}
	}
	m.Truncate(size)
	w.WriteMsg(m) // a client that has left needs no answer
}

// reply returns the answer to a question, or nil if there is to be none.
func (f *face) reply(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = f.recurse
	m.CheckingDisabled = q.CheckingDisabled
	r := &reply{Msg: m}
	if opt := q.IsEdns0(); opt != nil {
		r.do = opt.Do()
		m.SetEdns0(payload, r.do)
	}
	switch {
	case q.Opcode != dns.OpcodeQuery:
		m.Rcode = dns.RcodeNotImplemented
		return m
	case len(q.Question) != 1:
		m.Rcode = dns.RcodeFormatError
		return m
	case q.Question[0].Qclass != dns.ClassINET:
		m.Rcode = dns.RcodeRefused
		return m
	}
	name, qtype := dns.CanonicalName(q.Question[0].Name), q.Question[0].Qtype
	f.answer(r, name, qtype)
	if lie := f.tree.lieAbout(name, qtype); lie != nil {
		return lie(m)
	}
	return m
}

// answer fills in the reply: one zone's word, then, while it is an alias, the next one's.
func (f *face) answer(r *reply, name string, qtype uint16) {
	z := f.tree.find(name, qtype, f.only)
	if z == nil {
		r.Rcode = dns.RcodeRefused
		return
	}
	for range maxChain {
		next := z.answer(r, name, qtype)
		if next == "" {
			break
		}
		name = next
		other := f.tree.find(name, qtype, f.only)
		if other == nil || other != z && !f.recurse {
			break // the client asks there itself
		}
		z = other
	}
	if f.recurse {
		r.Authoritative = false
	}
}

// A Server is a face at an address, by UDP and TCP.
type Server struct {
	Addr     netip.AddrPort
	udp, tcp *dns.Server
	done     chan error
}

// Listen serves a face at an address, "127.0.0.1:0", where 0 is any port that is free for both UDP and
// TCP. Close ends it.
func Listen(addr string, face dns.Handler) (*Server, error) {
	ln, pc, err := listenBoth(addr)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Addr: netip.MustParseAddrPort(ln.Addr().String()),
		udp:  &dns.Server{PacketConn: pc, Handler: face},
		tcp:  &dns.Server{Listener: ln, Handler: face, IdleTimeout: func() time.Duration { return 10 * time.Second }},
		done: make(chan error, 2),
	}
	for _, server := range []*dns.Server{s.udp, s.tcp} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() { s.done <- server.ActivateAndServe() }()
		<-started // Shutdown of a server that has not begun does nothing
	}
	return s, nil
}

// listenBoth opens the same port for TCP and UDP.
func listenBoth(addr string) (net.Listener, net.PacketConn, error) {
	const tries = 20 // a free port of TCP may be taken in UDP
	var last error
	for range tries {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		pc, err := net.ListenPacket("udp", ln.Addr().String())
		if err == nil {
			return ln, pc, nil
		}
		ln.Close()
		last = err
	}
	return nil, nil, fmt.Errorf("no port is free for both UDP and TCP: %w", last)
}

// Close ends the server, and waits for it.
func (s *Server) Close() error {
	err := errors.Join(s.udp.Shutdown(), s.tcp.Shutdown())
	return errors.Join(err, <-s.done, <-s.done)
}
