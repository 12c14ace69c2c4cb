// Package hello writes ClientHellos and reads what a server says to them, for finding out what
// crypto/tls does not speak or does not tell: SSL 3.0, every cipher suite of the registry, every group,
// compression, signature schemes, and a choice among them that is the server's alone.
//
// A [Hello] needs no cryptography. Up to TLS 1.2 the server's choices, its chain and its signed parameters
// are in the clear; in TLS 1.3 a ClientHello without key shares is answered by a HelloRetryRequest with
// suite and group. After the server's words the connection is of no use any more. What crypto/tls keeps to
// itself of a session that it made is read by [Open].
//
// What is read is bounded, and the reader is fuzzed: see [Read].
package hello

import (
	"crypto/rand"
	"io"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// Signalling suites, which are none.
const (
	renegotiationSCSV = 0x00ff // RFC 5746 §3.3
	fallbackSCSV      = 0x5600 // RFC 7507
)

// A Hello is a ClientHello.
type Hello struct {
	// Versions are those that are offered. Below TLS 1.3 the greatest is named, and a server may choose
	// any lower one.
	Versions []uint16
	Suites   []uint16
	Groups   []Group
	Schemes  []Scheme
	// ServerName is said as SNI. If empty, none is.
	ServerName string
	ALPN       []string
	// Deflate offers to compress.
	Deflate bool
	// Fallback says that the client has come down from a higher version.
	Fallback bool
	// Rand is where randomness comes from. If nil, crypto/rand.
	Rand io.Reader

	renegotiates []byte // the verify_data of the handshake in which this is another
}

// Max returns the greatest version that is offered.
func (h *Hello) Max() uint16 { return slices.Max(h.Versions) }

// Extension numbers.
const (
	extServerName           = 0
	extGroups               = 10
	extPoints               = 11
	extSchemes              = 13
	extALPN                 = 16
	extEncryptThenMAC       = 22
	extMasterSecret         = 23
	extTicket               = 35
	extVersions             = 43
	extExchangeModes        = 45
	extKeyShare             = 51
	extRenegotiation        = 0xff01
	typeClientHello   uint8 = 1
	recordHandshake   uint8 = 22
)

// Marshal returns the hello as a record (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2, RFC 6101 §5.6.1.2).
func (h *Hello) Marshal() ([]byte, error) {
	source := h.Rand
	if source == nil {
		source = rand.Reader
	}
	random := make([]byte, 64)
	if _, err := io.ReadFull(source, random); err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddUint8(recordHandshake)
	b.AddUint16(min(h.Max(), TLS10)) // RFC 8446 §5.1
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(typeClientHello)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { h.body(b, random) })
	})
	return b.Bytes()
}

func (h *Hello) body(b *cryptobyte.Builder, random []byte) {
	b.AddUint16(min(h.Max(), TLS12))
	b.AddBytes(random[:32])
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
		if h.Max() >= TLS13 {
			b.AddBytes(random[32:]) // RFC 8446 appendix D.4
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, suite := range h.Suites {
			b.AddUint16(suite)
		}
		if h.Max() < TLS13 && h.renegotiates == nil { // RFC 5746 §3.5
			b.AddUint16(renegotiationSCSV)
		}
		if h.Fallback {
			b.AddUint16(fallbackSCSV)
		}
	})
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
		if h.Deflate && h.Max() < TLS13 {
			b.AddUint8(1)
		}
		b.AddUint8(0)
	})
	if h.Max() > SSL30 {
		b.AddUint16LengthPrefixed(h.extensions)
	}
}

func (h *Hello) extensions(b *cryptobyte.Builder) {
	if h.ServerName != "" {
		extension(b, extServerName, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint8(0)
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(h.ServerName)) })
			})
		})
	}
	if len(h.Groups) > 0 {
		extension(b, extGroups, numbers16(h.Groups))
		extension(b, extPoints, func(b *cryptobyte.Builder) { b.AddBytes([]byte{1, 0}) })
	}
	if len(h.Schemes) > 0 && h.Max() >= TLS12 {
		extension(b, extSchemes, numbers16(h.Schemes))
	}
	if len(h.ALPN) > 0 {
		extension(b, extALPN, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, id := range h.ALPN {
					b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(id)) })
				}
			})
		})
	}
	if h.renegotiates != nil {
		extension(b, extRenegotiation, func(b *cryptobyte.Builder) {
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(h.renegotiates) })
		})
	}
	extension(b, extMasterSecret, nothing)
	extension(b, extTicket, nothing)
	extension(b, extEncryptThenMAC, nothing)
	if h.Max() >= TLS13 {
		h.extensions13(b)
	}
}

// extensions13 are those of TLS 1.3. There is no key share, so that the server names the group that it
// wants (RFC 8446 §4.2.8).
func (h *Hello) extensions13(b *cryptobyte.Builder) {
	extension(b, extVersions, func(b *cryptobyte.Builder) {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, v := range h.Versions {
				b.AddUint16(v)
			}
		})
	})
	extension(b, extExchangeModes, func(b *cryptobyte.Builder) { b.AddBytes([]byte{1, 1}) })
	extension(b, extKeyShare, func(b *cryptobyte.Builder) { b.AddUint16(0) })
}

func extension(b *cryptobyte.Builder, number uint16, body func(*cryptobyte.Builder)) {
	b.AddUint16(number)
	b.AddUint16LengthPrefixed(body)
}

func nothing(*cryptobyte.Builder) {}

// numbers16 is a list of 16-bit numbers behind its length.
func numbers16[T ~uint16](all []T) func(*cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, n := range all {
				b.AddUint16(uint16(n))
			}
		})
	}
}
