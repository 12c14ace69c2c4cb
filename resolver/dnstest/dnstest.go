// Package dnstest is a DNS for tests: a fixed set of records that can lie in every way. Nothing is asked
// of any network.
package dnstest

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"starttls/resolver"
)

// A Resolver answers from lines of text, and keeps what was asked.
type Resolver struct {
	// TTL of every answer. If zero, one hour.
	TTL time.Duration

	mu    sync.Mutex
	sets  map[key]*set
	asked []string
}

type key struct {
	name string
	t    resolver.Type
}

// A set is the records of one name and type, or what befalls who asks for them.
type set struct {
	answer resolver.Answer
	fail   resolver.Status // of the error, when err is set
	err    error
}

// maxChain is how many CNAMEs are followed (as in package resolver).
const maxChain = 8

// New returns a resolver of the records in text, one a line, in the manner of a zone file:
//
//	example.org          MX    10 mx.example.org     secure
//	mx.example.org       A     192.0.2.1             insecure
//	_25._tcp.mx.example.org TLSA 3 1 1 0123…         secure
//	www.example.org      CNAME mx.example.org        secure
//	_mta-sts.example.org TXT   "v=STSv1; id=1;"      secure
//	example.net          MX    bogus
//	mx.example.net       TLSA  timeout
//
// The last word is the status; records of one name and type share it, and "secure" may be left out. A
// set of one word is an error or a denial: bogus, servfail, timeout; nodata or nxdomain, which take a
// status as well. What has no line is a secure nodata, and a secure nxdomain if the name has no line at
// all. Lines that are wrong panic.
func New(text string) *Resolver {
	r := &Resolver{sets: make(map[key]*set)}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			r.Add(line)
		}
	}
	return r
}

// Add adds a line, see [New].
func (r *Resolver) Add(line string) {
	fields := words(line)
	if len(fields) < 3 {
		panic("dnstest: not a record: " + line)
	}
	name, err := resolver.Name(fields[0])
	if err != nil {
		panic("dnstest: " + err.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := typeOf(fields[1])
	s := r.sets[key{name, t}]
	if s == nil {
		s = &set{answer: resolver.Answer{Name: name, Type: t, Status: resolver.Secure, Canonical: name}}
		r.sets[key{name, t}] = s
	}
	if err := s.add(fields[2:]); err != nil {
		panic(fmt.Sprintf("dnstest: %s: %v", line, err))
	}
}

// Remove takes all records of a name and type away.
func (r *Resolver) Remove(name string, t resolver.Type) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sets, key{name, t})
}

// Asked returns what was asked so far, "mx.example.org A", in order.
func (r *Resolver) Asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

// Lookup answers. A timeout answers at once with the error of a timeout.
func (r *Resolver) Lookup(ctx context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	asked, err := resolver.Name(name)
	if err != nil {
		return nil, &resolver.Error{Name: name, Type: t, Code: -1, Err: err}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, asked+" "+t.String())
	status := resolver.Secure
	at := asked
	for range maxChain {
		s, link := r.sets[key{at, t}], r.sets[key{at, resolver.CNAME}]
		if s == nil && link != nil && t != resolver.CNAME {
			s = link
		}
		if s == nil {
			return r.finish(resolver.Answer{NoName: !r.has(at)}, asked, at, t, status), nil
		}
		if s.err != nil {
			return nil, &resolver.Error{Name: asked, Type: t, Status: s.fail, Code: -1, Err: s.err}
		}
		status = min(status, s.answer.Status)
		if s != link || t == resolver.CNAME {
			return r.finish(s.answer, asked, at, t, status), nil
		}
		at = s.answer.CNAME
	}
	return nil, &resolver.Error{Name: asked, Type: t, Code: -1, Err: errors.New("too many CNAMEs")}
}

func (r *Resolver) finish(a resolver.Answer, asked, at string, t resolver.Type, status resolver.Status) *resolver.Answer {
	a.Name, a.Canonical, a.Type, a.Status, a.TTL = asked, at, t, status, cmp.Or(r.TTL, time.Hour)
	if status == resolver.Insecure {
		a.Why = "dnstest says so"
	}
	slices.SortStableFunc(a.MX, func(x, y resolver.MXRecord) int { return cmp.Compare(x.Pref, y.Pref) })
	return &a
}

// has reports whether a name exists: has records or has names below it.
func (r *Resolver) has(name string) bool {
	for k := range r.sets {
		if k.name == name || strings.HasSuffix(k.name, "."+name) {
			return true
		}
	}
	return false
}

// add adds one line's data and status to a set.
func (s *set) add(fields []string) error {
	switch last := fields[len(fields)-1]; last {
	case "secure", "insecure":
		if last == "insecure" {
			s.answer.Status = resolver.Insecure
		}
		fields = fields[:len(fields)-1]
	}
	if len(fields) == 1 {
		switch fields[0] {
		case "bogus":
			s.fail, s.err = resolver.Bogus, errors.New("signature is wrong")
			return nil
		case "servfail":
			s.err = errors.New("the server failed (SERVFAIL)")
			return nil
		case "timeout":
			s.err = errors.New("no answer in time")
			return nil
		case "nxdomain":
			s.answer.NoName = true
			return nil
		case "nodata":
			return nil
		}
	}
	return s.record(fields)
}

// record adds one record.
func (s *set) record(fields []string) (err error) {
	number := func(i, bits int) uint64 {
		if i >= len(fields) {
			err = errors.New("too short")
			return 0
		}
		n, nerr := strconv.ParseUint(fields[i], 10, bits)
		err = cmp.Or(err, nerr)
		return n
	}
	host := func(i int) string {
		if i >= len(fields) {
			err = errors.New("too short")
			return ""
		}
		name, nerr := resolver.Name(fields[i])
		if nerr != nil {
			return fields[i] // a DNS may hold what is no name
		}
		return name
	}
	a := &s.answer
	switch a.Type {
	case resolver.A, resolver.AAAA:
		addr, aerr := netip.ParseAddr(fields[0])
		a.Addrs, err = append(a.Addrs, addr), aerr
	case resolver.CNAME:
		a.CNAME = host(0)
	case resolver.MX:
		a.MX = append(a.MX, resolver.MXRecord{Pref: uint16(number(0, 16)), Host: host(1)})
	case resolver.TXT:
		a.TXT = append(a.TXT, strings.Join(fields, ""))
	case resolver.SRV:
		a.SRV = append(a.SRV, resolver.SRVRecord{Priority: uint16(number(0, 16)), Weight: uint16(number(1, 16)), Port: uint16(number(2, 16)), Target: host(3)})
	case resolver.TLSA:
		data, derr := hex.DecodeString(strings.Join(fields[min(3, len(fields)):], ""))
		a.TLSA = append(a.TLSA, resolver.TLSARecord{Usage: uint8(number(0, 8)), Selector: uint8(number(1, 8)), Matching: uint8(number(2, 8)), Data: data})
		err = cmp.Or(err, derr)
	case resolver.CAA:
		a.CAA = append(a.CAA, resolver.CAARecord{Flags: uint8(number(0, 8)), Tag: host(1), Value: strings.Join(fields[min(2, len(fields)):], "")})
	default:
		err = errors.New("unknown type")
	}
	return err
}

func typeOf(word string) resolver.Type {
	for _, t := range []resolver.Type{resolver.A, resolver.AAAA, resolver.CNAME, resolver.MX, resolver.TXT, resolver.SRV, resolver.TLSA, resolver.CAA} {
		if t.String() == word {
			return t
		}
	}
	panic("dnstest: unknown type " + word)
}

// words splits a line at blanks; a quoted string is one word, without its quotes.
func words(line string) (all []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if rest, ok := strings.CutPrefix(line, `"`); ok {
			word, after, _ := strings.Cut(rest, `"`)
			all, line = append(all, word), after
			continue
		}
		i := strings.IndexAny(line, " \t")
		if i < 0 {
			i = len(line)
		}
		all, line = append(all, line[:i]), line[i:]
	}
	return all
}
