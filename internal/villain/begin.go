package villain

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"starttls/dialect"
)

// begin goes ahead: TLS, or what the villain does in its place. said is nil for implicit TLS.
func (m *meeting) begin(ctx context.Context, said *dialect.Message) {
	if m.villain.instead != handshake {
		m.interrupt(said)
		return
	}
	if m.villain.behind {
		m.leg.Conn = &behindConn{Conn: m.conn, glue: glued(m.leg.Dialect, m.villain, *said)}
	}
	config := m.pki.config(m.villain.shows, m.villain.old)
	var err error
	if said == nil {
		_, err = m.leg.BeginTLS(ctx, config)
	} else {
		_, err = m.leg.BeginServer(ctx, *said, config)
	}
	if err != nil {
		m.seen.end(err)
		return
	}
	m.seen.shook = 1
	m.forget(said)
	if m.villain.behind {
		m.holdBack()
		return
	}
	m.within()
}

// forget passes over the upgrade where a leg hears it once more inside TLS, for who has a server behind: the
// client does not say it. One that is answered inside stays, unless a forged answer is there.
func (m *meeting) forget(upgrade *dialect.Message) {
	d := m.leg.Dialect
	if upgrade == nil || !d.Retold && !(d.Again && m.villain.behind) {
		return
	}
	if again, ok, _ := m.leg.Next(); ok && d.Again {
		m.leg.Words(again.Reply(dialect.Caps, dialect.Unknown))
	}
}

// interrupt says the go-ahead and no handshake.
func (m *meeting) interrupt(said *dialect.Message) {
	if said != nil && m.leg.Say(said.Reply(dialect.Ready, dialect.Unknown)) != nil {
		return
	}
	if m.villain.instead == blackhole {
		m.wait()
		return
	}
	m.conn.SetReadDeadline(time.Now().Add(m.config.Patience))
	if len(m.leg.Unread()) == 0 { // of the ClientHello
		if err := m.leg.Fill(); err != nil {
			m.seen.end(err)
			return
		}
	}
	if tcp, ok := m.conn.(*net.TCPConn); ok && m.villain.instead == reset {
		tcp.SetLinger(0) // its close is a reset
		return
	}
	m.write("220 This is no TLS\r\n")
	m.wait()
}

// within hears what the client says inside TLS.
func (m *meeting) within() {
	if m.opens() {
		m.converse(&m.seen.inside, m.replies)
	}
}

// opens says what the server says first inside TLS, where it does.
func (m *meeting) opens() bool {
	d, script := m.leg.Dialect, m.leg.Dialect.Script.Inside
	first := d.Script.ServerFirstInside() && !d.Again
	if m.config.Endpoint.Implicit {
		script, first = d.Script.Clear, d.Script.ServerFirst()
	}
	if !first {
		return true
	}
	words := m.offering(dialect.Message{Kind: script[0].Kind})
	words.Name = m.config.Names[0]
	return m.leg.Say(words) == nil
}

// holdBack says nothing inside TLS, and looks whether the client has read the answer that it was given in
// the clear.
func (m *meeting) holdBack() {
	said, err := m.hold()
	if err != nil {
		m.seen.end(err)
		return
	}
	took := m.leak(said, &m.seen.inside)
	if said.Kind != dialect.Bye && !m.leg.Dialect.Script.ServerFirstInside() {
		said, err = m.hold() // the first was its question; who speaks again has got an answer to it
		took = err == nil && said.Kind != dialect.Bye
	}
	m.seen.took = took
}

// hold hears the next message, if it comes in time.
func (m *meeting) hold() (dialect.Message, error) {
	m.conn.SetReadDeadline(time.Now().Add(m.config.Hold))
	said, err := m.leg.Hear()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errWaits
	}
	return said, err
}

// errWaits is a client that waits for its answer.
var errWaits = errors.New("it waits for the answer")

// behindConn puts words behind the first that are written: one segment.
type behindConn struct {
	net.Conn
	glue []byte
}

func (c *behindConn) Write(p []byte) (int, error) {
	glue := c.glue
	c.glue = nil
	n, err := c.Conn.Write(append(p[:len(p):len(p)], glue...))
	return min(n, len(p)), err
}

// NetConn returns the connection below, as that of tls.Conn does.
func (c *behindConn) NetConn() net.Conn { return c.Conn }
