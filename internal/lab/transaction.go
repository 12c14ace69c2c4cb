package lab

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

// mail begins a transaction (RFC 5321 §4.1.1.2).
func (s *session) mail(arg string) error {
	from, params, ok := path(arg, "FROM:")
	switch {
	case s.helo == "" || s.begun:
		return s.refuse("503 5.5.1 Not now")
	case !ok:
		return s.refuse("501 5.5.4 Say MAIL FROM:<address>")
	}
	m := Message{Domain: s.h.domain, Host: s.h.name, Helo: s.helo, From: from}
	for _, param := range params {
		key, value, _ := strings.Cut(param, "=")
		switch strings.ToUpper(key) {
		case "SIZE": // RFC 1870 §6.1
			if n, err := strconv.ParseUint(value, 10, 63); err != nil || n > messageLimit {
				return s.refuse("552 5.3.4 Too large")
			}
		case "REQUIRETLS": // RFC 8689 §2
			if value != "" || m.RequireTLS {
				return s.refuse("501 5.5.4 REQUIRETLS is said once, and has no value")
			}
			if !s.h.requireTLS || s.tls == nil {
				return s.refuse("555 5.5.4 REQUIRETLS was not offered")
			}
			m.RequireTLS = true
		case "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH":
		default: // RFC 5321 §4.1.1.11
			return s.refuse("555 5.5.4 Parameter not known")
		}
	}
	if instead, err := s.befall(AtMail); err != nil || instead {
		return err
	}
	if s.tls != nil {
		m.TLS, m.SNI = s.tls.Version, s.tls.ServerName
	}
	s.envelope = envelope{begun: true, m: m}
	s.reply("250 2.1.0 Sender taken")
	return nil
}

// rcpt takes anybody as a recipient: nothing goes any further than the lab.
func (s *session) rcpt(arg string) error {
	to, params, ok := path(arg, "TO:")
	switch {
	case !s.begun || s.bdat:
		return s.refuse("503 5.5.1 Not now")
	case !ok || to == "":
		return s.refuse("501 5.5.4 Say RCPT TO:<address>")
	case len(s.m.To) == rcptLimit:
		return s.refuse("452 4.5.3 Too many recipients")
	}
	for _, param := range params {
		switch key, _, _ := strings.Cut(strings.ToUpper(param), "="); key {
		case "NOTIFY", "ORCPT": // RFC 3461 §4
		default:
			return s.refuse("555 5.5.4 Parameter not known")
		}
	}
	if s.h.grey != nil && !s.h.grey.again(s.m.From, to) {
		s.reply("451 4.7.1 Greylisted, come again")
		return nil
	}
	if instead, err := s.befall(AtRcpt); err != nil || instead {
		return err
	}
	s.m.To = append(s.m.To, to)
	s.reply("250 2.1.5 Recipient taken")
	return nil
}

// data takes a message up to the lone dot (RFC 5321 §4.1.1.4).
func (s *session) data(arg string) error {
	if len(s.m.To) == 0 || arg != "" || s.bdat {
		return s.refuse("503 5.5.1 Not now")
	}
	if instead, err := s.befall(AtData); err != nil || instead {
		return err
	}
	s.reply("354 Go on, and end with a lone dot")
	if err := s.w.Flush(); err != nil {
		return err
	}
	if err := s.body(); err != nil {
		return err
	}
	return s.finish()
}

// body reads the lines of a message. Only CRLF ends a line (RFC 5321 §2.3.8).
func (s *session) body() error {
	for whole := true; ; {
		if err := s.wait(); err != nil {
			return err
		}
		line, err := s.r.ReadSlice('\n')
		if len(line) == 0 {
			return err
		}
		begins := whole
		whole = bytes.HasSuffix(line, []byte("\r\n"))
		if begins && line[0] == '.' {
			if len(line) == 3 && whole {
				return nil
			}
			line = line[1:] // RFC 5321 §4.5.2
		}
		if err := s.take(line); err != nil {
			return err
		}
	}
}

// take adds bytes to the message. It has the fault in the middle befall.
func (s *session) take(data []byte) error {
	if s.m.Size == 0 {
		if _, err := s.befall(AtBody); err != nil {
			return err
		}
	}
	s.m.Size += len(data)
	if room := keptBytes - len(s.m.Data); room > 0 && s.h.lab.keep > 0 {
		s.m.Data = append(s.m.Data, data[:min(room, len(data))]...)
	}
	return nil
}

// finish answers for a whole message.
func (s *session) finish() error {
	defer func() { s.envelope = envelope{} }()
	if s.m.Size > messageLimit {
		return s.refuse("552 5.3.4 Too large")
	}
	s.h.box.add(s.m, s.h.lab.keep)
	if s.h.lab.delivered != nil {
		s.h.lab.delivered(s.m)
	}
	return s.say(AtDot, "250 2.0.0 Taken, %d bytes", s.m.Size)
}

// chunk takes a part of a message (RFC 3030 §2). It is read also where it is refused: it is on its way.
func (s *session) chunk(arg string) error {
	size, last, _ := strings.Cut(arg, " ")
	n, err := strconv.ParseInt(size, 10, 63)
	if err != nil || n < 0 || n > messageLimit || last != "" && !strings.EqualFold(last, "LAST") {
		s.refuse("501 5.5.4 Say BDAT size [LAST]")
		s.w.Flush()
		return errGone // where the next command begins is not known
	}
	if len(s.m.To) == 0 {
		if _, err := io.CopyN(io.Discard, s.r, n); err != nil {
			return err
		}
		return s.refuse("503 5.5.1 Not now")
	}
	if !s.bdat {
		if instead, err := s.befall(AtData); err != nil || instead {
			return err
		}
	}
	s.bdat = true
	if int64(s.r.Buffered()) < n {
		if err := s.w.Flush(); err != nil {
			return err
		}
	}
	if _, err := io.CopyN(taker{s}, s.r, n); err != nil {
		return err
	}
	if last == "" {
		s.reply("250 2.0.0 %d bytes", n)
		return nil
	}
	return s.finish()
}

// taker is take as a writer.
type taker struct{ s *session }

func (t taker) Write(data []byte) (int, error) {
	if err := t.s.take(data); err != nil {
		return 0, err // io.CopyN forgets the error of a last write that was whole
	}
	return len(data), nil
}

// path reads "FROM:<address> parameters", in which the address has no quoted ">".
func path(arg, word string) (addr string, params []string, ok bool) {
	if len(arg) < len(word) || !strings.EqualFold(arg[:len(word)], word) {
		return "", nil, false
	}
	rest, ok := strings.CutPrefix(strings.TrimLeft(arg[len(word):], " "), "<")
	if !ok {
		return "", nil, false
	}
	addr, rest, ok = strings.Cut(rest, ">")
	return addr, strings.Fields(rest), ok
}
