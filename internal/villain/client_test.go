package villain

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"starttls"
	"starttls/dialect"
)

// A client is a client under test that is right, or has one flaw: the id of the finding that tells it.
type client struct {
	dialect  *dialect.Dialect
	implicit bool
	roots    *x509.CertPool
	flaw     string
}

// limit bounds what a client waits for; nothing that comes out depends on it.
const limit = 30 * time.Second

// impatience is when a client gives up on a villain that says nothing.
const impatience = 50 * time.Millisecond

// work is what a client says that is not for the clear: before TLS, and inside.
type work struct {
	clear, inside string
	atOnce        string // in the clear, without a question before
}

// works has what the dialects themselves do not.
var works = map[string]work{
	"mysql":       {clear: mysqlLogin(1, 0x00bfa284), inside: mysqlLogin(2, 0x00bfaa84)},
	"xmpp":        same("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGpvZQBzZWNyZXQ=</auth>"),
	"xmpp-server": same("<db:result xmlns:db='jabber:server:dialback' to='a.test' from='b.test'>key</db:result>"),
	"telnet":      same("joe\r\n"),
	"mtqp":        same("TRACK <1@client.test> c2VjcmV0\r\n"),
	"tds":         {tdsLogin, tdsLogin, tdsLogin},
	"rdp":         {clear: "\x03\x00\x00\x0b\x06\xe0\x00\x00\x00\x00\x00", inside: "\x03\x00\x00\x08\x02\xf0\x80\x7f"},
	"vnc":         {"\x00\x00\x01\x00", "secret", "RFB 003.003\n"}, // the kind Plain, its password, a version without kinds
	"nbd":         same("IHAVEOPT\x00\x00\x00\x07\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00"),
	"amqp":        same("AMQP\x03\x01\x00\x00"),
}

// same is work that is said alike before TLS and inside.
func same(words string) work { return work{clear: words, inside: words} }

// mysqlLogin is a packet of that number, a login with these capabilities.
func mysqlLogin(number byte, flags uint32) string {
	body := append([]byte{byte(flags), byte(flags >> 8), byte(flags >> 16), 0, 0, 0, 0, 1, 33}, make([]byte, 23)...)
	body = append(body, "joe\x00\x00mysql_native_password\x00"...)
	return string([]byte{byte(len(body)), 0, 0, number}) + string(body)
}

const tdsLogin = "\x10\x01\x00\x10\x00\x00\x01\x00\x08\x00\x00\x00\x04\x00\x00\x74"

func workOf(d *dialect.Dialect) work {
	if w, own := works[d.Name]; own {
		return w
	}
	return same(d.Work)
}

// config is what the client trusts: too much, by its flaw.
func (c client) config() *tls.Config {
	config := &tls.Config{RootCAs: c.roots, ServerName: "localhost"}
	switch c.flaw {
	case "client.untrusted":
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(s tls.ConnectionState) error {
			leaf := s.PeerCertificates[0]
			if time.Now().After(leaf.NotAfter) {
				return errors.New("expired")
			}
			return leaf.VerifyHostname("localhost")
		}
	case "client.name":
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(s tls.ConnectionState) error {
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: c.roots})
			return err
		}
	case "client.expired":
		config.Time = func() time.Time { return time.Now().AddDate(0, 0, -3) }
	case "client.old-tls":
		config.MinVersion = tls.VersionTLS10
	}
	return config
}

// visit goes to a villain, does its work if it may or its flaw makes it, and leaves.
func (c client) visit(ctx context.Context, l *Listener) {
	if c.flaw == "client.honest" {
		c.inClear(l)
		return
	}
	conn, err := net.Dial("tcp", l.Addr)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(c.waits(l)))
	wire := &pieces{Conn: conn, whole: l.early}
	leg := starttls.NewLeg(wire, c.dialect, dialect.Client, c.implicit)
	leg.Show = func(says dialect.Side, m dialect.Message, raw []byte) {
		if says == dialect.Client {
			wire.said++
			wire.tag, _, _ = strings.Cut(string(raw), " ")
			wire.whole = wire.whole || m.Kind == dialect.Upgrade && c.flaw == "client.injected"
		}
	}
	switch {
	case c.implicit:
	case c.flaw == "client.early":
		err = c.believes(leg, wire)
	default:
		_, err = leg.Walk("localhost")
	}
	if err != nil {
		c.goesOn(l, leg)
		return
	}
	if leg = c.upgrade(ctx, leg); leg == nil {
		if c.flaw == "client.broken" {
			c.inClear(l)
		}
		return
	}
	c.within(leg, nextTag(wire.tag))
}

// waits is how long a client waits for a villain. The others answer, or leave.
func (c client) waits(l *Listener) time.Duration {
	first := c.dialect.Script.Clear[0]
	switch {
	case l.upgrade == staysSilent, l.instead == blackhole, l.early && c.flaw == "",
		l.deaf && !c.worded(dialect.Message{Kind: dialect.No, Re: first.Kind}),
		l.strip && first.Says == dialect.Server && !c.worded(dialect.Message{Kind: first.Kind}):
		return impatience
	}
	return limit
}

// worded reports whether a server has words for a message.
func (c client) worded(m dialect.Message) bool {
	return len(c.dialect.Speak(dialect.Server, false).Write(nil, m)) > 0
}

// goesOn is what a client does that came to no go-ahead.
func (c client) goesOn(l *Listener, leg *starttls.Leg) {
	switch c.flaw {
	case "client.stripped", "client.refused", "client.preauth":
		if !slices.Contains(oneWay, c.dialect.Name) {
			leg.Conn.SetReadDeadline(time.Now().Add(limit))
			c.works(leg.Conn, workOf(c.dialect).clear)
			return
		}
		c.inClear(l)
	case "client.broken":
		c.inClear(l)
	}
}

// oneWay are the dialects in which a refusal is the end of the connection, or its answer is.
var oneWay = []string{"postgres", "xmpp", "xmpp-server", "http", "tds", "rdp", "vnc", "nbd", "amqp"}

// inClear does the work on a connection of its own, without asking for TLS.
func (c client) inClear(l *Listener) {
	conn, err := net.Dial("tcp", l.Addr)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(limit))
	wire := &pieces{Conn: conn, whole: l.early}
	leg := starttls.NewLeg(wire, c.dialect, dialect.Client, false)
	words := workOf(c.dialect)
	switch {
	case l.deaf && words.atOnce != "":
		words.clear = words.atOnce
	case !c.implicit:
		if _, err := leg.Approach("localhost"); err != nil && !errors.Is(err, starttls.ErrNotOffered) {
			return
		}
	case c.dialect.Script.Clear[0].Kind == dialect.Hello:
		leg.Say(dialect.Message{Kind: dialect.Hello, Name: "localhost"})
	}
	c.works(wire, words.clear)
}

// works says its work and waits for an answer.
func (c client) works(conn net.Conn, words string) {
	conn.Write([]byte(words))
	conn.Read(make([]byte, 1))
}

// errBelieves ends the road of a client that believes to be inside TLS.
var errBelieves = errors.New("TLS has begun")

// believes goes the road to TLS as one who takes a go-ahead that stood there before it was asked for, and
// then works.
func (c client) believes(leg *starttls.Leg, wire *pieces) error {
	_, err := leg.Approach("localhost")
	words := goAhead(c.dialect, nextTag(wire.tag))
	if len(words) == 0 || !bytes.HasSuffix(wire.heard, words) {
		return errors.Join(err, asks(leg))
	}
	said := 0
	for _, line := range c.dialect.Script.Clear { // what it has not said yet, up to the upgrade
		if line.Says == dialect.Server {
			continue
		}
		if said++; said > wire.said {
			leg.Say(dialect.Message{Kind: line.Kind, Name: "localhost"})
		}
	}
	c.works(leg.Conn, workOf(c.dialect).inside)
	return errBelieves
}

// asks asks for TLS and hears the go-ahead.
func asks(leg *starttls.Leg) error {
	leg.Say(dialect.Message{Kind: dialect.Upgrade, Name: "localhost"})
	for {
		if m, err := leg.Hear(); err != nil || m.Kind == dialect.Ready {
			return err
		}
	}
}

// upgrade begins TLS and returns the leg inside, nil if that fails.
func (c client) upgrade(ctx context.Context, leg *starttls.Leg) *starttls.Leg {
	if c.flaw != "client.injected" {
		if _, err := leg.BeginClient(ctx, c.config()); err != nil {
			return nil
		}
		return leg
	}
	rest := leg.Rest()
	secured := tls.Client(leg.Conn, starttls.Strict(c.config(), c.dialect))
	if secured.HandshakeContext(ctx) != nil {
		return nil
	}
	return starttls.NewLeg(&kept{Conn: secured, rest: rest}, c.dialect, dialect.Client, true)
}

// within goes the script's road inside TLS and does the work.
func (c client) within(leg *starttls.Leg, tag string) {
	d, script := c.dialect, c.dialect.Script.Inside
	if c.implicit {
		script = nil
		for _, line := range d.Script.Clear { // up to the upgrade that there is not
			if line.Kind == dialect.Upgrade || line.Kind == dialect.Ask && d.Name != "tds" {
				break
			}
			script = append(script, line)
		}
	}
	if d.Again {
		script = nil // the answer was heard
	}
	if d.Again && c.flaw == "client.injected" {
		leg.Conn.Read(make([]byte, 1<<10)) // or is, in what came before
	}
	for _, line := range script {
		if !c.follows(leg, line, tag) {
			return
		}
	}
	c.works(leg.Conn, workOf(d).inside)
	if c.flaw == "client.injected" { // who was asked for more says it
		c.works(leg.Conn, "p\x00\x00\x00\x0bsecret\x00")
	}
}

// follows says a line of a script, under a tag, or hears it if there are words for it.
func (c client) follows(leg *starttls.Leg, line dialect.Line, tag string) bool {
	if line.Says == dialect.Client {
		return leg.Say(dialect.Message{Kind: line.Kind, Name: "localhost", Tag: tag}) == nil
	}
	if len(c.dialect.Speak(dialect.Server, true).Write(nil, dialect.Message{Kind: line.Kind})) == 0 {
		return true
	}
	for {
		if _, err := leg.Hear(); err != nil {
			return false
		}
		if !leg.Pending() {
			return true
		}
	}
}

// pieces is a path that passes on little at a time, and late.
type pieces struct {
	net.Conn
	whole   bool   // what is read is not in pieces
	heard   []byte // all of it
	said    int    // messages
	tag     string // of the last of them
	in, out int
}

// sizes are those of pieces, in turn.
var sizes = []int{1, 2, 3, 5, 800}

func (p *pieces) Read(buf []byte) (int, error) {
	if !p.whole {
		buf = buf[:min(len(buf), sizes[p.in%len(sizes)])]
		p.in++
	}
	n, err := p.Conn.Read(buf)
	p.heard = append(p.heard, buf[:n]...)
	return n, err
}

func (p *pieces) Write(buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		piece := buf[n:min(len(buf), n+sizes[p.out%len(sizes)])]
		p.out++
		var said int
		said, err = p.Conn.Write(piece)
		n += said
		time.Sleep(100 * time.Microsecond) // so that it is a segment
	}
	return n, err
}

// kept is a connection inside TLS from which is read first what came in the clear.
type kept struct {
	net.Conn
	rest []byte
}

func (k *kept) Read(p []byte) (int, error) {
	if len(k.rest) == 0 {
		return k.Conn.Read(p)
	}
	n := copy(p, k.rest)
	k.rest = k.rest[n:]
	return n, nil
}
