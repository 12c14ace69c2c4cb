package dialect

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
)

func (s *nbd) reply(buf []byte) (Message, int, error) {
	switch s.phase {
	case nbdOpen:
		return Message{}, 1, nil
	case nbdGreet:
		return s.greeted(buf)
	case nbdAsked:
		return s.answered(buf)
	}
	return Message{}, 0, noise("the server speaks out of turn")
}

// greeted reads the greeting. "Fixed" is as near to an offer as it comes: options then have answers,
// and STARTTLS is one. It is not for us to edit, for every other option needs it too.
func (s *nbd) greeted(buf []byte) (Message, int, error) {
	all := buf[:min(len(buf), 16)]
	switch {
	case bytes.HasPrefix([]byte(nbdMagic+nbdOld), all):
		if len(buf) < 16 {
			return Message{}, 0, nil
		}
		s.phase = nbdOpen
		return Message{Kind: No, Why: TLSUnavailable, Text: "oldstyle negotiation"}, 16, nil
	case !bytes.HasPrefix([]byte(nbdMagic+nbdNew), all):
		return Message{}, 0, noise("no NBD server")
	case len(buf) < 18:
		return Message{}, 0, nil
	}
	m := Message{Kind: Greeting}
	if s.fixed = buf[17]&nbdFixed != 0; s.fixed {
		m.Offer = Offered
	}
	s.phase = nbdFlags
	return m, 18, nil
}

// answered reads a reply: magic, the option, type, length, data.
func (s *nbd) answered(buf []byte) (Message, int, error) {
	n, err := nbdCut(buf, nbdAnswer, 20)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	option, kind := binary.BigEndian.Uint32(buf[8:]), binary.BigEndian.Uint32(buf[12:])
	m := Message{Re: s.kind}
	switch {
	case option != s.option:
		return Message{}, 0, noise("an answer to option %d, asked was %d", option, s.option)
	case kind >= nbdError:
		m.Kind, m.Why, m.Text = No, nbdReason(s.kind, kind), nbdText(kind, buf[20:n])
		s.phase = nbdOptions
	case kind == nbdAck:
		s.taken(&m)
	case s.kind == Upgrade:
		return Message{}, 0, noise("a reply of type %d to STARTTLS", kind)
	}
	if s.kind == Bye {
		m.Kind, s.phase = Bye, nbdOver
	} else if m.Kind == Ready && n > 20 {
		return Message{}, 0, noise("a go-ahead with data")
	}
	return m, n, nil
}

func (s *nbd) taken(m *Message) {
	s.phase = nbdOptions
	switch s.option {
	case nbdStartTLS:
		m.Kind, s.phase = Ready, nbdReady
	case nbdGo:
		s.phase = nbdOpen
	case nbdList, nbdPeek, nbdInfo, nbdListMeta: // they ask and change nothing
	default:
		s.kept = true
	}
}

func nbdReason(re Kind, kind uint32) Reason {
	switch {
	case kind == nbdTLSReqd:
		return TLSRequired
	case kind == nbdShutdown:
		return Unavailable
	case re == Upgrade && (kind == nbdUnsup || kind == nbdPolicy || kind == nbdPlatform):
		return TLSUnavailable
	}
	return Unknown
}

func nbdText(kind uint32, words []byte) string {
	return strings.TrimSpace("error " + strconv.Itoa(int(kind-nbdError)) + " " + string(words))
}
