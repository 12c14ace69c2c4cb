package verify

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"starttls"
	"starttls/dialect"
)

// rows are the attacks. CI are of command injection and state, G of gateways.
var rows = []row{
	{"CI-1", "a command glued to the upgrade is not executed", func(p *probe) (string, error) { return p.inject(p.question(), 0) }},
	{"CI-6", "a fragment glued to the upgrade is not put before what comes inside TLS", func(p *probe) (string, error) { return p.inject([]byte("XYZ"), 0) }},
	{"CI-8", "a ClientHello glued to the upgrade is taken", early},
	{"CI-9", "a command in the next segment is not executed", func(p *probe) (string, error) { return p.inject(p.question(), 20*time.Millisecond) }},
	{"CI-9b", "nor one byte by byte", trickle},
	{"CI-13", "a second upgrade inside TLS is refused", second},
	{"CI-13b", "TLS is not offered inside TLS", offered},
	{"CI-19", "clear text after the go-ahead ends the connection", clearAfter},
	{"G-2", "work before TLS is refused where TLS is demanded", workFirst},
	{"G-9", "a peer of another protocol is refused by ALPN", wrongALPN},
	{"G-11", "a line without end ends the connection", endless},
}

// settleTime is how long an unasked answer may take to come.
const settleTime = 300 * time.Millisecond

// inject says the upgrade and bytes behind it, shakes hands, and looks for an answer to them.
func (p *probe) inject(bytes []byte, after time.Duration) (string, error) {
	upgrade, err := p.ready()
	if err != nil {
		return "", err
	}
	if after == 0 {
		upgrade = append(upgrade, bytes...)
	}
	if _, err := p.raw.Write(upgrade); err != nil {
		return "", err
	}
	if after > 0 {
		time.Sleep(after)
		p.raw.Write(bytes)
	}
	return p.outcome()
}

// trickle says upgrade and injection byte by byte.
func trickle(p *probe) (string, error) {
	upgrade, err := p.ready()
	if err != nil {
		return "", err
	}
	for _, b := range append(upgrade, p.question()...) {
		if _, err := p.raw.Write([]byte{b}); err != nil {
			break // the server has had enough
		}
		time.Sleep(time.Millisecond)
	}
	return p.outcome()
}

// outcome shakes hands behind an injection. A handshake that fails is the best end; when it succeeds,
// the server must be silent until it is asked.
func (p *probe) outcome() (string, error) {
	conn, seen, err := p.shake(p.TLS)
	if err != nil || conn == nil {
		return seen, err
	}
	if p.Endpoint.Dialect.Script.ServerFirstInside() {
		return p.oneAnswer(conn)
	}
	conn.SetReadDeadline(time.Now().Add(settleTime))
	buf := make([]byte, 512)
	if n, _ := conn.Read(buf); n > 0 {
		return "", fmt.Errorf("inside TLS comes, unasked, %q", buf[:n])
	}
	return "the bytes are dropped", nil
}

// oneAnswer is for servers that speak first inside TLS: what they say must not be said twice.
func (p *probe) oneAnswer(conn *tls.Conn) (string, error) {
	conn.SetReadDeadline(time.Now().Add(settleTime))
	all, _ := io.ReadAll(io.LimitReader(conn, 64<<10))
	first, _, _ := bytes.Cut(all, []byte("\n"))
	if len(first) > 0 && bytes.Count(all, first) > 1 {
		return "", errors.New("the list inside TLS comes twice")
	}
	return "the bytes are dropped", nil
}

// shake hears the go-ahead on the raw connection and shakes hands. A nil conn and no error is a server
// that has refused or hung up.
func (p *probe) shake(config *tls.Config) (conn *tls.Conn, seen string, err error) {
	if p.Endpoint.Dialect.Script.Acknowledged() {
		switch m, err := p.goAhead(); {
		case err != nil:
			return nil, "hung up", nil
		case m.Kind != dialect.Ready:
			return nil, fmt.Sprintf("refused: %.60q", m.Said()), nil
		}
	}
	conn, err = p.leg.BeginClient(p.ctx, config)
	if errors.Is(err, starttls.ErrInjected) {
		return nil, "", fmt.Errorf("behind the go-ahead comes %.60q", p.leg.Unread())
	}
	if err != nil {
		return nil, "the handshake fails", nil
	}
	return conn, "", nil
}

// goAhead hears the answer to the upgrade.
func (p *probe) goAhead() (m dialect.Message, err error) {
	for range 100 {
		if m, err = p.leg.Hear(); err != nil || m.Kind == dialect.Ready || !p.leg.Pending() {
			break
		}
	}
	return m, err
}

// early sends a ClientHello in the segment of the upgrade.
func early(p *probe) (string, error) {
	upgrade, err := p.ready()
	if err != nil {
		return "", err
	}
	if p.Endpoint.Dialect.Carrier != nil {
		return "", errNone
	}
	glued := &gluedConn{Conn: p.raw, before: upgrade}
	conn := tls.Client(glued, starttls.Strict(p.TLS, p.Endpoint.Dialect))
	glued.goAhead = func() error {
		if !p.Endpoint.Dialect.Script.Acknowledged() {
			return nil
		}
		_, err := p.goAhead()
		glued.rest = p.leg.Rest()
		return err
	}
	if err := conn.HandshakeContext(p.ctx); err != nil {
		return "", fmt.Errorf("the handshake fails: %w", err)
	}
	return "the handshake succeeds", nil
}

// gluedConn puts bytes before the first write, and hears the go-ahead before the first read.
type gluedConn struct {
	net.Conn
	before, rest []byte
	goAhead      func() error
}

func (c *gluedConn) Write(p []byte) (int, error) {
	_, err := c.Conn.Write(append(c.before, p...))
	c.before = nil
	return len(p), err
}

func (c *gluedConn) Read(p []byte) (int, error) {
	if hear := c.goAhead; hear != nil {
		c.goAhead = nil
		if err := hear(); err != nil {
			return 0, err
		}
	}
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// upgraded makes an honest upgrade.
func (p *probe) upgraded() error {
	if !p.Endpoint.Implicit {
		if _, err := p.leg.Walk("verify.invalid"); err != nil {
			return err
		}
	}
	_, err := p.leg.BeginClient(p.ctx, p.TLS)
	return err
}

// second asks for TLS inside TLS.
func second(p *probe) (string, error) {
	if err := p.upgraded(); err != nil {
		return "", err
	}
	upgrade := p.words(false, dialect.Upgrade)
	if len(upgrade) == 0 {
		return "", errNone
	}
	if err := p.leg.Say(dialect.Message{Kind: dialect.Upgrade, Raw: upgrade}); err != nil {
		return "", err
	}
	for range 100 {
		m, err := p.leg.Hear()
		switch {
		case err != nil:
			return "hung up", nil
		case m.Kind == dialect.Ready:
			return "", fmt.Errorf("the server goes ahead: %.60q", m.Said())
		case m.Kind == dialect.No || m.Kind == dialect.Bye:
			return fmt.Sprintf("%.60q", strings.TrimSpace(string(m.Said()))), nil
		case !p.leg.Pending() && m.Re == dialect.Upgrade:
			return "", fmt.Errorf("the answer is %.60q", m.Said())
		}
	}
	return "", errors.New("no answer")
}

// offered asks inside TLS what there is.
func offered(p *probe) (string, error) {
	if err := p.upgraded(); err != nil {
		return "", err
	}
	kind := dialect.Ask
	if len(p.words(true, kind)) == 0 {
		kind = dialect.Hello
	}
	if len(p.words(true, kind)) == 0 {
		return "", errNone
	}
	if err := p.leg.Say(dialect.Message{Kind: kind, Name: "verify.invalid"}); err != nil {
		return "", err
	}
	for range 100 {
		m, err := p.leg.Hear()
		switch {
		case err != nil:
			return "", err
		case (m.Kind == dialect.Caps || m.Kind == dialect.Greeting) && m.Offer != dialect.Unsaid:
			return "", fmt.Errorf("%.60q", m.Said())
		case !p.leg.Pending() && m.Kind != dialect.Greeting:
			return "not in the list", nil
		}
	}
	return "", errors.New("no answer")
}

// clearAfter talks on in the clear after the go-ahead.
func clearAfter(p *probe) (string, error) {
	upgrade, err := p.ready()
	if err != nil {
		return "", err
	}
	if _, err := p.raw.Write(upgrade); err != nil {
		return "", err
	}
	if len(p.question()) == 0 {
		return "", errNone
	}
	if p.Endpoint.Dialect.Script.Acknowledged() {
		if m, err := p.goAhead(); err != nil || m.Kind != dialect.Ready {
			return "", fmt.Errorf("no go-ahead, but %.60q, %v", m.Said(), err)
		}
	}
	p.raw.Write(p.question())
	left, _ := io.ReadAll(io.LimitReader(p.raw, 64<<10)) // it ends with a reset, as likely as not
	if p.ctx.Err() != nil {
		return "", errors.New("the connection stays open")
	}
	if len(left) > 0 && left[0] != recordAlert {
		return "", fmt.Errorf("in the clear comes %.60q", left)
	}
	return "hung up", nil
}

// recordAlert is the first byte of a TLS alert (RFC 8446 §5.1).
const recordAlert = 0x15

// workFirst does real work before TLS.
func workFirst(p *probe) (string, error) {
	switch {
	case p.Endpoint.Implicit:
		return "", errFirstByte
	case !p.Demands:
		return "", errOptional
	case len(p.work()) == 0:
		return "", errNone
	}
	if p.Endpoint.Dialect.Script.ServerFirst() {
		if _, err := p.leg.Hear(); err != nil {
			return "", err
		}
	}
	if err := p.leg.Say(dialect.Message{Kind: dialect.Secret, Raw: p.work()}); err != nil {
		return "", err
	}
	m, err := p.leg.Hear()
	switch {
	case err != nil:
		return "hung up", nil
	case m.Kind == dialect.No || m.Kind == dialect.Bye:
		return fmt.Sprintf("%.60q", strings.TrimSpace(string(m.Said()))), nil
	}
	return "", fmt.Errorf("the answer is %.60q", m.Said())
}

// wrongALPN offers the ALPN ids of the web only.
func wrongALPN(p *probe) (string, error) {
	if p.Endpoint.Dialect.ALPN == nil {
		return "", errNone
	}
	config := p.TLS.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	if !p.Endpoint.Implicit {
		if _, err := p.leg.Walk("verify.invalid"); err != nil {
			return "", err
		}
	}
	if _, err := p.leg.BeginClient(p.ctx, config); err == nil {
		return "", errors.New("the handshake succeeds")
	}
	return "the handshake fails", nil
}

// endless sends four megabytes that are no message, and goes on if nobody minds.
func endless(p *probe) (string, error) {
	if p.Endpoint.Implicit {
		return "", errFirstByte
	}
	piece := bytes.Repeat([]byte("A"), 64<<10)
	for range 64 {
		if _, err := p.raw.Write(piece); err != nil {
			return "hung up", nil
		}
	}
	io.Copy(io.Discard, p.raw)
	if p.ctx.Err() != nil {
		return "", errors.New("the connection stays open")
	}
	return "hung up", nil
}
