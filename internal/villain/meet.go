package villain

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"starttls"
	"starttls/dialect"
)

// maxMessages is how many messages a client may say on one connection.
const maxMessages = 100

// A meeting is one connection of a client with a villain.
type meeting struct {
	*Stage
	villain *Villain
	conn    net.Conn
	leg     *starttls.Leg
	asks    int // questions of the client before TLS
	seen    seen
}

// run plays the villain's part to its end.
func (m *meeting) run(ctx context.Context) {
	m.seen.visits = 1
	if m.config.Endpoint.Implicit {
		m.meetTLS(ctx)
		return
	}
	if !m.greet() {
		return
	}
	m.converse(&m.seen.clear, func(said dialect.Message) (over bool) {
		if said.Kind != dialect.Upgrade || said.Why != dialect.Unknown {
			return m.reply(said) != nil
		}
		m.asked(ctx, &said)
		return true
	})
}

// meetTLS meets a client where TLS is to begin with the first byte: one may speak in the clear there, too.
func (m *meeting) meetTLS(ctx context.Context) {
	if err := m.leg.Fill(); err != nil {
		m.seen.end(err)
		return
	}
	if m.leg.Unread()[0] == recordHandshake {
		m.begin(ctx, nil)
		return
	}
	m.converse(&m.seen.clear, m.replies)
}

// replies answers what a client says that is neither secret nor an upgrade. It reports whether that fails.
func (m *meeting) replies(said dialect.Message) (over bool) { return m.reply(said) != nil }

// converse hears the client up to what is secret, which is noted in where, or to its goodbye. What comes
// between goes to answer.
func (m *meeting) converse(where *string, answer func(dialect.Message) (over bool)) {
	for range maxMessages {
		said, err := m.leg.Hear()
		switch {
		case err != nil:
			m.seen.end(err)
			return
		case m.leak(said, where), said.Kind == dialect.Bye:
			m.last(said)
			return
		case answer(said):
			return
		}
	}
}

// greet says the first words, where the server has them. It reports whether there is more to come.
func (m *meeting) greet() bool {
	script := m.leg.Dialect.Script
	switch {
	case !script.ServerFirst():
		return true
	case m.villain.greeting != "":
		if m.villain.odd {
			m.conn.SetReadDeadline(time.Now().Add(m.config.Patience))
		}
		return m.write(m.villain.greeting)
	}
	first := dialect.Message{Kind: script.Clear[0].Kind}
	asked := fits(m.leg.Dialect, lists)
	if !asked || !m.villain.early && !m.villain.deaf { // the client is to ask what there is
		first = m.offering(first)
	}
	first.Name = m.config.Names[0]
	if m.villain.early && !asked {
		return m.sayEarly(first, dialect.Message{}) == nil
	}
	return m.leg.Say(first) == nil
}

func isQuestion(said dialect.Message) bool {
	return said.Kind == dialect.Hello || said.Kind == dialect.Ask
}

// questions counts those on the road to TLS.
func questions(d *dialect.Dialect) (n int) {
	for _, line := range d.Script.Clear {
		if isQuestion(dialect.Message{Kind: line.Kind}) {
			n++
		}
	}
	return n
}

// offering puts the villain's offer into a greeting or a list. Passwords are always welcome.
func (m *meeting) offering(answer dialect.Message) dialect.Message {
	answer.Mechs, answer.Offer = []string{"PLAIN", "LOGIN"}, dialect.Offered
	if m.villain.strip || m.seen.shook > 0 {
		answer.Offer = dialect.Unsaid
	}
	return answer
}

// reply says the answer to what is not the upgrade.
func (m *meeting) reply(said dialect.Message) error {
	if m.seen.shook == 0 && m.villain.told != "" && isQuestion(said) {
		_, err := io.WriteString(m.leg.Conn, m.villain.told)
		return err
	}
	if m.seen.shook == 0 && m.villain.early && isQuestion(said) {
		if m.asks++; m.asks >= questions(m.leg.Dialect) { // the upgrade is next
			return m.sayEarly(m.answer(said), said)
		}
	}
	return m.leg.Say(m.answer(said))
}

// answer is what is said to everything that is not the upgrade.
func (m *meeting) answer(said dialect.Message) dialect.Message {
	switch {
	case said.Why != dialect.Unknown:
		return said.Reply(dialect.No, said.Why)
	case isQuestion(said) && m.villain.deaf && m.seen.shook == 0:
		return said.Reply(dialect.No, dialect.Unknown)
	case isQuestion(said):
		caps := m.offering(said.Reply(dialect.Caps, dialect.Unknown))
		caps.Name = m.leg.Known(m.config.Names[0])
		return caps
	case said.Kind == dialect.Rival, said.Kind == dialect.Upgrade:
		return said.Reply(dialect.No, dialect.Unknown)
	}
	return said.Reply(dialect.Other, dialect.Unknown)
}

// leak notes what was said that is secret, and reports whether it was.
func (m *meeting) leak(said dialect.Message, where *string) bool {
	if said.Kind != dialect.Secret {
		return false
	}
	if mild := accentOf(m.leg.Dialect).mild; mild != nil && mild(said.Raw) {
		return false
	}
	if *where == "" {
		*where = label(said)
	}
	return true
}

// label names a client's words without giving away what is in them: its first word, if it is one.
func label(said dialect.Message) string {
	text := string(said.Raw)
	if said.Tag != "" {
		text = strings.TrimLeft(strings.TrimPrefix(text, said.Tag), " ")
	}
	word := strings.TrimPrefix(text[:min(len(text), 16)], "<")
	end := strings.IndexFunc(word, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') })
	if end < 2 || end > 12 || !strings.ContainsRune(" \r\n\t>/", rune(word[end])) {
		return "its login or first work"
	}
	return strings.ToUpper(word[:end])
}

// last answers what ends the conversation, and gives the client time to hear it.
func (m *meeting) last(said dialect.Message) {
	kind, why := dialect.No, dialect.Unavailable
	if said.Kind == dialect.Bye {
		kind, why = dialect.Bye, dialect.Unknown
	}
	if m.leg.Say(said.Reply(kind, why)) != nil {
		return
	}
	if half, ok := m.leg.Conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	m.conn.SetReadDeadline(time.Now().Add(m.config.Hold))
	io.CopyN(io.Discard, m.conn, 1<<20)
}

// asked plays what the villain does with the upgrade.
func (m *meeting) asked(ctx context.Context, said *dialect.Message) {
	switch {
	case m.villain.early:
		m.moves()
		return
	case m.villain.upgrade == staysSilent:
		m.after(func(dialect.Message) bool { return false })
		return
	case m.villain.upgrade == goesAhead:
		m.begin(ctx, said)
		return
	case m.villain.upgrade == says:
		if !m.write(m.villain.raw(*said)) {
			return
		}
	case m.leg.Say(said.Reply(dialect.No, m.villain.why)) != nil:
		return
	}
	m.after(m.replies)
}

// after hears what a client says that was refused, or not answered.
func (m *meeting) after(answer func(dialect.Message) bool) {
	m.conn.SetReadDeadline(time.Now().Add(m.config.Patience))
	m.converse(&m.seen.clear, answer)
}

// write says raw words past the leg.
func (m *meeting) write(words string) bool {
	_, err := io.WriteString(m.leg.Conn, words)
	return err == nil
}

// wait waits for the client to leave, and for no longer than the patience.
func (m *meeting) wait() {
	m.conn.SetReadDeadline(time.Now().Add(m.config.Patience))
	_, err := io.CopyN(io.Discard, m.conn, 1<<20)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		m.seen.end(err)
	}
}

// moves looks what the client does that has asked for TLS and was not answered since. Who has taken the
// answer that stood there before begins TLS, or believes to be inside.
func (m *meeting) moves() {
	m.conn.SetReadDeadline(time.Now().Add(m.config.Hold))
	next := m.unread()
	for len(next) == 0 {
		if err := m.leg.Fill(); err != nil {
			m.seen.end(err)
			return
		}
		next = m.unread()
	}
	if m.seen.hasty = next[0] == recordHandshake; m.seen.hasty {
		return
	}
	m.seen.took = true
	m.after(m.replies)
}

// unread is what the client has said, without the line end with which some clients end an upgrade that
// needs none.
func (m *meeting) unread() []byte {
	if m.leg.Dialect.Stray > 0 {
		return bytes.TrimLeft(m.leg.Unread(), "\r\n\t ")
	}
	return m.leg.Unread()
}

// recordHandshake is the first byte of every ClientHello (RFC 8446 §5.1).
const recordHandshake = 0x16
