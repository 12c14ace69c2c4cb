package starttls

import (
	"fmt"
	"strings"
)

// A Level is how much TLS a leg demands, in the words of Postfix.
type Level uint8

// The levels of a leg. Towards a client, None, May and Encrypt have a meaning.
const (
	None     Level = iota // no TLS
	May                   // TLS if the peer has it, unverified; else in the clear
	Encrypt               // TLS or nothing, unverified: keeps out who only listens
	Verify                // TLS, certificate chain and name checked; the name may come from DNS
	Secure                // as Verify, with a name that does not come from DNS
	Dane                  // TLSA records where the host has them (RFC 7672), else May
	DaneOnly              // TLSA records or nothing
	Auto                  // for each MX host, what is proved: TLSA records, else MTA-STS, else May with memory
)

var levelNames = [...]string{"none", "may", "encrypt", "verify", "secure", "dane", "dane-only", "auto"}

// String returns the level's word.
func (l Level) String() string { return levelNames[min(int(l), len(levelNames)-1)] }

// ParseLevel reads a level's word.
func ParseLevel(s string) (Level, error) {
	for i, name := range levelNames {
		if s == name {
			return Level(i), nil
		}
	}
	return None, fmt.Errorf("unknown level %q; the levels are %s", s, strings.Join(levelNames[:], ", "))
}
