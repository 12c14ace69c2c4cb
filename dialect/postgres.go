package dialect

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// Postgres is the SSLRequest of PostgreSQL and of what speaks its protocol.
var Postgres = Dialect{
	Name: "postgres",
	Spec: "PostgreSQL protocol 3.0, SSL Session Encryption",
	Schemes: []Scheme{
		{Name: "postgres", Port: 5432},
		{Name: "postgress", Port: 5432, Implicit: true},
	},
	Script:     script("u R |"),
	EndPoint:   true,
	ALPN:       []string{"postgresql"},
	DirectALPN: true,
	Addressed:  []string{"database", "user"},
	Work:       "\x00\x00\x00\x15\x00\x03\x00\x00user\x00verify\x00\x00",
	Tried:      []string{"PostgreSQL and psql 15", "OpenSSL 3.0", "GnuTLS 3.7.9"},
	Limit:      64 << 10,
	Speak:      func(we Side, inside bool) Speech { return speech{&postgres{inside: inside}, we} },
}

// Codes that stand where a StartupMessage has its version.
const (
	pgCancel = 80877102
	pgSSL    = 80877103
	pgGSS    = 80877104
)

const (
	pgMaxStartup = 10000 // as the server has it
	pgMaxAnswer  = 30000 // as libpq has it, before authentication
	pgMaxCancel  = 268   // a cancel key has up to 256 bytes since protocol 3.2
)

type pgPhase uint8

const (
	pgStart   pgPhase = iota // the client opens
	pgAskSSL                 // one byte is due
	pgAskGSS                 // one byte is due
	pgStarted                // the server's first message is due
	pgReady                  // TLS follows on this leg and nothing else
	pgOpen                   // nothing that follows concerns TLS; we know no frames
	pgOver                   // the server closes, or says nothing at all
)

type postgres struct {
	inside bool
	phase  pgPhase
	ssl    bool // SSLRequest was said: a server hears it once
	gss    bool // the same of GSSENCRequest
	old    bool // protocol 2.0: errors are a text and a NUL
}

func (p *postgres) Pending() bool {
	return p.phase == pgAskSSL || p.phase == pgAskGSS || p.phase == pgStarted
}

// Settled: in the clear a client may still ask for TLS until it has sent its startup; what comes after
// the server's first answer to that never does.
func (p *postgres) Settled() bool { return p.phase == pgOpen }

// request cuts what a client says before the server's first message. Anything behind a question that
// has not been answered is refused here: no client sends it, only who hopes that it is taken for
// the inside of TLS (CVE-2021-23214).
func (p *postgres) request(buf []byte) (Message, int, error) {
	switch {
	case p.phase == pgOpen:
		return Message{Kind: Secret}, 1, nil
	case p.phase != pgStart:
		return Message{}, 0, noise("the client speaks out of turn")
	case buf[0] != 0 || len(buf) > 1 && buf[1] != 0:
		return Message{}, 0, noise("no startup packet")
	case len(buf) < 8:
		return Message{}, 0, nil
	}
	size, code := binary.BigEndian.Uint32(buf), binary.BigEndian.Uint32(buf[4:])
	if err := pgStartupSize(size, code); err != nil {
		return Message{}, 0, err
	}
	if len(buf) < int(size) {
		return Message{}, 0, nil
	}
	m := p.opened(code)
	if code>>16 == 3 {
		m.For = pgFor(buf[8:size])
	}
	return m, int(size), nil
}

// pgFor reads the parameters of a StartupMessage. Without a database that of the user's name is meant.
func pgFor(parameters []byte) []string {
	words := strings.Split(string(parameters), "\x00")
	said := map[string]string{}
	for i := 0; i+1 < len(words) && words[i] != ""; i += 2 {
		said[words[i]] = words[i+1] // the last one counts, as for the server
	}
	if said["database"] == "" {
		said["database"] = said["user"]
	}
	return []string{"database:" + said["database"], "user:" + said["user"]}
}

func pgStartupSize(size, code uint32) error {
	ok := false
	switch {
	case code == pgSSL || code == pgGSS:
		ok = size == 8
	case code == pgCancel:
		ok = size >= 16 && size <= pgMaxCancel
	case code>>16 == 3 || code == 2<<16:
		ok = size > 8 && size <= pgMaxStartup
	}
	if !ok {
		return noise("a startup packet of length %d and code %d", size, code)
	}
	return nil
}

func (p *postgres) opened(code uint32) Message {
	switch code {
	case pgSSL:
		m := Message{Kind: Upgrade}
		if p.inside {
			m.Why = AlreadyTLS
		} else if p.ssl {
			m.Why = NotNow
		}
		p.phase, p.ssl = pgAskSSL, true
		return m
	case pgGSS:
		m := Message{Kind: Rival}
		if p.gss {
			m.Why = BadSyntax
		} else if p.inside {
			m.Why = AlreadyTLS
		}
		p.phase, p.gss = pgAskGSS, true
		return m
	case pgCancel:
		p.phase = pgOver
		return Message{Kind: Bye}
	}
	p.phase = pgStarted
	if p.old = code == 2<<16; p.old {
		p.phase = pgOpen // its answers have no length
	}
	return Message{Kind: Secret}
}

func (p *postgres) reply(buf []byte) (Message, int, error) {
	c := buf[0]
	switch p.phase {
	case pgOpen:
		return Message{}, 1, nil
	case pgStart: // only to say that it cannot serve
		if c == 'E' {
			return p.refused(buf, Other)
		}
	case pgAskSSL:
		switch c {
		case 'S':
			p.phase = pgReady
			return Message{Kind: Ready, Re: Upgrade}, 1, nil
		case 'N':
			p.phase = pgStart
			return Message{Kind: No, Re: Upgrade, Why: TLSUnavailable}, 1, nil
		case 'E':
			return p.refused(buf, Upgrade)
		}
	case pgAskGSS:
		switch c {
		case 'G':
			p.phase = pgOpen
			return Message{Re: Rival}, 1, nil
		case 'N':
			p.phase = pgStart
			return Message{Kind: No, Re: Rival}, 1, nil
		case 'E':
			return p.refused(buf, Rival)
		}
	case pgStarted:
		switch c {
		case 'R', 'v':
			return p.started(buf)
		case 'E':
			return p.refused(buf, Secret)
		}
	}
	return Message{}, 0, noise("0x%02x is no answer here", c)
}

// started cuts the first answers to a StartupMessage: an authentication request, perhaps with
// NegotiateProtocolVersion before it.
func (p *postgres) started(buf []byte) (Message, int, error) {
	if len(buf) < 5 {
		return Message{}, 0, nil
	}
	size := binary.BigEndian.Uint32(buf[1:])
	if size < 8 || size > pgMaxAnswer {
		return Message{}, 0, noise("a message of %d bytes before authentication", size)
	}
	n := 1 + int(size)
	if len(buf) < n {
		return Message{}, 0, nil
	}
	m := Message{Re: Secret}
	if buf[0] == 'v' {
		return m, n, nil
	}
	if mechs, ok := pgMechs(buf[:n]); ok {
		m.Kind, m.Mechs = Caps, mechs
	}
	p.phase = pgOpen
	return m, n, nil
}

// pgMechs reads the mechanisms of an AuthenticationSASL message: strings that end in NUL, and a NUL.
func pgMechs(raw []byte) ([]string, bool) {
	if raw[0] != 'R' || binary.BigEndian.Uint32(raw[5:]) != 10 {
		return nil, false
	}
	if string(raw[9:]) == "\x00" {
		return nil, true
	}
	list, ok := strings.CutSuffix(string(raw[9:]), "\x00\x00")
	if !ok {
		return nil, false
	}
	return strings.Split(list, "\x00"), true
}

// refused cuts an ErrorResponse. Before TLS its words are from nobody, and only for logs
// (CVE-2024-10977).
func (p *postgres) refused(buf []byte, re Kind) (Message, int, error) {
	n, err := cutPgError(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	m := Message{Kind: No, Re: re}
	if re == Upgrade { // unlike N, it is the end: there is no going on in the clear
		m.Kind = Bye
	}
	if buf[1] == 0 {
		m.Text, m.Why = pgError(buf[5:n])
	} else {
		m.Text = strings.TrimSpace(string(buf[1 : n-1]))
	}
	p.phase = pgOver
	return m, n, nil
}

// cutPgError finds the end of an error. Its length begins with a zero, being bounded; where a text
// begins it is the text and NUL of protocol 2.0, which a server also says when it cannot fork.
func cutPgError(buf []byte) (n int, err error) {
	if len(buf) > 1 && buf[1] != 0 {
		n = 1 + bytes.IndexByte(buf[:min(len(buf), pgMaxAnswer)], 0)
		if n == 0 && len(buf) >= pgMaxAnswer {
			return 0, noise("an error without an end")
		}
		return n, nil
	}
	if len(buf) < 5 {
		return 0, nil
	}
	size := binary.BigEndian.Uint32(buf[1:])
	if size < 4 || size > pgMaxAnswer {
		return 0, noise("an error of %d bytes", size)
	}
	if len(buf) < 1+int(size) {
		return 0, nil
	}
	return 1 + int(size), nil
}

// pgError reads the fields of an ErrorResponse: SQLSTATE and message.
func pgError(fields []byte) (text string, why Reason) {
	var code string
	for _, f := range strings.Split(string(fields), "\x00") {
		switch {
		case strings.HasPrefix(f, "C"):
			code = f[1:]
		case strings.HasPrefix(f, "M"):
			text = f[1:]
		}
	}
	if code == "57P03" || code == "53300" { // cannot_connect_now, too_many_connections
		why = Unavailable
	}
	return strings.TrimSpace(code + " " + text), why
}
