package tryout

import "encoding/binary"

// Values of AMQP 1.0 (§1.2). The first byte of each says its type, and the upper half of that how long it
// is.

// amqpDescribed reads the descriptor of a list, in either of its sizes, and returns the fields.
// It is 0, which describes nothing, if there is none.
func amqpDescribed(body []byte) (descriptor byte, fields []byte) {
	switch {
	case len(body) >= 3 && body[0] == 0 && body[1] == 0x53: // smallulong
		descriptor, fields = body[2], body[3:]
	case len(body) >= 10 && body[0] == 0 && body[1] == 0x80 && binary.BigEndian.Uint64(body[2:]) < 0x100: // ulong
		descriptor, fields = body[9], body[10:]
	}
	if len(fields) >= 3 && fields[0] == 0xc0 {
		return descriptor, upTo(fields[3:], int(fields[1])-1)
	} else if len(fields) >= 9 && fields[0] == 0xd0 {
		return descriptor, upTo(fields[9:], int(binary.BigEndian.Uint32(fields[1:]))-4)
	}
	return descriptor, nil
}

// upTo cuts what is behind a list off: of a transfer, the message.
func upTo(fields []byte, n int) []byte { return fields[:max(0, min(n, len(fields)))] }

// amqpWord reads a symbol or binary, in either of its sizes. Anything else is empty.
func amqpWord(in []byte) (word string, rest []byte) {
	n := uint32(0)
	switch {
	case len(in) >= 2 && (in[0] == 0xa3 || in[0] == 0xa0):
		n, in = uint32(in[1]), in[2:]
	case len(in) >= 5 && (in[0] == 0xb3 || in[0] == 0xb0):
		n, in = binary.BigEndian.Uint32(in[1:]), in[5:]
	}
	if uint64(n) > uint64(len(in)) {
		return "", nil
	}
	return string(in[:n]), in[n:]
}

// amqpField returns field i of a list, or "": null, as if it was left out.
func amqpField(fields []byte, i int) string {
	for ; ; i-- {
		n := amqpLength(fields)
		if n == 0 {
			return ""
		}
		if i == 0 {
			return string(fields[:n])
		}
		fields = fields[n:]
	}
}

// amqpLength returns how long the first value is, or 0 if it is not whole.
func amqpLength(in []byte) int {
	if len(in) == 0 {
		return 0
	}
	n, rest := 1, in[1:]
	switch in[0] >> 4 {
	case 0x0: // described: a descriptor and a value
		descriptor := amqpLength(rest)
		if in[0] != 0 || descriptor == 0 || rest[0] == 0 {
			return 0
		}
		value := amqpLength(rest[descriptor:])
		if value == 0 {
			return 0
		}
		n += descriptor + value
	case 0x4:
	case 0x5, 0x6, 0x7, 0x8, 0x9:
		n += 1 << (in[0]>>4 - 5)
	case 0xa, 0xc, 0xe:
		if len(rest) < 1 {
			return 0
		}
		n += 1 + int(rest[0])
	case 0xb, 0xd, 0xf:
		if len(rest) < 4 {
			return 0
		}
		n += 4 + int(binary.BigEndian.Uint32(rest))
	default:
		return 0
	}
	if n > len(in) {
		return 0
	}
	return n
}

// amqpNumber reads a uint in any of its sizes.
func amqpNumber(field string) (n uint32, ok bool) {
	switch {
	case field == "\x43":
		return 0, true
	case len(field) == 2 && field[0] == 0x52:
		return uint32(field[1]), true
	case len(field) == 5 && field[0] == 0x70:
		return binary.BigEndian.Uint32([]byte(field[1:])), true
	}
	return 0, false
}

// amqpUint says a uint.
func amqpUint(n uint32) string { return string(binary.BigEndian.AppendUint32([]byte{0x70}, n)) }

// amqpTrue reports whether a field is true, in either of its sizes.
func amqpTrue(field string) bool { return field == "\x41" || field == "\x56\x01" }
