package tryout

import (
	"bytes"
	"errors"
	"io"
)

// Basic encoding rules (X.690), as far as they are used here: tags of one octet, definite lengths.

const (
	berBoolean    = 0x01
	berInteger    = 0x02
	berOctets     = 0x04
	berEnumerated = 0x0a
	berSequence   = 0x30
	berSet        = 0x31
)

var errBER = errors.New("malformed or oversized BER")

// readHead reads a tag and a length, in any definite form: leading zeros are legal, and common.
func readHead(r io.ByteReader, limit int) (tag byte, size int, err error) {
	if tag, err = r.ReadByte(); err != nil {
		return 0, 0, err
	}
	first, err := r.ReadByte()
	if size = int(first); err == nil && first >= 0x80 {
		size, err = readSize(r, int(first&0x7f), limit)
	}
	if err == nil && (tag&0x1f == 0x1f || size > limit) {
		err = errBER
	}
	return tag, size, err
}

// readSize reads the n octets of a long length. No octets mean that the length is indefinite, and 127
// are reserved.
func readSize(r io.ByteReader, n, limit int) (size int, err error) {
	if n == 0 || n == 0x7f {
		return 0, errBER
	}
	for range n {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		if size = size<<8 | int(b); size > limit {
			return 0, errBER
		}
	}
	return size, nil
}

// A ber takes elements one after another. The first mistake sticks: all that follows is empty.
type ber struct {
	rest []byte
	bad  bool
}

// next returns the next element. Where there is none, that is a mistake.
func (b *ber) next() (tag byte, body []byte) {
	r := bytes.NewReader(b.rest)
	tag, size, err := readHead(r, len(b.rest))
	if err != nil || size > r.Len() {
		b.rest, b.bad = nil, true
		return 0, nil
	}
	head := len(b.rest) - r.Len()
	body, b.rest = b.rest[head:head+size], b.rest[head+size:]
	return tag, body
}

// take returns the contents of the next element, which must have the tag.
func (b *ber) take(tag byte) []byte {
	got, body := b.next()
	if got != tag {
		b.rest, b.bad = nil, true
		return nil
	}
	return body
}

// element is the opposite: the element of the parts, which are not many megabytes.
func element(tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	head := []byte{tag, byte(len(body))}
	if n := len(body); n >= 0x80 {
		head = []byte{tag, 0x83, byte(n >> 16), byte(n >> 8), byte(n)}
	}
	return append(head, body...)
}

func octets(text string) []byte { return element(berOctets, []byte(text)) }
