package villain

import (
	"slices"

	"starttls"
	"starttls/dialect"
)

// A Villain is one way of being hostile, or of not being so.
type Villain struct {
	Name string // "stripped"
	Does string // in a few words, for people
	ID   string // of the finding in the catalogue

	greeting string                               // in place of the dialect's own
	odd      bool                                 // which some clients do not take for one: they wait on
	told     string                               // the answer to the client's question, in place of the dialect's own
	strip    bool                                 // the offer is taken out
	deaf     bool                                 // hello and questions are refused
	early    bool                                 // the go-ahead stands behind the answer before
	upgrade  reply                                // to the client's upgrade
	raw      func(upgrade dialect.Message) string // of upgrade == says
	why      dialect.Reason
	behind   bool    // words stand behind the go-ahead
	glue     string  // if not empty, these; else an answer to what will be asked next
	instead  instead // of the handshake
	shows    leafKind
	old      bool // TLS 1.1 at most
}

// A reply is what a villain says to the upgrade.
type reply uint8

const (
	goesAhead reply = iota
	refuses
	says
	staysSilent
)

// An instead is what comes in the place of a handshake.
type instead uint8

const (
	handshake instead = iota
	reset
	clearText
	blackhole
)

// Which dialects a villain makes sense for.
const (
	anyDialect = iota
	offers     // the server names TLS before it is asked for
	lists      // by an answer to a question
	acked      // the upgrade is answered
	beforehand // and something is said before
)

// generic are the villains of every dialect that they make sense for.
var generic = []struct {
	fits     int
	implicit bool // and for TLS from the first byte
	Villain
}{
	{anyDialect, true, Villain{Name: "honest", ID: "client.honest", Does: "TLS as it should be: the client must come through"}},
	{offers, false, Villain{Name: "stripped", ID: "client.stripped", Does: "TLS is not offered, and refused",
		strip: true, upgrade: refuses}},
	{lists, false, Villain{Name: "deaf", ID: "client.stripped", Does: "the question what there is gets no answer but no",
		deaf: true, strip: true, upgrade: refuses}},
	{acked, false, Villain{Name: "refused", ID: "client.refused", Does: "TLS is offered, and refused for now",
		upgrade: refuses, why: dialect.TLSUnavailable}},
	{acked, false, Villain{Name: "unknown", ID: "client.refused", Does: "TLS is offered, and the request not known",
		upgrade: refuses}},
	{acked, false, Villain{Name: "silent", ID: "client.refused", Does: "TLS is offered, and the request not answered",
		upgrade: staysSilent}},
	{anyDialect, true, Villain{Name: "reset", ID: "client.broken", Does: "the connection is reset at the ClientHello", instead: reset}},
	{anyDialect, true, Villain{Name: "plain", ID: "client.broken", Does: "clear text where the handshake belongs", instead: clearText}},
	{anyDialect, true, Villain{Name: "blackhole", ID: "client.broken", Does: "silence where the handshake belongs", instead: blackhole}},
	{acked, false, Villain{Name: "injected", ID: "client.injected", Does: "the next answer stands behind the go-ahead, in the clear",
		behind: true}},
	{beforehand, false, Villain{Name: "early", ID: "client.early", Does: "the go-ahead comes before it is asked for", early: true}},
	{anyDialect, true, Villain{Name: "self-signed", ID: "client.untrusted", Does: "a certificate signed by itself", shows: bySelf}},
	{anyDialect, true, Villain{Name: "stranger", ID: "client.untrusted", Does: "a certificate of an authority that nobody trusts", shows: byStranger}},
	{anyDialect, true, Villain{Name: "wrong-name", ID: "client.name", Does: "a good certificate for somebody else", shows: forAnother}},
	{anyDialect, true, Villain{Name: "expired", ID: "client.expired", Does: "a certificate that ended yesterday", shows: expired}},
	{anyDialect, true, Villain{Name: "old-tls", ID: "client.old-tls", Does: "TLS 1.1 at most", old: true}},
}

// cast returns the villains for an endpoint, the honest one first.
func cast(e starttls.Endpoint) (all []*Villain) {
	for _, g := range generic {
		if e.Implicit && !g.implicit || !e.Implicit && !fits(e.Dialect, g.fits) || slices.Contains(accentOf(e.Dialect).never, g.Name) {
			continue
		}
		if v := g.Villain; !v.behind || glued(e.Dialect, &v, dialect.Message{Kind: dialect.Upgrade}) != nil {
			all = append(all, &v)
		}
	}
	if !e.Implicit {
		for _, v := range accentOf(e.Dialect).villains {
			all = append(all, &v)
		}
	}
	return all
}

func fits(d *dialect.Dialect, which int) bool {
	has := func(kinds ...dialect.Kind) bool {
		return slices.ContainsFunc(d.Script.Clear, func(l dialect.Line) bool { return slices.Contains(kinds, l.Kind) })
	}
	switch which {
	case offers:
		return has(dialect.Greeting, dialect.Caps)
	case lists:
		return has(dialect.Hello, dialect.Ask) && has(dialect.Caps)
	case acked:
		return d.Script.Acknowledged()
	case beforehand:
		return d.Script.Acknowledged() && has(dialect.Greeting, dialect.Caps)
	}
	return true
}
