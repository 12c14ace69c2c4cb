package dialect

import (
	"strconv"
	"strings"
)

// FTP is AUTH TLS in the File Transfer Protocol. ftp_say.go has the feature list and our words,
// ftp_data.go the addresses of data connections.
//
// A client's message other than an AUTH has its verb in upper case as Name and, but for PASS, ACCT and
// ADAT, its argument as Text; an AUTH for TLS has the mechanism as Text, see [FTPPrivate]. A server's
// message has its last line as Text. They are for whoever follows the data connections.
var FTP = Dialect{
	Name:     "ftp",
	Spec:     "RFC 4217",
	Schemes:  []Scheme{{Name: "ftp", Port: 21}, {Name: "ftps", Port: 990, Implicit: true}},
	Script:   script("G a C? u R |"),
	ALPN:     []string{"ftp"},
	Channels: true,
	Fresh:    true, // REST, RNFR and all else said in the clear is forgotten (RFC 4217 §4.2)
	Work:     "USER verify\r\n",
	Login:    userPass,
	Tried:    []string{"ProFTPD 1.3.8", "vsftpd 3.0.3", "lftp 4.9.2", "curl 7.88.1", "OpenSSL 3.0"},
	Limit:    16 << 10,
	Speak:    func(we Side, inside bool) Speech { return speech{&ftp{inside: inside}, we} },
}

// ftpTLS are the mechanisms of AUTH that mean TLS, and whether they protect data connections without
// being asked to. All but TLS are from drafts of RFC 4217; clients begin with SSL to this day.
var ftpTLS = map[string]bool{"TLS": false, "TLS-C": false, "SSL": true, "TLS-P": true}

// FTPPrivate reports whether the upgrade with mechanism mech means PROT P as well (drafts of RFC 4217).
func FTPPrivate(mech string) bool { return ftpTLS[mech] }

type ftp struct {
	inside bool

	greeted bool   // the server has said its first words
	verb    string // what the outstanding answer is to
	kind    Kind   // its kind
	wait    bool   // it is outstanding
	data    bool   // a transfer has begun, its last answer is to come
	late    bool   // ABOR may have a second answer
	code    string // of the answer of many lines that has begun
}

// Pending: in the clear no question is asked before the greeting, so that it is no answer to one.
func (s *ftp) Pending() bool { return s.wait || s.code != "" || !s.greeted && !s.inside }

// Settled: the addresses of data connections must be followed to the end.
func (s *ftp) Settled() bool { return false }

func (s *ftp) request(buf []byte) (Message, int, error) {
	line, crlf, n, err := cutRequest(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	text := noTelnet(line)
	verb, arg := splitVerb(text)
	m := Message{Kind: Secret, Name: verb, Text: arg}
	switch {
	case laxWord(text, 0) == "AUTH":
		s.auth(&m, text, crlf && text == line)
	case verb == "FEAT":
		m.Kind = Ask
	case verb == "QUIT":
		m.Kind = Bye
	case ftpHarmless[verb]:
		m.Kind = Other
	case verb == "CCC":
		// RFC 4217 §5. Nobody who said AUTH is served in the clear again.
		m.Why = NotNow
	case (verb == "PBSZ" || verb == "PROT") && !s.inside:
		m.Why = NotNow // RFC 4217 §9: only behind AUTH
	case verb == "PASS", verb == "ACCT", verb == "ADAT":
		m.Text = ""
	}
	s.verb, s.kind, s.wait = verb, m.Kind, true
	return m, n, nil
}

// ftpHarmless says nothing that needs protection, and does no work. HOST is of RFC 7151.
var ftpHarmless = map[string]bool{
	"NOOP": true, "SYST": true, "HELP": true, "OPTS": true, "HOST": true, "CLNT": true, "LANG": true,
}

// auth tells for what an AUTH asks (RFC 4217 §4, RFC 2228 §3).
func (s *ftp) auth(m *Message, text string, exact bool) {
	verb, mech := splitVerb(text)
	mech = upper(mech)
	_, tls := ftpTLS[mech]
	_, lax := ftpTLS[laxWord(text, 1)]
	switch m.Text = mech; {
	case !tls && !lax && exact && verb == "AUTH" && mech != "" && !strings.ContainsFunc(mech, blank):
		m.Kind = Rival
		return
	case s.inside:
		m.Why = AlreadyTLS
	case !tls || !exact || verb != "AUTH":
		m.Why = BadSyntax
	}
	m.Kind, m.Name = Upgrade, ""
}

// noTelnet returns a line without Telnet commands (RFC 854): a client says ABOR and STAT behind IP and
// Synch (RFC 959 §4.1.3), and a server may read over them anywhere.
func noTelnet(line string) string {
	if strings.IndexByte(line, 0xff) < 0 {
		// The Synch's DM comes alone when its IAC was sent as urgent data.
		return strings.TrimPrefix(line, "\xf2")
	}
	text := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c != 0xff && (c != 0xf2 || len(text) > 0):
			text = append(text, c)
		case c == 0xf2, i+1 == len(line):
		case line[i+1] == 0xff && i > 0 && len(text) > 0: // an octet of the text
			text, i = append(text, c), i+1
		case line[i+1] == 0xff:
		case line[i+1] >= 0xfb: // WILL, WONT, DO, DONT and an option
			i += 2
		case line[i+1] >= 0xf0:
			i++
		}
	}
	return string(text)
}

func (s *ftp) reply(buf []byte) (Message, int, error) {
	n, err := cutLine(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	text, _ := chomp(buf[:n])
	m := Message{Re: s.kind, Text: text}
	if !s.wait {
		m.Re = Other
	}
	if s.code != "" { // RFC 959 §4.2: lines between may be anything
		if text == s.code || strings.HasPrefix(text, s.code+" ") {
			s.last(&m, s.code)
			s.code = ""
		}
		return m, n, nil
	}
	code := text[:min(3, len(text))]
	if c, err := strconv.Atoi(code); err != nil || c < 100 || c > 699 || len(text) > 3 && text[3] != ' ' && text[3] != '-' {
		return Message{}, 0, noise("a reply without a code")
	}
	switch many := len(text) > 3 && text[3] == '-'; {
	case code == "211" && s.wait && s.kind == Ask:
		if many {
			if n, err = cutMany(buf, code); n == 0 || err != nil {
				return Message{}, 0, err
			}
		}
		m.Text, s.wait = "", false
		s.learn(&m, buf[:n])
	case many:
		s.code = code
	default:
		s.last(&m, code)
	}
	return m, n, nil
}

// cutMany returns the length of a reply of many lines (RFC 959 §4.2).
func cutMany(buf []byte, code string) (n int, err error) {
	for {
		end, err := cutLine(buf[n:])
		if end == 0 || err != nil {
			return 0, err
		}
		text, _ := chomp(buf[n : n+end])
		if n += end; text == code || strings.HasPrefix(text, code+" ") {
			return n, nil
		}
	}
}

// ftpTransfer are the codes that end a transfer (RFC 959 §4.2, RFC 4217 §10.2).
var ftpTransfer = map[string]bool{
	"225": true, "226": true, "250": true, "425": true, "426": true, "451": true, "452": true, "522": true, "551": true, "552": true,
}

// last reads the last line of a reply: to whom it is said, and what it means.
func (s *ftp) last(m *Message, code string) {
	if !s.greeted && !s.wait {
		s.first(m, code)
		return
	}
	s.greeted = true // inside TLS, behind AUTH, nothing is
	switch {
	case code[0] == '1': // more is to come, and until then the client may say ABOR or STAT
		s.data, s.wait, s.late = true, false, false
		return
	case s.data && s.verb != "ABOR" && (!s.wait || ftpTransfer[code]):
		s.data, m.Re = false, Secret
	case s.late && (!s.wait || s.verb != "ABOR") && (code == "225" || code == "226" || code == "426"):
		s.late, m.Re = false, Other
	case !s.wait:
		if m.Re = Other; code == "421" {
			m.Kind = Bye
		}
		return
	default:
		// ABOR has one answer or two, by server: the first may be the transfer's.
		s.late, s.data, s.wait = s.verb == "ABOR" && s.data, s.data && s.verb != "ABOR", false
		switch {
		case code == "234" && s.kind == Upgrade:
			m.Kind = Ready
		case code == "221" && s.kind == Bye:
			m.Kind = Bye
		}
	}
	if refused := code[0] == '4' || code[0] == '5'; m.Kind == Other && (refused || m.Re == Upgrade) {
		m.Kind = No
		switch {
		case m.Re == Upgrade && code[0] == '4': // RFC 2228 §5.1
			m.Why = TLSUnavailable
		case code == "421":
			m.Why = Unavailable
		}
	}
}

// first reads the server's first words (RFC 959 §5.4).
func (s *ftp) first(m *Message, code string) {
	m.Re = Other
	switch {
	case code[0] == '1': // 120: wait
		return
	case code == "220":
		m.Kind = Greeting
	default:
		if m.Kind = No; code == "421" {
			m.Why = Unavailable
		}
	}
	s.greeted = true
}
