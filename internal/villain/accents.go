package villain

import (
	"slices"
	"strconv"
	"strings"

	"starttls/dialect"
)

// An accent is what only one protocol has; it is in the file of that name.
type accent struct {
	names    []string // of dialects
	villains []Villain
	never    []string                             // of every dialect's villains: from whom even a client that errs gets nothing to say
	mild     func(raw []byte) bool                // what is Secret for a gateway, and gives nothing away
	glue     func(upgrade dialect.Message) []byte // an answer to what will be asked next
}

// accents are those that there are.
var accents = []accent{smtp, imap, pop3, ldap, postgres, xmpp, nntp, ftp, irc}

// accentOf returns the accent of a dialect, the zero accent if it has none.
func accentOf(d *dialect.Dialect) accent {
	for _, a := range accents {
		if slices.Contains(a.names, d.Name) {
			return a
		}
	}
	return accent{}
}

// greets is a villain whose greeting is not what one should be, and that has no TLS.
func greets(name, words string) Villain {
	return Villain{Name: name, ID: "client.stripped", Does: "the greeting is " + quoted(words), greeting: words, odd: true, strip: true, upgrade: refuses}
}

// hears is one that answers the client's question in no lawful way, and has no TLS.
func hears(name, words string) Villain {
	return Villain{Name: name, ID: "client.stripped", Does: "the question what there is gets " + quoted(words), told: words, strip: true, upgrade: refuses}
}

// answers is one that offers TLS and answers the request for it in a way that does not begin it.
func answers(name, words string) Villain {
	return Villain{Name: name, ID: "client.refused", Does: "the request for TLS gets " + quoted(words), upgrade: says, raw: always(words)}
}

// always is the same answer whatever was asked.
func always(words string) func(dialect.Message) string {
	return func(dialect.Message) string { return words }
}

// quoted is the beginning of a villain's words, for people.
func quoted(words string) string {
	const most = 60
	words = strings.TrimRight(words, "\r\n\x00")
	text := strings.Trim(strconv.QuoteToASCII(words[:min(len(words), most)]), `"`)
	if len(words) > most {
		text += "…"
	}
	return text
}
