package dialect

import (
	"encoding/binary"
	"slices"
)

// Options of a PRELOGIN (MS-TDS §2.2.6.5). Only the second is our business.
const (
	tdsVersion    = 0
	tdsEncryption = 1
	tdsInstance   = 2
	tdsThread     = 3
	tdsMARS       = 4
	tdsEnd        = 0xff
)

type tdsOption struct {
	token byte
	data  []byte
}

// readPrelogin reads the options of a PRELOGIN: token, offset and length of each, the end, and the
// data. It refuses what does not fit in it, and what could be read in two ways.
func readPrelogin(payload []byte) ([]tdsOption, error) {
	var options []tdsOption
	seen, size := map[byte]bool{}, 0
	for at := 0; ; at += 5 {
		if at < len(payload) && payload[at] == tdsEnd {
			size += at + 1
			break
		}
		if at+5 > len(payload) {
			return nil, noise("a PRELOGIN without an end")
		}
		token := payload[at]
		from := int(binary.BigEndian.Uint16(payload[at+1:]))
		to := from + int(binary.BigEndian.Uint16(payload[at+3:]))
		if seen[token] || to > len(payload) || token == tdsEncryption && to-from != 1 {
			return nil, noise("PRELOGIN option %d", token)
		}
		seen[token], size = true, size+to-from
		options = append(options, tdsOption{token, payload[from:to]})
	}
	if len(options) == 0 || options[0].token != tdsVersion || size > len(payload) {
		return nil, noise("no PRELOGIN") // the version is the first (§3.3.5.1)
	}
	return options, nil
}

func writePrelogin(options []tdsOption) (payload []byte) {
	at := 5*len(options) + 1
	for _, o := range options {
		payload = binary.BigEndian.AppendUint16(append(payload, o.token), uint16(at))
		payload = binary.BigEndian.AppendUint16(payload, uint16(len(o.data)))
		at += len(o.data)
	}
	payload = append(payload, tdsEnd)
	for _, o := range options {
		payload = append(payload, o.data...)
	}
	return payload
}

// encryption returns what a PRELOGIN says of encryption. Without a word, and with one that we do not
// know, there is none.
func encryption(options []tdsOption) byte {
	for _, o := range options {
		if value := o.data; o.token == tdsEncryption && value[0]&tdsValue <= tdsReq {
			return value[0] & tdsValue
		}
	}
	return tdsNotSup
}

// setEncryption returns the packet raw with that value. A packet that cannot grow stays as it is.
func setEncryption(raw []byte, value byte) []byte {
	options, err := readPrelogin(raw[tdsHeader:])
	at := slices.IndexFunc(options, func(o tdsOption) bool { return o.token == tdsEncryption })
	switch {
	case err != nil || at < 0 && len(raw)+6 > tdsMaxPacket:
		return raw
	case at < 0:
		options = slices.Insert(options, 1, tdsOption{tdsEncryption, []byte{value}})
	case options[at].data[0] == value:
		return raw
	default:
		options[at].data = []byte{value}
	}
	payload := writePrelogin(options)
	out := append(slices.Clone(raw[:tdsHeader]), payload...)
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)))
	return out
}

// packTDS carries the records of a handshake in PRELOGIN packets, from both sides (MS-TDS §3.3.5.2).
func packTDS(dst, payload []byte) []byte {
	for number := byte(1); len(payload) > 0; number++ {
		piece := payload[:min(len(payload), tdsPacket-tdsHeader)]
		payload = payload[len(piece):]
		at := len(dst)
		dst = appendTDS(dst, tdsPrelogin, piece)
		if dst[at+6] = number; len(payload) > 0 {
			dst[at+1] &^= tdsLast
		}
	}
	return dst
}

// unpackTDS also takes the packet type that servers of 2000 used.
func unpackTDS(buf []byte) (payload []byte, n int, err error) {
	if len(buf) == 0 {
		return nil, 0, nil
	}
	return cutTDS(buf, tdsPrelogin, tdsResponse)
}
