package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"starttls/dialect"
)

// errUntold is a server that would take the client for the gateway. To go on would give the client what the
// server gives to the gateway's address.
var errUntold = errors.New("the server does not take it from us who the client is")

// errClaim is a client that says itself who it is, to a server that believes that of us.
var errClaim = errors.New("the client says itself who it is, or hides what it says")

// tell tells the server who the client is, and returns its greeting: a new one if there was one. A client
// without an address, of a unix socket, is the gateway to the server.
func (s *session) tell(b *backLeg, greeting *dialect.Message) (*dialect.Message, error) {
	b.guard, _ = b.Teller()
	b.guard.Guard()
	who, ok := s.who()
	if !ok {
		return greeting, nil
	}
	request, ok := b.guard.Tell(who)
	if question := s.question(); !ok && question != dialect.Other {
		if _, err := s.converse(b, dialect.Message{Kind: question, Name: s.route.Name}); err != nil {
			return nil, err
		}
		request, ok = b.guard.Tell(who)
	}
	if !ok {
		return nil, errUntold
	}
	answers, err := s.converse(b, request)
	for _, m := range answers {
		if m.Kind == dialect.Greeting {
			greeting = &m
		}
	}
	return greeting, err
}

// question is what a client asks for what a server can do, or Other where nothing is asked.
func (s *session) question() dialect.Kind {
	for _, line := range s.route.Dialect.Script.Inside {
		if line.Says == dialect.Client {
			return line.Kind
		}
	}
	return dialect.Other
}

// converse says a message of ours to a server and hears all of the answer.
func (s *session) converse(b *backLeg, m dialect.Message) (answers []dialect.Message, err error) {
	if err := b.Say(m); err != nil {
		return nil, err
	}
	for b.Pending() {
		m, err := b.Hear()
		if err != nil {
			return nil, err
		}
		if m.Kind == dialect.No || m.Kind == dialect.Bye {
			return nil, fmt.Errorf("%w: %s", errUntold, m.Text)
		}
		m.Raw = slices.Clone(m.Raw)
		answers = append(answers, m)
	}
	return answers, nil
}

// who is the client, if it has an address.
func (s *session) who() (w dialect.Who, ok bool) {
	client, server := s.ends()
	w.Addr, w.Port = inWords(client)
	w.ToAddr, w.ToPort = inWords(server)
	return w, client.IsValid()
}

func inWords(a netip.AddrPort) (addr, port string) {
	if !a.IsValid() {
		return "", ""
	}
	return a.Addr().Unmap().WithZone("").String(), strconv.Itoa(int(a.Port()))
}
