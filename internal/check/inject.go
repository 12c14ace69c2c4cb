package check

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/finding"
	"starttls/internal/hello"
)

// injects glues a question to the upgrade, in one of three ways.
func injects(way edit) func(*visit) (edit, bool) {
	return func(v *visit) (edit, bool) {
		e, d := way, v.endpoint.Dialect
		if v.honest.stage < secured || e.rush && !rushes(d) || len(words(d, dialect.Upgrade, v.calls())) == 0 {
			return edit{}, false
		}
		e.glue = d.Speak(dialect.Client, false).Write(nil, v.question())
		return e, len(e.glue) > 0
	}
}

// question is what is injected: what there is, who we are, or the first work, whichever the protocol has.
func (v *visit) question() dialect.Message {
	for _, kind := range []dialect.Kind{dialect.Ask, dialect.Hello} {
		if len(words(v.endpoint.Dialect, kind, v.calls())) > 0 {
			return dialect.Message{Kind: kind, Name: v.calls()}
		}
	}
	return dialect.Message{Kind: dialect.Secret, Raw: []byte(v.endpoint.Dialect.Work)}
}

// fragment glues words without an end to the upgrade: who keeps them puts them before the first line
// that comes inside TLS.
func fragment(v *visit) (edit, bool) {
	return edit{glue: []byte("XYZ")}, v.honest.stage >= secured && textual(v.endpoint.Dialect)
}

// textual reports whether the dialect's upgrade is a line of text.
func textual(d *dialect.Dialect) bool {
	upgrade := words(d, dialect.Upgrade, "localhost")
	return len(upgrade) > 0 && upgrade[len(upgrade)-1] == '\n' && !slices.ContainsFunc(upgrade, func(b byte) bool { return b >= 0x7f || b < '\n' })
}

// judgeInjection compares what the server says to our goodbye with what it says when nothing was
// injected. Whatever was executed has been answered before that.
func judgeInjection(v *visit, t *talk) {
	const injection, behind = "clear.command-injection", "clear.bytes-after-ready"
	switch {
	case errors.Is(t.err, starttls.ErrInjected) && v.answered(t.behind):
		v.say(behind, finding.Insufficient, "the server answers in the clear, behind its go-ahead, what was sent behind the upgrade: %s", finding.Quote(t.behind))
		v.say(injection, finding.Good, handshakeFails)
		return
	case errors.Is(t.err, starttls.ErrInjected):
		v.say(injection, finding.Good, handshakeFails)
	case t.stage <= goAhead && errors.Is(t.err, errSilent):
		v.say(injection, finding.NotTestable, "%v", t.err)
		v.say(behind, finding.NotTestable, "%v", t.err)
		return
	case t.stage == goAhead:
		v.say(injection, finding.Good, handshakeFails)
	case t.stage < goAhead:
		v.say(injection, finding.Good, "the server does not go ahead: %s", cause(t))
	case t.stage < left:
		v.say(injection, finding.NotTestable, "%v", t.err)
	case noticed.Match(t.refusal):
		v.say(injection, finding.Good, "the server notices it: %s", finding.Quote(t.refusal))
	case !slices.Equal(kindsOf(t), kindsOf(v.control)):
		v.say(injection, finding.Insufficient, "the goodbye inside TLS is answered by %s, and without injection by %s", kindNames(kindsOf(t)), kindNames(kindsOf(v.control)))
	default:
		v.say(injection, finding.Good, "what stands behind the upgrade is dropped")
	}
	v.say(behind, finding.Good, "nothing that stands behind the upgrade is answered in the clear")
}

// noticed are the words of a server that has seen that something stood behind the upgrade.
var noticed = regexp.MustCompile(`(?i)received unencrypted data after`)

// handshakeFails is what most servers do with an injected command: they read it as a ClientHello. Whether an
// alert, some words in the clear or nothing but the end of the connection is seen of that is chance, and so
// is not told.
const handshakeFails = "the handshake fails on what stands behind the upgrade"

// answered reports whether words that were said in the clear, where TLS must follow, answer what was sent
// behind the upgrade. An alert, a refusal and a goodbye say no more than that the handshake has failed.
func (v *visit) answered(words []byte) bool {
	if len(words) > 0 && words[0] == recordAlert {
		return false
	}
	s := v.endpoint.Dialect.Speak(dialect.Client, false)
	s.Read(v.honest.heard.Greeting.Raw)
	s.Write(nil, v.question())
	for {
		m, n, err := s.Read(words)
		switch {
		case err != nil, n == 0, m.Kind == dialect.No, m.Kind == dialect.Bye:
			return false
		case m.Kind == dialect.Caps, !s.Pending():
			return true
		}
		words = words[n:]
	}
}

// The first bytes of an alert and of a handshake (RFC 8446 §5.1).
const recordAlert, recordHandshake = 0x15, 0x16

// refused reports whether an answer is a refusal.
func refused(answer []dialect.Message) bool {
	return len(answer) > 0 && answer[len(answer)-1].Kind == dialect.No
}

// kindsOf are the kinds of all that was said inside TLS without a question but the goodbye.
func kindsOf(t *talk) (all []dialect.Kind) {
	for _, m := range t.first {
		all = append(all, m.Kind)
	}
	return append(all, t.last...)
}

func kindNames(kinds []dialect.Kind) string {
	var names []string
	for _, k := range kinds {
		if k == noise {
			names = append(names, "something else")
		} else {
			names = append(names, fmt.Sprintf("%q", k))
		}
	}
	return list(names)
}

// early sends a ClientHello in the segment of the upgrade, and another one when there is no answer. The first
// has the suite of the honest session and no other, the second has all others: the answer tells which of the
// two it is for, however late it comes.
func early(v *visit) (edit, bool) { return v.early(v.lull()) }

// earlyAgain asks again, with time, a server for which the second ClientHello was too much, perhaps.
func earlyAgain(v *visit) (edit, bool) {
	const patience = 3 * time.Second
	e, ok := v.early(patience)
	return e, ok && v.hasty
}

func (v *visit) early(patience time.Duration) (edit, bool) {
	d := v.endpoint.Dialect
	if v.honest.stage < secured || !d.Script.Acknowledged() || d.Carrier != nil {
		return edit{}, false
	}
	first := (&probing{visit: v}).base(hello.TLS13, hello.TLS12)
	second, agreed := first, v.honest.state.CipherSuite
	first.Suites = []uint16{agreed}
	second.Suites = append(hello.Suites(hello.TLS13, hello.Any), suitesOf(everyClass)...)
	second.Suites = slices.DeleteFunc(second.Suites, func(id uint16) bool { return id == agreed })
	text, err := first.Marshal()
	later, errLater := second.Marshal()
	return edit{glue: text, bare: func(conn net.Conn) error {
		again := time.AfterFunc(patience, func() { conn.Write(later) })
		reply, err := hello.Read(conn)
		refusal, refused := errors.AsType[hello.Alert](err)
		switch waited := !again.Stop(); {
		case reply != nil && reply.Suite == agreed, refused && !waited:
			return nil
		case reply != nil, refusal == hello.HandshakeFailure:
			return errThrownAway
		case hungUp(err) && waited:
			return errHasty
		case hungUp(err):
			return errHungUp
		case refused, errors.Is(err, net.ErrClosed): // for either of the two; or nothing came before time was out
			return errSilent
		}
		return err
	}}, err == nil && errLater == nil
}

// lull is how long the answer to an early ClientHello may take before another one is sent. The verdict does not
// depend on it, only the time that a check takes does.
func (v *visit) lull() time.Duration {
	const times, least = 2, 50 * time.Millisecond
	return max(least, times*(v.honest.times[tHandshake]-v.honest.times[tUpgrade]))
}

// errHasty is a server that hangs up on two ClientHellos.
var errHasty = errors.New("the server ends the session when it is asked once more")

// errHungUp is a server that does not take a ClientHello that is early.
var errHungUp = errors.New("the server ends the session")

// errThrownAway is a server that has answered the second ClientHello in the place of the first.
var errThrownAway = errors.New("the server has thrown it away, and waits for another")

func judgeEarly(v *visit, t *talk) {
	const id = "clear.early-hello"
	switch {
	case errors.Is(t.err, errHasty) && !v.hasty:
		v.hasty = true
	case errors.Is(t.err, errSilent), errors.Is(t.err, errHasty):
		v.say(id, finding.NotTestable, "%v", t.err)
	case t.stage < goAhead:
		v.say(id, finding.Sufficient, "the server does not go ahead: %s", cause(t))
	case t.err == nil:
		v.say(id, finding.Good, "it is answered")
	default:
		v.say(id, finding.Sufficient, "%v", t.err)
	}
}
