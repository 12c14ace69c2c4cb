package dialect

import (
	"bytes"
)

// Telnet is the START_TLS option of Telnet, which TN3270 has as well. The draft expired; what is here is
// what its clients do: they agree and say FOLLOWS in one breath.
var Telnet = Dialect{
	Name:    "telnet",
	Spec:    "draft-altman-telnet-starttls-02",
	Schemes: []Scheme{{Name: "telnet", Port: 23}, {Name: "telnets", Port: 992, Implicit: true}},
	Script:  script("G u R | G"),
	Alone:   true, // openssl reads once, and takes nothing but the offer
	Fresh:   true, // all options are negotiated anew
	Tried:   []string{"OpenSSL 3.0, as a client alone"},
	Limit:   4 << 10,
	Speak:   func(we Side, inside bool) Speech { return speech{&telnet{inside: inside}, we} },
}

// Commands (RFC 854) and the option.
const (
	telnetSE      = 240
	telnetNOP     = 241
	telnetSB      = 250
	telnetWILL    = 251
	telnetWONT    = 252
	telnetDO      = 253
	telnetDONT    = 254
	telnetIAC     = 255
	telnetTLS     = 46
	telnetFOLLOWS = 1
)

var (
	telnetOffer   = []byte{telnetIAC, telnetDO, telnetTLS}
	telnetAgree   = []byte{telnetIAC, telnetWILL, telnetTLS}
	telnetRefuse  = []byte{telnetIAC, telnetDONT, telnetTLS}
	telnetFollows = []byte{telnetIAC, telnetSB, telnetTLS, telnetFOLLOWS, telnetIAC, telnetSE}
	telnetUpgrade = append(bytes.Clone(telnetAgree), telnetFollows...)
	telnetNothing = []byte{telnetIAC, telnetNOP}
)

type telnet struct {
	inside bool
	begun  bool // the server has spoken
	wait   bool // the server has to answer an upgrade
	secret bool // real work has begun
	shut   bool // we have refused

	ask, option byte // WILL or DO, if that was the client's last word, and of what
}

func (s *telnet) Pending() bool { return s.wait }

// Settled: START_TLS comes before all else that a client says.
func (s *telnet) Settled() bool { return s.secret }

// cutTelnet cuts a command, or one byte of data. For data, command is IAC.
func cutTelnet(buf []byte) (n int, command, option byte, err error) {
	switch {
	case buf[0] != telnetIAC:
		return 1, telnetIAC, 0, nil
	case len(buf) == 1:
		return 0, 0, 0, nil
	case buf[1] < telnetSB || buf[1] == telnetIAC:
		return 2, buf[1], 0, nil
	case len(buf) == 2:
		return 0, 0, 0, nil
	case buf[1] != telnetSB:
		return 3, buf[1], buf[2], nil
	}
	for n = 3; n+1 < len(buf); n++ {
		switch {
		case buf[n] != telnetIAC:
		case buf[n+1] == telnetSE:
			return n + 2, telnetSB, buf[2], nil
		case buf[n+1] == telnetIAC: // one byte of it (RFC 855)
			n++
		default:
			return 0, 0, 0, noise("a command in an option")
		}
	}
	return 0, 0, 0, nil
}

func (s *telnet) request(buf []byte) (Message, int, error) {
	if s.shut {
		return Message{}, 0, noise("more behind the last word")
	}
	n, command, option, err := cutTelnet(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	s.ask = 0
	m := Message{Kind: Secret}
	switch {
	case option == telnetTLS && command == telnetWILL:
		return s.upgrade(buf)
	case option == telnetTLS && command == telnetSB:
		m.Kind, m.Why, s.wait = Upgrade, NotNow, true // it was not agreed upon
	case option == telnetTLS && command == telnetWONT: // the client goes on without
	case command < telnetSB:
		m.Kind = Other
	case command != telnetSB && command != telnetIAC:
		m.Kind, s.ask, s.option = Other, command, option
	}
	s.secret = s.secret || m.Kind == Secret
	return m, n, nil
}

// upgrade cuts the client's consent and the FOLLOWS behind it. Behind a consent nothing else is lawful.
func (s *telnet) upgrade(buf []byte) (Message, int, error) {
	n := min(len(buf), len(telnetUpgrade))
	if !bytes.Equal(buf[:n], telnetUpgrade[:n]) {
		return Message{}, 0, noise("START_TLS without FOLLOWS")
	}
	if n < len(telnetUpgrade) {
		return Message{}, 0, nil
	}
	m := Message{Kind: Upgrade}
	if s.inside {
		m.Why = AlreadyTLS
	}
	s.wait = true
	return m, n, nil
}

func (s *telnet) reply(buf []byte) (Message, int, error) {
	n, command, option, err := cutTelnet(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	m := Message{}
	if s.wait {
		m.Re = Upgrade
	}
	switch {
	case !s.begun:
		m.Kind = Greeting // whatever it is
	case option == telnetTLS && command == telnetDO:
		m.Kind = Caps
	}
	switch {
	case option != telnetTLS:
	case command == telnetDO:
		m.Offer = Offered
	case command == telnetSB && (!s.wait || !bytes.Equal(buf[:n], telnetFollows)):
		return Message{}, 0, noise("FOLLOWS out of place")
	case command == telnetSB:
		m.Kind, s.wait = Ready, false
	case s.wait && command != telnetWILL:
		m.Kind, m.Why, s.wait = No, TLSUnavailable, false
	}
	s.begun = true
	return m, n, nil
}
