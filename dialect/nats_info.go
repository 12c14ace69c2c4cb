package dialect

import (
	"bytes"
	"encoding/json"
	"strings"
)

// A natsObject is where the members of an INFO stand in its line.
type natsObject struct {
	members []natsMember
	end     int // of the last member, or behind the opening brace
}

type natsMember struct {
	key      string
	value    []byte
	from, to int
}

// is compares keys as the clients do that are written in Go.
func (m natsMember) is(key string) bool { return strings.EqualFold(m.key, key) }

// natsInfo finds the members of the JSON object in an INFO line.
func natsInfo(line []byte) (natsObject, bool) {
	object := line[len("INFO"):]
	if !json.Valid(object) || bytes.TrimLeft(object, " \t")[0] != '{' {
		return natsObject{}, false
	}
	d := json.NewDecoder(bytes.NewReader(object))
	d.Token()
	at := func() int { return len("INFO") + int(d.InputOffset()) }
	info := natsObject{end: at()}
	for d.More() {
		// Between here and the key stand blanks and a comma.
		m := natsMember{from: info.end + bytes.IndexByte(line[info.end:], '"')}
		key, _ := d.Token()
		m.key, _ = key.(string)
		if d.Decode((*json.RawMessage)(&m.value)) != nil {
			return natsObject{}, false
		}
		m.to = at()
		info.members, info.end = append(info.members, m), m.to
	}
	return info, true
}

// natsEdit says an INFO with our offer at its end, in place of the server's.
func natsEdit(dst []byte, m Message) []byte {
	info, ok := natsInfo(m.Raw)
	if !ok {
		return append(dst, m.Raw...)
	}
	offer := natsOffers[m.Offer]
	var comma []byte // and the blanks around it, behind the last member that is kept
	for i, member := range info.members {
		if i == 0 {
			dst = append(dst, m.Raw[:member.from]...)
		}
		if member.is("tls_required") || member.is("tls_available") {
			continue
		}
		dst = append(append(dst, comma...), m.Raw[member.from:member.to]...)
		if i+1 < len(info.members) {
			comma = m.Raw[member.to:info.members[i+1].from]
		} else {
			comma = []byte(",")
		}
	}
	if len(info.members) == 0 {
		dst = append(dst, m.Raw[:info.end]...)
	}
	if comma == nil {
		offer = strings.TrimPrefix(offer, ",")
	}
	return append(append(dst, offer...), m.Raw[info.end:]...)
}
