// Package zone is a DNS of its own: zones from text, signed as DNSSEC has it or in every wrong way, and
// servers for them.
//
// # Where to start
//
// A [Tree] holds zones, from the root down. [Tree.Set] adds them, each a [Config]: records as in a zone
// file, and how they are signed. Delegations, DS records and name servers need not be written, the tree
// makes them. Then [Listen] with one of two faces:
//
//   - [Tree.Authority] answers for its zones and refers to those below, as a name server does. A
//     resolver such as Unbound works on it from the root down.
//   - [Tree.Recursor] answers any name in the tree, across all zones, with signatures and proofs for who
//     asks for them and with no judgement of its own: what a validator wants of its forwarder.
//
// A [Lie] spoils the answer to one question; what is wrong with a whole zone is in its Config.
//
// # What it is not
//
// It is made for tests and for the lab. Signatures are made when they are asked for, by keys that are in
// memory. There are no transfers, no updates and no limits for clients.
package zone

import (
	"crypto"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// A Config is one zone.
type Config struct {
	// Origin is the name of the zone, with or without the last dot; "." is the root.
	Origin string
	// Text are its records as in a zone file (RFC 1035 §5.1), names relative to Origin. Lines may be
	// indented, so each record has its name, and there is no $INCLUDE. SOA and NS records are made where
	// there are none.
	Text string
	// TTL of records that have none, in seconds. If zero, 300.
	TTL uint32

	// Unsigned zones have no DNSSEC, and no DS in the zone above.
	Unsigned bool
	// Algorithms sign the zone, each with a key for keys (KSK) and a key for all else (ZSK). Those that
	// cannot be had here get random bytes for keys and signatures. If empty, ECDSA P-256 (13).
	Algorithms []uint8
	// NSEC3 says how the zone proves that names do not exist. If nil, by NSEC.
	NSEC3 *NSEC3
	// DS is what the zone above has to say of this one's keys.
	DS DS
	// Digests are the digests of the DS records. One that cannot be had gets random bytes. If empty,
	// SHA-256 (2).
	Digests []uint8
	// From and Until are the validity of signatures, counted from when they are made. If both are zero,
	// from an hour before to two weeks after.
	From, Until time.Duration
	// Spoiled signatures do not fit.
	Spoiled bool
}

// NSEC3 are the parameters of RFC 5155.
type NSEC3 struct {
	Iterations uint16
	Salt       string // hexadecimal
	// OptOut leaves delegations to unsigned zones out of the chain (RFC 5155 §6).
	OptOut bool
}

// A DS says which DS records the zone above has.
type DS uint8

// The kinds of DS.
const (
	DSRight   DS = iota // of the zone's keys
	DSMissing           // none: the zone is an island
	DSWrong             // of another key
)

// A Tree is a set of zones. The zero Tree has a signed and empty root. Its methods may be called at the
// same time, and while it is served.
type Tree struct {
	// Now is the clock for signatures. If nil, time.Now.
	Now func() time.Time
	// Server is the address of the name servers that the tree makes NS records for. If zero, 127.0.0.1.
	Server netip.Addr

	mu    sync.RWMutex
	zones map[string]*zone // by origin
	lies  map[question]Lie
}

// Set adds zones, or replaces those of the same origin; keys stay while the algorithms do. All of them
// or, with an error, none.
func (t *Tree) Set(configs ...Config) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	zones := maps.Clone(t.zones)
	if zones == nil {
		zones = make(map[string]*zone)
	}
	if zones["."] == nil {
		configs = append([]Config{{Origin: "."}}, configs...)
	}
	dirty := make(map[string]bool)
	for _, c := range configs {
		z, err := t.newZone(c, zones)
		if err != nil {
			return err
		}
		zones[z.origin], dirty[z.origin] = z, true
	}
	for origin := range maps.Clone(dirty) {
		if origin != "." {
			dirty[above(zones, origin)] = true
		}
	}
	if err := t.build(zones, dirty); err != nil {
		return err
	}
	t.zones = zones
	return nil
}

// newZone checks a Config. The zone has its keys and no records yet.
func (t *Tree) newZone(c Config, zones map[string]*zone) (*zone, error) {
	if _, ok := dns.IsDomainName(c.Origin); !ok {
		return nil, fmt.Errorf("zone %q: no domain name", c.Origin)
	}
	z := &zone{Config: c, origin: dns.CanonicalName(c.Origin), now: t.Now}
	if z.now == nil {
		z.now = time.Now
	}
	if len(z.Algorithms) == 0 {
		z.Algorithms = []uint8{dns.ECDSAP256SHA256}
	}
	if len(z.Digests) == 0 {
		z.Digests = []uint8{dns.SHA256}
	}
	if z.From == 0 && z.Until == 0 {
		z.From, z.Until = -time.Hour, 14*24*time.Hour
	}
	if z.Unsigned {
		return z, nil
	}
	if old := zones[z.origin]; old != nil && slices.Equal(old.Algorithms, z.Algorithms) && !old.Unsigned {
		z.keys = old.keys
		return z, nil
	}
	return z, z.makeKeys()
}

// build makes the records of the zones in dirty anew.
func (t *Tree) build(zones map[string]*zone, dirty map[string]bool) error {
	children := make(map[string][]*zone)
	for origin, z := range zones {
		if parent := above(zones, origin); dirty[parent] && origin != "." {
			children[parent] = append(children[parent], z)
		}
	}
	server := t.Server
	if !server.IsValid() {
		server = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	// Longer origins first: who is above takes the name servers of who is below.
	origins := slices.SortedFunc(maps.Keys(dirty), func(a, b string) int { return dns.CountLabel(b) - dns.CountLabel(a) })
	for _, origin := range origins {
		z := *zones[origin]
		z.sigs = &signatures{made: make(map[set]made)}
		if err := z.build(server, children[origin]); err != nil {
			return fmt.Errorf("zone %s: %w", origin, err)
		}
		zones[origin] = &z
		for _, siblings := range children {
			for i, s := range siblings {
				if s.origin == origin {
					siblings[i] = &z
				}
			}
		}
	}
	return nil
}

// above returns the origin of the zone that delegates a zone: the next above it.
func above(zones map[string]*zone, origin string) string {
	for name := range ancestors(origin) {
		if zones[name] != nil {
			return name
		}
	}
	return "."
}

// find returns the zone that answers for a name: the deepest one that holds it; for DS the one above
// (RFC 4035 §3.1.4.1). Only zones in only count, unless it is nil.
func (t *Tree) find(name string, qtype uint16, only map[string]bool) *zone {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var fallback *zone // the child answers for its DS if the parent is not here
	if z := t.zones[name]; z != nil && (only == nil || only[name]) {
		if qtype != dns.TypeDS || name == "." {
			return z
		}
		fallback = z
	}
	for at := range ancestors(name) {
		if z := t.zones[at]; z != nil && (only == nil || only[at]) {
			return z
		}
	}
	return fallback
}

// Anchor returns the trust anchor of the tree: the DS records of the root's keys, as lines of a zone
// file. The tree has been Set before.
func (t *Tree) Anchor() string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var lines strings.Builder
	for _, rr := range t.zones["."].ds(DSRight) {
		fmt.Fprintln(&lines, rr)
	}
	return lines.String()
}

// Dump returns a zone as it is served, signatures and proofs included, a record on each line. It is
// empty if there is no such zone.
func (t *Tree) Dump(origin string) string {
	t.mu.RLock()
	z := t.zones[dns.CanonicalName(origin)]
	t.mu.RUnlock()
	if z == nil {
		return ""
	}
	var lines strings.Builder
	for _, rr := range z.all() {
		fmt.Fprintln(&lines, rr)
	}
	return lines.String()
}

// A zone is a zone with all its records. Only its signatures change once it is built.
type zone struct {
	Config
	origin string
	now    func() time.Time
	keys   []key // nil if the zone is not signed
	soa    *dns.SOA

	nodes  map[string]*node
	chain  []*node  // who has a NSEC record, in canonical order (RFC 4034 §6.1)
	hashes []hashed // who has a NSEC3 record, by hash

	sigs *signatures
}

// A node is a name in a zone. One without records is an empty non-terminal (RFC 8499 §7).
type node struct {
	name   string
	labels []string // from the root down, as bytes, for the canonical order
	sets   map[uint16][]dns.RR
	cut    bool // another zone begins here
	hidden bool // it is below a cut: glue
}

// A key is a DNSKEY with its private part.
type key struct {
	*dns.DNSKEY
	private crypto.Signer // nil if the algorithm cannot be had here
}
