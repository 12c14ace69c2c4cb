package gateway_test

import (
	"fmt"
	"strings"

	"starttls/dialect"
)

// A proto is what the tests know of a protocol, on their own and not from its dialect: what the peers
// say on the straight road, and how their messages are cut.
type proto struct {
	*dialect.Dialect
	greeting string // of a server without TLS; empty where the client speaks first
	hello    string // of a client before the upgrade; empty where there is none
	upgrade  string
	again    string // the upgrade, inside TLS, if that is another
	probe    string // a request that shows who answers: its answer holds "probe"
	work     string // the first real work, with the secret in it
	bye      string // the last words of a gateway to a server
	offer    string // found in a server's answer to hello (or its greeting) where TLS is offered
	sorry    string // found in the answer when the server behind cannot be reached
	required string // found in the answer when TLS is demanded
	ready    func(answer string) bool
	request  func(buf string) int // the length of the client's first message, or 0
	reply    func(buf string) int // the length of the server's first answer, all of it, or 0
	// polite returns a server that answers each request as one without TLS does. It knows no state but
	// that of mail data.
	polite func() func(request string) string
}

// secret is in every proto's work.
const secret = "s3cret"

func (p *proto) serverFirst() bool { return p.greeting != "" }

// acknowledged says that a go-ahead stands before TLS.
func (p *proto) acknowledged() bool { return p.ready != nil }

func (p *proto) text() bool { return p.Limit > 0 && strings.HasSuffix(p.upgrade, "\r\n") }

var protos = []*proto{smtp("EHLO"), smtp("LHLO"), imap, pop3, ldap, postgres, mysql}

// named returns the protos with these names.
func named(names ...string) (some []*proto) {
	for _, p := range protos {
		for _, name := range names {
			if p.Name == name {
				some = append(some, p)
			}
		}
	}
	return some
}

func only(name string) *proto { return named(name)[0] }

func cutLine(buf string) int { return strings.IndexByte(buf, '\n') + 1 }

func smtp(verb string) *proto {
	d := map[string]*dialect.Dialect{"EHLO": &dialect.SMTP, "LHLO": &dialect.LMTP}[verb]
	return &proto{
		Dialect:  d,
		greeting: "220 mx.test ready\r\n",
		hello:    verb + " me\r\n",
		upgrade:  "STARTTLS\r\n",
		probe:    verb + " probe\r\n",
		work:     "AUTH PLAIN " + secret + "\r\n",
		bye:      "QUIT\r\n",
		offer:    "250-STARTTLS\r\n",
		sorry:    "421 4.3.2 ",
		required: "530 5.7.0 ",
		ready:    func(answer string) bool { return strings.HasPrefix(answer, "220") },
		request:  cutLine,
		reply:    cutSMTP,
		polite:   func() func(string) string { return (&smtpServer{verb: verb}).answer },
	}
}

func cutSMTP(buf string) (n int) {
	for {
		end := cutLine(buf[n:])
		if end == 0 {
			return 0
		}
		line := buf[n : n+end]
		if n += end; len(line) < 4 || line[3] != '-' {
			return n
		}
	}
}

type smtpServer struct {
	verb  string
	rcpts int
	data  bool
	last  string // line of data
}

func (s *smtpServer) answer(request string) string {
	if s.data {
		end := request == ".\r\n" && strings.HasSuffix(s.last, "\r\n")
		if s.last = request; !end {
			return ""
		}
		s.data = false
		return strings.Repeat("250 2.0.0 data ok\r\n", s.rcpts)
	}
	verb, arg, _ := strings.Cut(strings.TrimRight(request, "\r\n"), " ")
	switch verb {
	case s.verb:
		return "250-mx.test greets " + arg + "\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n"
	case "DATA":
		s.data, s.last, s.rcpts = true, "\r\n", 1
		return "354 go on\r\n"
	case "MAIL", "RCPT", "RSET", "NOOP":
		return "250 2.0.0 " + verb + " ok\r\n"
	case "AUTH":
		return "235 2.7.0 in\r\n"
	case "QUIT":
		return "221 2.0.0 bye\r\n"
	case "STARTTLS":
		return "502 5.5.1 no TLS here\r\n"
	}
	return "500 5.5.1 what?\r\n"
}

var imap = &proto{
	Dialect:  &dialect.IMAP,
	greeting: "* OK imap.test ready\r\n",
	hello:    "h CAPABILITY\r\n",
	upgrade:  "u STARTTLS\r\n",
	probe:    "probe NOOP\r\n",
	work:     "w LOGIN joe " + secret + "\r\n",
	bye:      "LOGOUT\r\n",
	offer:    " STARTTLS",
	sorry:    "* BYE [UNAVAILABLE]",
	required: " NO [PRIVACYREQUIRED]",
	ready:    func(answer string) bool { return strings.HasPrefix(answer, "u OK") },
	request:  cutLine,
	reply: func(buf string) (n int) {
		for {
			end := cutLine(buf[n:])
			if end == 0 {
				return 0
			}
			line := buf[n : n+end]
			n += end
			_, status, untagged := strings.Cut(line, "* ")
			if status, _, _ = strings.Cut(status, " "); !untagged || strings.Contains(" OK NO BAD BYE PREAUTH ", " "+status+" ") {
				return n
			}
		}
	},
	polite: func() func(string) string {
		sasl := ""
		return func(request string) string {
			if tag := sasl; tag != "" {
				sasl = ""
				return tag + " NO what?\r\n"
			}
			tag, rest, _ := strings.Cut(strings.TrimRight(request, "\r\n"), " ")
			switch verb, _, _ := strings.Cut(rest, " "); verb {
			case "CAPABILITY":
				return "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" + tag + " OK told\r\n"
			case "NOOP", "ID", "LOGIN", "SELECT":
				return tag + " OK " + verb + "\r\n"
			case "AUTHENTICATE":
				sasl = tag
				return "+ \r\n"
			case "LOGOUT":
				return "* BYE\r\n" + tag + " OK bye\r\n"
			}
			return tag + " BAD what?\r\n"
		}
	},
}

var pop3 = &proto{
	Dialect:  &dialect.POP3,
	greeting: "+OK pop.test ready <1@pop.test>\r\n",
	hello:    "CAPA\r\n",
	upgrade:  "STLS\r\n",
	probe:    "NOOP probe\r\n",
	work:     "USER " + secret + "\r\n",
	bye:      "QUIT\r\n",
	offer:    "STLS\r\n",
	sorry:    "-ERR [SYS/TEMP]",
	required: "-ERR Must issue a STLS",
	ready:    func(answer string) bool { return strings.HasPrefix(answer, "+OK") },
	request:  cutLine,
	reply: func(buf string) int {
		if strings.HasPrefix(buf, "+OK Capab") {
			if end := strings.Index(buf, "\r\n.\r\n"); end >= 0 {
				return end + 5
			}
			return 0
		}
		return cutLine(buf)
	},
	polite: func() func(string) string {
		return func(request string) string {
			line := strings.TrimRight(request, "\r\n")
			switch verb, _, _ := strings.Cut(line, " "); verb {
			case "CAPA":
				return "+OK Capability list follows\r\nUSER\r\nTOP\r\n.\r\n"
			case "NOOP", "USER", "PASS", "QUIT":
				return "+OK " + line + "\r\n"
			}
			return "-ERR what?\r\n"
		}
	},
}

// show returns a message as a failed test shows it.
func show(message string) string {
	const most = 300
	if len(message) > most {
		return fmt.Sprintf("%q… (%d bytes)", message[:most], len(message))
	}
	return fmt.Sprintf("%q", message)
}
