package resolver

import (
	"cmp"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// hostOf returns a name from a message as Name returns it. What is no name for Name (the DNS may hold any
// bytes) is left as zone files have it, with its escapes.
func hostOf(name string) string {
	if name == "." {
		return ""
	}
	text := plain(dns.CanonicalName(name))
	if host, err := Name(text); err == nil {
		return host
	}
	return text
}

// weaken makes an answer no better than one of the links that led to it.
func (a *Answer) weaken(v verdict) {
	a.TTL = max(min(a.TTL, v.ttl), 0)
	if v.why != "" {
		a.Status = Insecure
		a.Why = cmp.Or(a.Why, v.why)
	}
}

// fill puts the records of a set into the answer.
func (a *Answer) fill(set *rrset) {
	for _, rr := range set.rrs {
		switch rr := rr.(type) {
		case *dns.A:
			a.addAddr(rr.A)
		case *dns.AAAA:
			a.addAddr(rr.AAAA)
		case *dns.CNAME:
			a.CNAME = hostOf(rr.Target)
		case *dns.MX:
			a.MX = append(a.MX, MXRecord{rr.Preference, hostOf(rr.Mx)})
		case *dns.TXT:
			a.TXT = append(a.TXT, text(rr.Txt))
		case *dns.SRV:
			a.SRV = append(a.SRV, SRVRecord{rr.Priority, rr.Weight, rr.Port, hostOf(rr.Target)})
		case *dns.TLSA:
			data, _ := hex.DecodeString(rr.Certificate) // package dns made it of bytes
			a.TLSA = append(a.TLSA, TLSARecord{rr.Usage, rr.Selector, rr.MatchingType, data})
		case *dns.CAA:
			a.CAA = append(a.CAA, CAARecord{rr.Flag, rr.Tag, unescape(rr.Value)})
		}
	}
	slices.SortStableFunc(a.MX, func(x, y MXRecord) int { return cmp.Compare(x.Pref, y.Pref) })
}

// bulk is about what an answer takes in memory, in bytes.
func (a *Answer) bulk() int {
	n := 24*len(a.Addrs) + len(a.CNAME)
	for _, r := range a.MX {
		n += 24 + len(r.Host)
	}
	for _, s := range a.TXT {
		n += 16 + len(s)
	}
	for _, r := range a.SRV {
		n += 24 + len(r.Target)
	}
	for _, r := range a.TLSA {
		n += 32 + len(r.Data)
	}
	for _, r := range a.CAA {
		n += 40 + len(r.Tag) + len(r.Value)
	}
	return n
}

func (a *Answer) addAddr(ip []byte) {
	if addr, ok := netip.AddrFromSlice(ip); ok {
		a.Addrs = append(a.Addrs, addr)
	}
}

// text puts the strings of a TXT record together.
func text(parts []string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(unescape(part))
	}
	return b.String()
}

// unescape returns the bytes of a string that package dns has escaped as in a zone file (RFC 1035 §5.1).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			b = append(b, s[i])
		case i+3 < len(s) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]):
			b = append(b, (s[i+1]-'0')*100+(s[i+2]-'0')*10+(s[i+3]-'0'))
			i += 3
		default:
			i++
			b = append(b, s[i])
		}
	}
	return string(b)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// target returns where an alias leads from a name.
func target(link *rrset, name string) (string, error) {
	if len(link.rrs) != 1 { // RFC 2181 §10.1, RFC 6672 §2.4
		return "", indeterminate(edeInvalidData, "%s leads to %d names", link, len(link.rrs))
	}
	switch rr := link.rrs[0].(type) {
	case *dns.CNAME:
		return dns.CanonicalName(rr.Target), nil
	case *dns.DNAME:
		// The owner at the end of the name is replaced (RFC 6672 §2.2).
		made := name
		if link.owner != "." {
			made = name[:len(name)-len(last(name, dns.CountLabel(link.owner)))]
		}
		made = dns.CanonicalName(made + strings.TrimPrefix(rr.Target, "."))
		if _, ok := dns.IsDomainName(made); !ok {
			return "", indeterminate(edeInvalidData, "%s makes a name that is too long", link)
		}
		return made, nil
	}
	return "", indeterminate(edeInvalidData, "%s is no alias", link)
}
