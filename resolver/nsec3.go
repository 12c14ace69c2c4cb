package resolver

import (
	"strings"

	"github.com/miekg/dns"
)

// How often a name may be hashed again (RFC 9276 §3.2).
const (
	maxIterations      = 100 // more, and the denial is insecure
	maxIterationsBogus = 500 // more, and it is refused
)

// hashLen is the length of a SHA-1 hash in base32.
const hashLen = 32

// hashed are the NSEC3 records of a zone in one reply (RFC 5155). Their owners are hashes of names.
type hashed struct {
	apex   string
	rrs    []*dns.NSEC3
	hashes map[string]string // of names
}

// hashedBy sorts out what cannot be used (RFC 5155 §8.1, §8.2). All that is left has the same parameters,
// or the zone is bogus. Without any, it is nil.
func hashedBy(rrs []*dns.NSEC3, apex string) (*hashed, error) {
	h := &hashed{apex: apex, hashes: make(map[string]string)}
	for _, rr := range rrs {
		// Only the flag for opt-out is known, and only SHA-1.
		if rr.Hash != dns.SHA1 || rr.Flags > 1 {
			continue
		}
		if len(ownerHash(rr)) != hashLen || len(rr.NextDomain) != hashLen || dns.CountLabel(rr.Hdr.Name) != dns.CountLabel(apex)+1 {
			continue
		}
		if len(h.rrs) > 0 && (rr.Iterations != h.rrs[0].Iterations || rr.Salt != h.rrs[0].Salt) {
			return nil, bogus(edeNoDenial, "NSEC3 records of %s with other parameters in one answer", plain(apex))
		}
		h.rrs = append(h.rrs, rr)
	}
	if len(h.rrs) == 0 {
		return nil, nil
	}
	if n := h.rrs[0].Iterations; n > maxIterationsBogus {
		return nil, bogus(edeIterations, "NSEC3 records of %s with %d iterations", plain(apex), n)
	}
	return h, nil
}

// ownerHash returns the hash that is the first label of a record's owner.
func ownerHash(rr *dns.NSEC3) string {
	label, _, _ := strings.Cut(rr.Hdr.Name, ".")
	return strings.ToUpper(label)
}

// hash returns the hash of a name. Each costs something of the budget.
func (h *hashed) hash(s *search, name string) (string, error) {
	if sum, ok := h.hashes[name]; ok {
		return sum, nil
	}
	if err := spend(&s.budget.hashes, "hashes"); err != nil {
		return "", err
	}
	sum := dns.HashName(name, dns.SHA1, h.rrs[0].Iterations, h.rrs[0].Salt)
	h.hashes[name] = sum
	return sum, nil
}

// match returns the record of a name, or nil.
func (h *hashed) match(s *search, name string) (*dns.NSEC3, error) {
	return h.find(s, name, func(owner, _, sum string) bool { return owner == sum })
}

// cover returns a record that proves that a name does not exist, or nil.
func (h *hashed) cover(s *search, name string) (*dns.NSEC3, error) {
	return h.find(s, name, func(owner, next, sum string) bool {
		if owner < next {
			return owner < sum && sum < next
		}
		return owner < sum || sum < next // the last record, which points to the first
	})
}

func (h *hashed) find(s *search, name string, is func(owner, next, sum string) bool) (*dns.NSEC3, error) {
	if !within(name, h.apex) {
		return nil, nil
	}
	sum, err := h.hash(s, name)
	if err != nil {
		return nil, err
	}
	for _, rr := range h.rrs {
		if is(ownerHash(rr), rr.NextDomain, sum) {
			return rr, nil
		}
	}
	return nil, nil
}

// deny returns what the records prove of a name and type (RFC 5155 §8.4 to §8.7).
func (h *hashed) deny(s *search, name string, t uint16) (d denial, ok bool, err error) {
	if h.excessive() {
		return denial{why: h.room(nil)}, true, nil
	}
	rr, err := h.match(s, name)
	if err != nil {
		return denial{}, false, err
	}
	if rr != nil {
		return denial{cut: delegates(rr.TypeBitMap)}, silent(rr.TypeBitMap, t), nil
	}
	encloser, closer, err := h.encloser(s, name)
	if err != nil || closer == nil {
		return denial{}, false, err
	}
	d.why = h.room(closer)
	star := wildcard(encloser)
	if rr, err = h.match(s, star); err != nil {
		return denial{}, false, err
	}
	if rr != nil {
		return d, silent(rr.TypeBitMap, t) && !delegates(rr.TypeBitMap), nil
	}
	if rr, err = h.cover(s, star); err != nil {
		return denial{}, false, err
	}
	d.noName = rr != nil
	// Without the wildcard's, it proves only that there is nothing signed (RFC 5155 §8.6).
	return d, rr != nil || d.why != "", nil
}

// encloser returns the closest encloser of a name that does not exist, and the record that covers the
// name next closer to it (RFC 5155 §8.3); nil if they are not proved.
func (h *hashed) encloser(s *search, name string) (encloser string, closer *dns.NSEC3, err error) {
	for n := dns.CountLabel(name) - 1; n >= dns.CountLabel(h.apex); n-- {
		encloser = last(name, n)
		rr, err := h.match(s, encloser)
		if err != nil {
			return "", nil, err
		}
		if rr == nil {
			continue
		}
		if hides(rr.TypeBitMap) {
			return "", nil, nil
		}
		closer, err = h.cover(s, last(name, n+1))
		return encloser, closer, err
	}
	return "", nil, nil
}

// lacks proves that a name does not exist, nor any below it (RFC 5155 §8.8).
func (h *hashed) lacks(s *search, closer string) (why string, ok bool, err error) {
	if h.excessive() {
		return h.room(nil), true, nil
	}
	rr, err := h.cover(s, closer)
	if err != nil || rr == nil {
		return "", false, err
	}
	return h.room(rr), true, nil
}

// excessive reports whether names are hashed so often that we do not: who asks for that much work for
// each denial has none.
func (h *hashed) excessive() bool { return h.rrs[0].Iterations > maxIterations }

// room says why a proof with this record leaves room for unsigned zones, or "".
func (h *hashed) room(rr *dns.NSEC3) string {
	if h.excessive() {
		return plain(h.apex) + " hashes names more often than is worth anything (RFC 9276)"
	}
	if rr.Flags&1 == 1 {
		return "there may be an unsigned zone where " + plain(h.apex) + " has opted out of signing delegations"
	}
	return ""
}
