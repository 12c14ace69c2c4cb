// Package resolver asks the DNS and says of each answer whether it can be trusted: secure, insecure or,
// as an error, bogus (RFC 4035 §4.3).
//
// # Where to start
//
// A [Resolver] has one method, Lookup. Its answer is Secure or Insecure; whatever cannot be relied on at
// all (bogus signatures, a server that fails, no answer in time, work that passed a budget) is an [*Error]
// and no answer, so that nobody can use by mistake what was not proved. That a name or a record does
// not exist is an answer, with a status of its own.
//
//	v := &resolver.Validator{Servers: []string{"192.0.2.53"}}
//	if err := v.Check(ctx); err != nil {
//		return err // the server takes DNSSEC out of what it passes on
//	}
//	a, err := v.Lookup(ctx, "_25._tcp.mx.example.org", resolver.TLSA)
//	if err == nil && a.Status == resolver.Secure { … }
//
// A [Validator] proves what it says from the keys of the root. It needs a server that resolves names and
// passes on what DNSSEC adds, and need not trust it. A [TrustAD] believes a server that validates; package
// dnstest has a Resolver for tests.
//
// # What it promises
//
// "Secure" means validated here from the configured trust anchors, or by a resolver that the operator
// declared trusted. The zero Status is not Secure.
//
// Names go in as people write them and come out as A-labels, lower-case, without the last dot: see
// [Name].
package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// A Resolver looks records up. It may be used by many goroutines at once.
type Resolver interface {
	// Lookup returns the records of a type at a name, CNAMEs followed. It fails with an [*Error] when
	// there is no answer that can be relied on, and with the context's error when that ends first. Others
	// may hold what is in an answer: it must not be changed.
	Lookup(ctx context.Context, name string, t Type) (*Answer, error)
}

// A Status is how far an answer can be trusted (RFC 4035 §4.3).
type Status uint8

// The statuses of answers, and those of errors.
const (
	Indeterminate Status = iota // error: nothing is known; the servers failed, time or a budget ran out
	Bogus                       // error: signatures that must be there are missing or wrong
	Insecure                    // the zone is proved to be unsigned, or nobody has validated
	Secure                      // validated
)

// String returns the status's word.
func (s Status) String() string {
	return [...]string{"indeterminate", "bogus", "insecure", "secure"}[min(s, Secure)]
}

// A Type is the type of a record, by its number in the DNS.
type Type uint16

// The types that a Resolver knows how to return.
const (
	A     Type = 1
	CNAME Type = 5
	MX    Type = 15
	TXT   Type = 16
	AAAA  Type = 28
	SRV   Type = 33
	TLSA  Type = 52
	CAA   Type = 257
)

var types = map[Type]string{A: "A", CNAME: "CNAME", MX: "MX", TXT: "TXT", AAAA: "AAAA", SRV: "SRV", TLSA: "TLSA", CAA: "CAA"}

// String returns the type's name in zone files.
func (t Type) String() string {
	if name, ok := types[t]; ok {
		return name
	}
	return fmt.Sprintf("TYPE%d", uint16(t)) // RFC 3597 §5
}

// An Answer is what the DNS said of a name and type. Only the slice of that type is filled; all are
// empty when there is no such record.
type Answer struct {
	Name   string // asked for, as [Name] returns it
	Type   Type
	Status Status // Secure or Insecure: the weakest of all links that led here
	// NoName says that the name does not exist at all (NXDOMAIN), and not only the record.
	NoName bool
	// Canonical is the name at the end of the chain of CNAMEs, or Name. When Type is CNAME, none is
	// followed, and it is Name.
	Canonical string
	// TTL is how long the answer may be kept, never past the end of a signature.
	TTL time.Duration
	// Why says in words for people why the answer is no more than Insecure.
	Why string

	Addrs []netip.Addr // A or AAAA
	CNAME string       // the target, as Name returns it
	MX    []MXRecord   // by preference, in the order of the answer among equals
	TXT   []string     // the strings of each record put together (RFC 8461 §3.1)
	SRV   []SRVRecord
	TLSA  []TLSARecord
	CAA   []CAARecord
}

// Empty reports whether there is no record of the type.
func (a *Answer) Empty() bool {
	return len(a.Addrs)+len(a.MX)+len(a.TXT)+len(a.SRV)+len(a.TLSA)+len(a.CAA) == 0 && a.CNAME == ""
}

// MXRecord is the data of a MX record (RFC 1035 §3.3.9). The root, "", as Host is a null MX (RFC 7505).
type MXRecord struct {
	Pref uint16
	Host string
}

// SRVRecord is the data of a SRV record (RFC 2782).
type SRVRecord struct {
	Priority, Weight, Port uint16
	Target                 string
}

// TLSARecord is the data of a TLSA record (RFC 6698 §2.1).
type TLSARecord struct {
	Usage, Selector, Matching uint8
	Data                      []byte
}

// String returns the record as in a zone file: "3 1 1 0123…".
func (r TLSARecord) String() string {
	return fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.Matching, r.Data)
}

// CAARecord is the data of a CAA record (RFC 8659 §4.1).
type CAARecord struct {
	Flags      uint8
	Tag, Value string
}

// An Error is a lookup without an answer that can be relied on. For DANE it is never the same as "there
// is no such record" (RFC 7672 §2.1.1).
type Error struct {
	Name   string
	Type   Type
	Status Status // Bogus or Indeterminate
	// Code and Text are the extended DNS error (RFC 8914), ours or the server's. Code is -1 if there is
	// none: 0 has a meaning.
	Code int
	Text string
	Err  error // what befell, for people
}

// Error says what was asked and what befell.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s %s: %s: %v", e.Name, e.Type, e.Status, e.Err)
	if e.Code >= 0 {
		s += fmt.Sprintf(" (EDE %d)", e.Code)
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
