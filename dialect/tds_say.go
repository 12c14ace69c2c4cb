package dialect

import (
	"encoding/binary"
	"slices"
	"strconv"
	"unicode/utf16"
)

// say has no words for an upgrade: TLS begins without one.
func (t *tds) say(dst []byte, m Message) []byte {
	switch m.Kind {
	case Ask:
		return appendTDS(dst, tdsPrelogin, newPrelogin(tdsOn))
	case Caps:
		return t.sayCaps(dst, m)
	case No:
		before := t.phase
		t.phase = tdsOver
		if before == tdsOpen && t.version != 0 {
			return appendTDS(dst, tdsResponse, t.refusal(m.Why))
		}
	}
	return dst
}

// sayCaps says a server's PRELOGIN with our word on encryption.
func (t *tds) sayCaps(dst []byte, m Message) []byte {
	switch {
	case m.Raw == nil:
		return appendTDS(dst, tdsResponse, newPrelogin(t.answer(m.Offer)))
	case !m.edit.offer:
		return append(dst, m.Raw...)
	}
	return append(dst, setEncryption(m.Raw, t.answer(m.Offer))...)
}

// answer is the server's ENCRYPTION for an offer, by the table of MS-TDS §2.2.6.5 without its "login
// only": to a client that says OFF, TLS is offered as REQ, for it can do TLS and will.
func (t *tds) answer(offer Offer) byte {
	switch {
	case offer == Unsaid, offer == Offered && t.client == tdsNotSup:
		return tdsNotSup
	case t.client == tdsOn || t.client == tdsReq:
		return tdsOn
	}
	return tdsReq
}

func appendTDS(dst []byte, kind byte, payload []byte) []byte {
	dst = append(dst, kind, tdsLast)
	dst = binary.BigEndian.AppendUint16(dst, uint16(tdsHeader+len(payload)))
	return append(append(dst, 0, 0, 1, 0), payload...)
}

// newPrelogin returns a PRELOGIN of our own: a version, ENCRYPTION, no instance, no MARS.
func newPrelogin(encrypt byte) []byte {
	return writePrelogin([]tdsOption{
		{tdsVersion, []byte{16, 0, 0, 0, 0, 0}},
		{tdsEncryption, []byte{encrypt}},
		{tdsInstance, []byte{0}},
		{tdsThread, nil},
		{tdsMARS, []byte{0}},
	})
}

// Tokens of an answer (MS-TDS §2.2.7.10, §2.2.7.6).
const (
	tdsErrorToken = 0xaa
	tdsDoneToken  = 0xfd
)

// refusal returns ERROR and DONE, as the client's version has them.
func (t *tds) refusal(why Reason) []byte {
	r := tdsRefusals[why]
	words := utf16.Encode([]rune(r.text))
	old := t.version>>24 < 0x72 && t.version>>24 >= 0x70 // 7.0, 7.1: shorter numbers
	var body []byte
	body = binary.LittleEndian.AppendUint32(body, r.number)
	body = append(body, 1, 20) // state, class: fatal
	body = binary.LittleEndian.AppendUint16(body, uint16(len(words)))
	for _, word := range words {
		body = binary.LittleEndian.AppendUint16(body, word)
	}
	body = append(body, 0, 0)   // server, procedure
	body = append(body, 1, 0)   // line
	done := make([]byte, 2+2+4) // status, command, rows
	done[0] = 0x02              // DONE_ERROR
	if !old {
		body, done = append(body, 0, 0), append(done, 0, 0, 0, 0)
	}
	out := binary.LittleEndian.AppendUint16([]byte{tdsErrorToken}, uint16(len(body)))
	return slices.Concat(out, body, []byte{tdsDoneToken}, done)
}

// tdsError reads number and text of an ERROR token, as far as they are there.
func tdsError(token []byte) string {
	if len(token) < 11 {
		return ""
	}
	text := strconv.Itoa(int(binary.LittleEndian.Uint32(token[3:]))) + " "
	var words []uint16
	for at := 11; at+2 <= len(token) && len(words) < int(binary.LittleEndian.Uint16(token[9:])); at += 2 {
		words = append(words, binary.LittleEndian.Uint16(token[at:]))
	}
	return text + string(utf16.Decode(words))
}

// tdsRefusals are numbers and texts near those of SQL Server's own.
var tdsRefusals = [...]struct {
	number uint32
	text   string
}{
	Unknown:        {18456, "Login failed."},
	TLSRequired:    {17835, "Encryption is required to connect to this server."},
	TLSUnavailable: {17182, "TLS is not available."},
	AlreadyTLS:     {17828, "TLS is active already."},
	BadSyntax:      {17828, "The prelogin packet is structurally invalid."},
	NotNow:         {17828, "Out of order."},
	Unavailable:    {17142, "The server cannot be reached."},
	TooMuch:        {17809, "Too many connections."},
}

// across: a server with which TLS is none of the client's business hears that the client cannot, and
// one that has heard a PRELOGIN hears no other. A server inside TLS (TDS 8.0) pays no heed.
func (t *tds) across(m Message) (Message, bool) {
	if t.we == Server || m.Kind != Ask {
		return m, true
	}
	if !t.inside && m.Raw != nil {
		m.Raw = setEncryption(m.Raw, tdsNotSup)
	}
	return m, t.phase == tdsStart
}
