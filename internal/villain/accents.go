package villain

import (
	"slices"

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
var accents = []accent{smtp, imap, ldap, postgres, xmpp}

// accentOf returns the accent of a dialect, the zero accent if it has none.
func accentOf(d *dialect.Dialect) accent {
	for _, a := range accents {
		if slices.Contains(a.names, d.Name) {
			return a
		}
	}
	return accent{}
}
