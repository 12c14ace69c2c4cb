package dialect

import "strings"

// Sieve is STARTTLS in ManageSieve. The server's first words are its capabilities, in the clear and
// again inside TLS (RFC 5804 §1.7, §2.2). A Greeting is said as such a block and heard as Caps; who
// answers the upgrade with words of its own owes the client a Caps inside, before it is asked.
var Sieve = Dialect{
	Name:    "sieve",
	Spec:    "RFC 5804 §2.2",
	Schemes: []Scheme{{Name: "sieve", Port: 4190}},
	Script:  script("C u R | C"),
	ALPN:    []string{"managesieve"},
	Fresh:   true,
	Tells:   "xclient",
	Work:    "AUTHENTICATE \"PLAIN\"\r\n",
	Login:   sieveLogin,
	Tried:   []string{"Dovecot 2.3.19.1", "Cyrus 3.6.1", "sieve-connect 0.90", "OpenSSL 3.0"},
	Limit:   64 << 10,
	Speak:   func(we Side, inside bool) Speech { return teller{speech{&sieve{inside: inside}, we}} },
}

type sieve struct {
	inside bool

	greeted bool   // the server has said its first words
	verb    string // what the outstanding answer is to
	kind    Kind   // its kind
	wait    bool   // it is outstanding
	sasl    bool   // the client's next message is one of an AUTHENTICATE exchange

	offered bool // STARTTLS was in the last list
	secret  bool // real work has begun
	authed  bool

	xclient bool // the server takes XCLIENT from us
	guarded bool // a client's own must be seen
}

// Pending: before the server's first words no question is asked, so that they are no answer to one.
func (s *sieve) Pending() bool { return s.wait || !s.greeted }

// Settled: STARTTLS is valid only before authentication (RFC 5804 §2.2).
func (s *sieve) Settled() bool {
	return s.authed || s.secret && s.greeted && !s.offered && !s.guarded
}

// tell says XCLIENT as Dovecot knows it, which lists it for those who may say it.
func (s *sieve) tell(w Who) (Message, bool) {
	return xclient(nil, [2]string{"ADDR", w.Addr}, [2]string{"PORT", w.Port}), s.xclient
}

func (s *sieve) guard() { s.guarded = true }

func (s *sieve) pass(m Message) (Message, bool) { return m, !saysWord(m.Raw, 0, "XCLIENT") }

func (s *sieve) request(buf []byte) (Message, int, error) {
	n, first, size, err := cutCommand(buf, 0)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	line, crlf := chomp(buf[:first])
	if s.sasl {
		s.sasl, s.wait = false, true
		return Message{Kind: Secret}, n, nil
	}
	if err := foreign(line); err != nil {
		return Message{}, 0, err
	}
	// A literal without "+" is no client's (RFC 5804 §4). What would be its octets are commands.
	alone := size < 0 && first == n
	verb, arg := splitVerb(line)
	m := Message{Kind: Secret}
	switch {
	case laxWord(line, 0) == "STARTTLS":
		m.Kind, m.Why = Upgrade, refusal(s.inside, alone && crlf && verb == "STARTTLS" && arg == "", s.authed)
	case verb == "NOOP": // its tag may be a literal
		m.Kind = Other
	case verb == "CAPABILITY" && alone:
		m.Kind = Ask
	case verb == "LOGOUT" && alone:
		m.Kind = Bye
	}
	s.verb, s.kind, s.wait = verb, m.Kind, true
	s.secret = s.secret || m.Kind == Secret
	return m, n, nil
}

// cutSieve cuts a line of the server, literals and all (RFC 5804 §4, response): a status, or strings.
func cutSieve(buf []byte) (status string, all []string, n int, err error) {
	first, err := cutLine(buf)
	if first == 0 || err != nil {
		return "", nil, 0, err
	}
	text, _ := chomp(buf[:first])
	status, _, _ = strings.Cut(upper(text), " ")
	switch known := status == "OK" || status == "NO" || status == "BYE"; {
	case !known && text == "", !known && text[0] != '"' && text[0] != '{':
		return "", nil, 0, noise("a line that is no response")
	case known:
		return status, nil, cutData(buf), nil
	}
	if n = cutData(buf); n == 0 {
		return "", nil, 0, nil
	}
	if all = quoted(buf[:n]); all == nil {
		return "", nil, 0, noise("a line that is no list of strings")
	}
	return "", all, n, nil
}

func (s *sieve) reply(buf []byte) (Message, int, error) {
	status, all, n, err := cutSieve(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	m := Message{Re: s.kind}
	if !s.wait {
		m.Re = Other
	}
	switch text, _ := chomp(buf[:n]); {
	case !s.greeted && !s.wait && status != "BYE", s.wait && s.kind == Ask && all != nil:
		return s.block(m, buf)
	case status == "BYE":
		m.Kind, m.Text = Bye, text
		if m.Re != Bye {
			m.Re = Other
		}
	case !s.wait:
		// Only BYE comes unasked (RFC 5804 §1.2). What answers nothing was meant for a later question.
		return Message{}, 0, noise("an answer to no command")
	case status == "NO":
		m.Kind, m.Why, m.Text = No, s.why(text), text
	case all == nil:
		s.yes(&m)
	case s.kind == Upgrade:
		return Message{}, 0, noise("strings for an answer to STARTTLS")
	case s.verb != "AUTHENTICATE":
		return m, n, nil // the status is to come
	default:
		s.sasl = true
	}
	s.greeted, s.wait = true, false
	return m, n, nil
}

// yes reads an OK.
func (s *sieve) yes(m *Message) {
	switch {
	case s.kind == Upgrade:
		m.Kind = Ready
	case s.kind == Ask:
		m.Kind, s.offered = Caps, false // nothing was listed
	case s.kind == Bye:
		m.Kind = Bye
	case s.verb == "AUTHENTICATE":
		s.authed = true
	case s.verb == "UNAUTHENTICATE": // RFC 5804 §2.14.1
		s.authed = false
	}
}

// why reads the response code of a NO (RFC 5804 §1.3).
func (s *sieve) why(text string) Reason {
	_, code, _ := strings.Cut(upper(text), "(")
	switch code, _, _ = strings.Cut(code, ")"); {
	case s.kind == Upgrade:
		return TLSUnavailable
	case code == "ENCRYPT-NEEDED":
		return TLSRequired
	case code == "TRYLATER":
		return Unavailable
	}
	return Unknown
}

// block reads a list of capabilities up to its status. An empty list of mechanisms beside STARTTLS says
// that TLS must come first (RFC 5804 §1.7).
func (s *sieve) block(m Message, buf []byte) (Message, int, error) {
	var starttls, empty, xclient bool
	for n := 0; ; {
		status, all, end, err := cutSieve(buf[n:])
		if end == 0 || err != nil {
			return Message{}, 0, err
		}
		n += end
		switch text, _ := chomp(buf[n-end : n]); {
		case status == "OK":
			m.Kind = Caps
			if starttls {
				if m.Offer = Offered; empty && len(m.Mechs) == 0 {
					m.Offer = Required
				}
			}
			s.greeted, s.wait, s.offered, s.xclient = true, false, starttls, xclient
			return m, n, nil
		case status != "":
			m = Message{Kind: No, Re: m.Re, Why: s.why(text), Text: text}
			s.greeted, s.wait = true, false
			return m, n, nil
		case upper(all[0]) == "STARTTLS":
			starttls = true
		case upper(all[0]) == "XCLIENT":
			xclient = true
		case upper(all[0]) == "SASL" && len(all) > 1:
			mechs := words(upper(all[1]))
			empty = len(mechs) == 0
			m.Mechs = append(m.Mechs, mechs...)
		case upper(all[0]) == "IMPLEMENTATION" && len(all) > 1:
			m.Name = all[1]
		}
	}
}
