package resolver_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"starttls/internal/zone"
	"starttls/resolver"
)

// fuzzed are questions and what is true of them.
var fuzzed = []struct {
	name  string
	t     resolver.Type
	truth string
}{
	{mxA, resolver.A, "192.0.2.2"},
	{mxA3, resolver.A, "192.0.2.2"},
	{"nope.nsec.example", resolver.A, "no name"},
	{"nope.nsec3.example", resolver.A, "no name"},
	{"mx.nsec3.example", resolver.AAAA, "no record"},
	{"x.wild.nsec.example", resolver.TXT, "from a wildcard"},
	{"x.wild.nsec3.example", resolver.TXT, "from a wildcard"},
	{"alias.nsec3.example", resolver.A, "192.0.2.2"},
	{"x.to.nsec.example", resolver.TXT, "through a DNAME"},
	{"b.c.nsec3.example", resolver.A, "no record"},
	{"child.nsec.example", resolver.MX, "mx5.child.nsec.example mx.child.nsec.example"},
}

// A pipe is a connection to a handler, by datagrams, without a network.
type pipe struct {
	net.Conn // nil: nothing else is used
	answer   func(q *dns.Msg) []byte
	reply    []byte
}

func (p *pipe) Write(b []byte) (int, error) {
	q := new(dns.Msg)
	err := q.Unpack(b)
	p.reply = p.answer(q)
	return len(b), err
}

func (p *pipe) Read(b []byte) (int, error) {
	if p.reply == nil {
		return 0, net.ErrClosed
	}
	n := copy(b, p.reply)
	p.reply = nil
	return n, nil
}

func (*pipe) Close() error                  { return nil }
func (*pipe) SetDeadline(t time.Time) error { return nil }

// A sink is where a handler's answer goes.
type sink struct {
	dns.ResponseWriter
	m *dns.Msg
}

func (*sink) LocalAddr() net.Addr         { return &net.TCPAddr{} } // nothing is cut off
func (s *sink) WriteMsg(m *dns.Msg) error { s.m = m; return nil }

// answered returns the truth about a question.
func answered(tree *zone.Tree, q *dns.Msg) *dns.Msg {
	s := new(sink)
	tree.Recursor().ServeDNS(s, q)
	return s.m
}

// FuzzReply has the answer to one question be anything. Whatever it is, what is called secure is true.
func FuzzReply(f *testing.F) {
	tree := newTree(f)
	for i, q := range fuzzed {
		m := new(dns.Msg).SetQuestion(dns.Fqdn(q.name), uint16(q.t))
		m.SetEdns0(4096, true)
		wire, err := answered(tree, m).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), wire[2:])
	}
	var forgery []byte // the answer to the question that is asked in this run
	var target dns.Question
	dial := func(_ context.Context, network, _ string) (net.Conn, error) {
		if network != "udp" {
			return nil, net.ErrClosed
		}
		return &pipe{answer: func(q *dns.Msg) []byte {
			if strings.EqualFold(q.Question[0].Name, target.Name) && q.Question[0].Qtype == target.Qtype {
				return disguise(forgery, q)
			}
			wire, _ := answered(tree, q).Pack()
			return wire
		}}, nil
	}
	v := &resolver.Validator{Servers: []string{"127.0.0.1"}, Anchors: tree.Anchor(), Dial: dial}
	f.Fuzz(func(t *testing.T, which uint8, wire []byte) {
		q := fuzzed[int(which)%len(fuzzed)]
		forgery, target = wire, dns.Question{Name: dns.Fqdn(q.name), Qtype: uint16(q.t)}
		a, err := v.Lookup(resolver.Anew(t.Context()), q.name, q.t)
		if err == nil && a.Status == resolver.Secure && said(a) != q.truth {
			t.Errorf("%s is called secure, the truth is %s", said(a), q.truth)
		}
		if err == nil && a.Status == resolver.Insecure {
			t.Errorf("a signed zone is called insecure: %s", a.Why)
		}
	})
}

// disguise makes bytes an answer to a question: with its id, and with its name if they begin as a message
// with a question of the same length.
func disguise(wire []byte, q *dns.Msg) []byte {
	wire = append([]byte{byte(q.Id >> 8), byte(q.Id)}, wire...)
	asked, err := q.Pack()
	if err == nil && len(wire) > len(asked) {
		end := 12 + len(q.Question[0].Name) + 1
		copy(wire[12:end], asked[12:end])
	}
	return wire
}
