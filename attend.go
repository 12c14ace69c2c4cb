package starttls

import (
	"io"

	"starttls/dialect"
)

// Attend serves a client in the clear until it asks for TLS, and returns that request, for
// [Leg.BeginServer]. The client may name itself, ask what there is, and leave; everything else is
// refused in the protocol's words. name is what we call ourselves. A client that leaves is io.EOF.
func (l *Leg) Attend(name string) (dialect.Message, error) {
	if l.Dialect.Script.ServerFirst() {
		greeting := dialect.Message{Kind: dialect.Greeting, Name: name, Offer: dialect.Required}
		if err := l.Say(greeting); err != nil {
			return greeting, l.fail(dialect.Greeting, err)
		}
	}
	for range maxMessages {
		m, err := l.Hear()
		if err != nil {
			return m, l.fail(m.Kind, err)
		}
		if m.Kind == dialect.Upgrade && m.Why == dialect.Unknown {
			return m, nil
		}
		if err := l.Say(Answer(m, l.Known(name))); err != nil {
			return m, l.fail(m.Kind, err)
		}
		if m.Kind == dialect.Bye {
			return m, l.fail(m.Kind, io.EOF)
		}
	}
	l.Say(dialect.Message{Kind: dialect.No, Why: dialect.TooMuch})
	return dialect.Message{}, l.fail(dialect.Upgrade, ErrTooLong)
}

// Known returns the name by which this client knows us: the one that it asked for, where it does, or
// name.
func (l *Leg) Known(name string) string {
	if l.Dialect.Named && l.asked != "" {
		return l.asked
	}
	return name
}

// Answer is what a server that demands TLS, and calls itself name, says to m.
func Answer(m dialect.Message, name string) dialect.Message {
	if m.Why != dialect.Unknown {
		return m.Reply(dialect.No, m.Why)
	}
	switch m.Kind {
	case dialect.Hello, dialect.Ask:
		caps := m.Reply(dialect.Caps, dialect.Unknown)
		caps.Name, caps.Offer = name, dialect.Required
		return caps
	case dialect.Other, dialect.Bye:
		return m.Reply(m.Kind, dialect.Unknown)
	default:
		return m.Reply(dialect.No, dialect.TLSRequired)
	}
}
