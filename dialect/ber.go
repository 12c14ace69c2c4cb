package dialect

// LDAP is written in a subset of BER (RFC 4511 §5.1): definite lengths, tags of one octet.

const (
	berBoolean    = 0x01
	berInteger    = 0x02
	berOctets     = 0x04
	berEnumerated = 0x0a
	berSequence   = 0x30
	berSet        = 0x31
)

// An element is one tag, length and contents.
type element struct {
	tag  byte
	raw  []byte // all of it
	body []byte // its contents
}

// cutElement cuts the first element off buf. A length is judged when it is read and not when its
// contents have come, so that nobody waits for a gigabyte. Every definite form is taken: one octet,
// and the long forms, leading zeros included (Active Directory always says 84 and four octets).
func cutElement(buf []byte, limit int) (element, int, error) {
	if len(buf) > 0 && buf[0]&0x1f == 0x1f {
		return element{}, 0, noise("a BER tag of more than one octet")
	}
	if len(buf) < 2 {
		return element{}, 0, nil
	}
	size, head := int(buf[1]), 2
	if size == 0x80 || size == 0xff {
		return element{}, 0, noise("a BER length that is indefinite or reserved")
	}
	if size > 0x80 {
		end := head + size&0x7f
		for size = 0; head < end; head++ {
			if head == len(buf) {
				return element{}, 0, nil
			}
			if size = size<<8 | int(buf[head]); size > limit {
				break
			}
		}
	}
	if size > limit {
		return element{}, 0, noise("a BER length over %d", limit)
	}
	if len(buf)-head < size {
		return element{}, 0, nil
	}
	n := head + size
	return element{buf[0], buf[:n:n], buf[head:n:n]}, n, nil
}

// A ber takes elements one after another. The first mistake sticks: all that follows is empty.
type ber struct {
	rest []byte
	bad  bool
}

func (b *ber) more() bool { return len(b.rest) > 0 }

func (b *ber) fail() {
	b.bad, b.rest = true, nil
}

func (b *ber) next() element {
	e, n, err := cutElement(b.rest, len(b.rest))
	if n == 0 || err != nil {
		b.fail()
		return element{}
	}
	b.rest = b.rest[n:]
	return e
}

// take returns the contents of the next element, which must have the tag.
func (b *ber) take(tag byte) []byte {
	e := b.next()
	if e.tag != tag {
		b.fail()
		return nil
	}
	return e.body
}

// number returns the next element, which must have the tag, as a number from 0 to 2³¹-1, the greatest
// that LDAP knows (RFC 4511 §4.1.1).
func (b *ber) number(tag byte) int {
	body := b.take(tag)
	if len(body) == 0 || len(body) > 4 || body[0] > 0x7f {
		b.fail()
		return 0
	}
	n := 0
	for _, c := range body {
		n = n<<8 | int(c)
	}
	return n
}

// appendElement appends an element whose contents are the parts, with its length in the shortest form.
func appendElement(dst []byte, tag byte, parts ...[]byte) []byte {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	dst = append(dst, tag)
	switch {
	case size < 0x80:
		dst = append(dst, byte(size))
	case size < 1<<8:
		dst = append(dst, 0x81, byte(size))
	case size < 1<<16:
		dst = append(dst, 0x82, byte(size>>8), byte(size))
	default:
		dst = append(dst, 0x84, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
	}
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

func newElement(tag byte, parts ...[]byte) []byte { return appendElement(nil, tag, parts...) }

// newNumber writes a number from 0 to 2³¹-1 as an INTEGER or ENUMERATED in the shortest form.
func newNumber(tag byte, n int) []byte {
	body := []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	for len(body) > 1 && body[0] == 0 && body[1] < 0x80 {
		body = body[1:]
	}
	return newElement(tag, body)
}
