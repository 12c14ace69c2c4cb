package hello

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	_ "crypto/sha256" // for crypto.SHA256.New
	_ "crypto/sha512"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// Opened is what a server says inside a handshake of TLS 1.3 that crypto/tls does not hand on.
type Opened struct {
	Scheme    Scheme // of CertificateVerify
	Tickets   int    // how many NewSessionTickets were sent
	EarlyData uint32 // the most that one of them allows, in bytes
	Lifetime  uint32 // the longest of them, in seconds
}

// ErrNotOpened says that the records cannot be read with the secrets.
var ErrNotOpened = errors.New("the records cannot be opened")

// Open reads the records that a server sent on a connection of TLS 1.3, from its first one, with the
// secrets of a tls.Config's KeyLogWriter. Suites other than those with AES-GCM are ErrNotOpened.
func Open(suite uint16, keylog string, records []byte) (Opened, error) {
	var o Opened
	phases := []string{"SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"}
	var key *recordKey
	var handshake []byte
	for phase := -1; len(records) > 0; {
		record, rest, ok := cutRecord(records)
		if !ok {
			break // the last one was not read to its end
		}
		if records = rest; record[0] != recordApplication {
			continue // the ServerHello, and what is there for old middleboxes
		}
		if key == nil {
			phase++
			if key = newKey(suite, secretOf(keylog, phases[phase])); key == nil {
				return o, ErrNotOpened
			}
		}
		kind, text, ok := key.open(record)
		if !ok {
			return o, ErrNotOpened
		}
		if kind != recordHandshake {
			continue
		}
		var over bool
		if handshake, over = o.messages(append(handshake, text...)); over && phase == 0 {
			key = nil // what follows is sealed with the next secret
		}
	}
	return o, nil
}

const recordApplication = 23

func cutRecord(b []byte) (record, rest []byte, ok bool) {
	if len(b) < 5 {
		return nil, nil, false
	}
	n := 5 + int(b[3])<<8 + int(b[4])
	if len(b) < n {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// secretOf finds a line "LABEL RANDOM SECRET".
func secretOf(keylog, label string) []byte {
	for line := range strings.Lines(keylog) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == label {
			secret, err := hex.DecodeString(words[2])
			if err == nil {
				return secret
			}
		}
	}
	return nil
}

// messages reads whole handshake messages, and returns what is left and whether a Finished was there.
func (o *Opened) messages(b []byte) (left []byte, finished bool) {
	for {
		s := cryptobyte.String(b)
		var kind uint8
		var body cryptobyte.String
		if !s.ReadUint8(&kind) || !s.ReadUint24LengthPrefixed(&body) {
			return b, finished
		}
		b = s
		switch kind {
		case 4:
			o.ticket(body)
		case 15:
			body.ReadUint16((*uint16)(&o.Scheme))
		case 20:
			finished = true
		}
	}
}

// ticket reads a NewSessionTicket (RFC 8446 §4.6.1).
func (o *Opened) ticket(s cryptobyte.String) {
	var lifetime, add, most uint32
	var nonce, ticket, all cryptobyte.String
	if !s.ReadUint32(&lifetime) || !s.ReadUint32(&add) || !s.ReadUint8LengthPrefixed(&nonce) ||
		!s.ReadUint16LengthPrefixed(&ticket) || !s.ReadUint16LengthPrefixed(&all) {
		return
	}
	o.Tickets++
	o.Lifetime = max(o.Lifetime, lifetime)
	for !all.Empty() {
		var number uint16
		var body cryptobyte.String
		if !all.ReadUint16(&number) || !all.ReadUint16LengthPrefixed(&body) {
			return
		}
		if number == 42 && body.ReadUint32(&most) {
			o.EarlyData = max(o.EarlyData, most)
		}
	}
}

// A recordKey opens records in their order (RFC 8446 §5.2, §5.3).
type recordKey struct {
	aead cipher.AEAD
	iv   []byte
	n    uint64
}

// newKey derives the key of a traffic secret, nil if the suite is not known here.
func newKey(suite uint16, secret []byte) *recordKey {
	hash, size := crypto.SHA256, 16
	switch suite {
	case 0x1301:
	case 0x1302:
		hash, size = crypto.SHA384, 32
	default:
		return nil
	}
	key, err := expand(hash, secret, "key", size)
	if err != nil {
		return nil
	}
	iv, err := expand(hash, secret, "iv", 12)
	if err != nil {
		return nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil
	}
	return &recordKey{aead: aead, iv: iv}
}

// expand is HKDF-Expand-Label without a context (RFC 8446 §7.1).
func expand(hash crypto.Hash, secret []byte, label string, size int) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint16(uint16(size))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte("tls13 " + label)) })
	b.AddUint8(0)
	info, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return hkdf.Expand(hash.New, secret, string(info), size)
}

// open returns what is in a record, and of what kind.
func (k *recordKey) open(record []byte) (kind uint8, text []byte, ok bool) {
	nonce := slices.Clone(k.iv)
	for i := range 8 {
		nonce[len(nonce)-1-i] ^= byte(k.n >> (8 * i))
	}
	k.n++
	text, err := k.aead.Open(nil, nonce, record[5:], record[:5])
	if err != nil {
		return 0, nil, false
	}
	text = bytes.TrimRight(text, "\x00") // the padding
	if len(text) == 0 {
		return 0, nil, false
	}
	return text[len(text)-1], text[:len(text)-1], true
}
