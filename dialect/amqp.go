package dialect

import "fmt"

// AMQP is the TLS protocol header of AMQP 1.0. Other versions have none, and there is no ALPN id for
// any of them.
var AMQP = Dialect{
	Name: "amqp",
	Spec: "OASIS AMQP 1.0 §5.2",
	Schemes: []Scheme{
		{Name: "amqp", Port: 5672},
		{Name: "amqps", Port: 5671, Implicit: true},
	},
	Script: script("u R |"),
	Tried:  []string{"RabbitMQ 3.10.8 as a server without TLS", "pack.ag/amqp 0.11.2 as a client"},
	Limit:  amqpHeader,
	Speak:  func(we Side, inside bool) Speech { return speech{&amqp{inside: inside}, we} },
}

const amqpHeader = 8 // "AMQP", protocol, major, minor, revision (§2.2)

// What both sides open with (§2.2, §5.2.1, §5.3.1).
const (
	amqpTLS  = "AMQP\x02\x01\x00\x00"
	amqpSASL = "AMQP\x03\x01\x00\x00"
)

type amqpPhase uint8

const (
	amqpStart amqpPhase = iota // the client's header
	amqpAsked                  // the server's answer to the TLS header
	amqpReady                  // TLS follows on this leg and nothing else
	amqpOpen                   // nothing that follows concerns TLS
	amqpOver                   // the server has refused, and closes (§2.2)
)

type amqp struct {
	inside bool
	phase  amqpPhase
}

func (a *amqp) Pending() bool { return a.phase == amqpAsked }
func (a *amqp) Settled() bool { return a.phase == amqpOpen }
func (a *amqp) over() bool    { return a.phase == amqpOver }

// cutAMQP cuts a protocol header.
func cutAMQP(buf []byte) (header string, n int, err error) {
	if i := min(len(buf), 4); string(buf[:i]) != amqpTLS[:i] {
		return "", 0, noise("no AMQP header")
	}
	if len(buf) < amqpHeader {
		return "", 0, nil
	}
	return string(buf[:amqpHeader]), amqpHeader, nil
}

// request reads the client's header. Any but that of TLS begins the work: SASL, AMQP itself, or one of
// the versions before 1.0 (0-9-1 says "AMQP" 0 0 9 1), which a server that wants no TLS may speak.
func (a *amqp) request(buf []byte) (Message, int, error) {
	switch a.phase {
	case amqpOpen:
		return Message{Kind: Secret}, 1, nil
	case amqpStart:
	default:
		return Message{}, 0, noise("the client speaks out of turn")
	}
	header, n, err := cutAMQP(buf)
	switch {
	case n == 0 || err != nil:
		return Message{}, 0, err
	case header[4] != amqpTLS[4]:
		a.phase = amqpOpen
		return Message{Kind: Secret}, n, nil
	}
	m := Message{Kind: Upgrade}
	if a.inside {
		m.Why = AlreadyTLS
	} else if header != amqpTLS {
		m.Why = BadSyntax // another version of the TLS layer
	}
	a.phase = amqpAsked
	return m, n, nil
}

// reply reads the server's answer to the TLS header: the same, or one that it would rather hear before
// it closes (§2.2).
func (a *amqp) reply(buf []byte) (Message, int, error) {
	switch a.phase {
	case amqpOpen:
		return Message{}, 1, nil
	case amqpAsked:
	default:
		return Message{}, 0, noise("the server speaks out of turn")
	}
	header, n, err := cutAMQP(buf)
	switch {
	case n == 0 || err != nil:
		return Message{}, 0, err
	case header == amqpTLS:
		a.phase = amqpReady
		return Message{Kind: Ready, Re: Upgrade}, n, nil
	}
	a.phase = amqpOver
	text := fmt.Sprintf("AMQP %d.%d.%d, protocol %d", header[5], header[6], header[7], header[4])
	return Message{Kind: No, Re: Upgrade, Why: TLSUnavailable, Text: text}, n, nil
}

// say: a refusal is the header that would have been right. Nothing is said for want of a server, which
// no other header would help.
func (a *amqp) say(dst []byte, m Message) []byte {
	switch m.Kind {
	case Upgrade, Ready:
		return append(dst, amqpTLS...)
	case No:
		right := amqpTLS
		switch {
		case m.Why == Unavailable || m.Why == TooMuch || a.phase == amqpReady:
			right = ""
		case a.inside || m.Re == Upgrade && m.Why != BadSyntax:
			right = amqpSASL
		}
		a.phase = amqpOver
		return append(dst, right...)
	}
	return dst
}
