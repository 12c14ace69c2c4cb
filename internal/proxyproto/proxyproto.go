// Package proxyproto reads and writes the header of HAProxy's PROXY protocol, versions 1 and 2: who the
// client at the other end of a proxy is. Source: "The PROXY protocol", versions 1 & 2, of HAProxy.
//
// A header is only as true as who sends it. The caller reads one from declared sources and from nobody
// else, and treats its absence there as an error: a source that may leave it out lets its clients write
// it.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// A Header is what a proxy says of a connection.
type Header struct {
	// Source and Destination are the client's address and the one it connected to. They are not valid
	// when the proxy speaks for itself (LOCAL, as in health checks) or does not know them (UNKNOWN, a
	// unix socket): the connection's own count then.
	Source, Destination netip.AddrPort
	// The rest is of version 2 alone.
	ALPN      string
	Authority string // the SNI of the client
	TLS       *TLS   // nil if the client did not come by TLS
}

// TLS is how the client came by TLS (PP2_TYPE_SSL).
type TLS struct {
	Version  string // "TLSv1.3"
	Cipher   string
	CN       string // of the client's certificate
	Cert     bool   // the client gave a certificate, on this connection
	Resumed  bool   // or on an earlier one, whose TLS session this one resumes
	Verified bool   // and it was found good
}

// ErrNone is returned when what comes is no header.
var ErrNone = errors.New("no PROXY header")

// The bounds and marks of both versions.
const (
	maxV1  = 107     // bytes, the line end included
	maxV2  = 4 << 10 // of addresses and TLVs; the format would allow 64 KiB
	shared = len(signature)
)

// signature begins a header of version 2. One of version 1 is longer than that.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// Read reads a header, and not a byte more. Bound its time by a deadline on the connection.
func Read(r io.Reader) (Header, error) {
	var first [shared]byte
	if _, err := io.ReadFull(r, first[:]); err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrNone, err)
	}
	switch {
	case string(first[:]) == signature:
		return readV2(r)
	case bytes.HasPrefix(first[:], []byte("PROXY ")):
		return readV1(r, first[:])
	}
	return Header{}, fmt.Errorf("%w: %q", ErrNone, first)
}

// readV1 reads the line that begins with first, byte by byte: what follows is not ours.
func readV1(r io.Reader, first []byte) (Header, error) {
	line := append(make([]byte, 0, maxV1), first...)
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == maxV1 {
			return Header{}, errors.New("PROXY line is too long")
		}
		line = line[:len(line)+1]
		if _, err := io.ReadFull(r, line[len(line)-1:]); err != nil {
			return Header{}, fmt.Errorf("PROXY line is cut: %w", err)
		}
	}
	return parseV1(string(line[:len(line)-2]))
}

func parseV1(line string) (h Header, err error) {
	fields := strings.Split(line, " ")
	if fields[1] == "UNKNOWN" {
		return Header{}, nil // the rest of the line is to be ignored
	}
	if len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return Header{}, fmt.Errorf("PROXY line %q is not of version 1", line)
	}
	is4 := fields[1] == "TCP4"
	h.Source, err = addrPort(fields[2], fields[4], is4)
	if err == nil {
		h.Destination, err = addrPort(fields[3], fields[5], is4)
	}
	if err != nil {
		return Header{}, fmt.Errorf("PROXY line %q: %w", line, err)
	}
	return h, nil
}

func addrPort(addr, port string, is4 bool) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if a.Is4() != is4 || a.Zone() != "" {
		return netip.AddrPort{}, errors.New("an address of another family")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || port != strconv.FormatUint(n, 10) {
		return netip.AddrPort{}, fmt.Errorf("port %q", port)
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}

// The numbers of version 2.
const (
	version2  = 0x20
	cmdLocal  = 0x0
	cmdProxy  = 0x1
	tcp4      = 0x11
	tcp6      = 0x21
	unspec    = 0x00
	tlvALPN   = 0x01
	tlvName   = 0x02
	tlvCRC    = 0x03
	tlvTLS    = 0x20
	subTLS    = 0x21 // version
	subCN     = 0x22
	subCipher = 0x23

	clientTLS      = 0x01 // the client came by TLS
	clientCertConn = 0x02 // it gave a certificate on this connection
	clientCertSess = 0x04 // or earlier in the TLS session
)

// readV2 reads what follows the signature.
func readV2(r io.Reader) (Header, error) {
	var fixed [4]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return Header{}, fmt.Errorf("PROXY header is cut: %w", err)
	}
	n := int(binary.BigEndian.Uint16(fixed[2:]))
	if fixed[0]&0xf0 != version2 || n > maxV2 {
		return Header{}, fmt.Errorf("PROXY header of version %d with %d bytes", fixed[0]>>4, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return Header{}, fmt.Errorf("PROXY header is cut: %w", err)
	}
	switch fixed[0] & 0x0f {
	case cmdLocal:
		return Header{}, nil
	case cmdProxy:
		return parseV2(fixed, body)
	}
	return Header{}, fmt.Errorf("PROXY command %d is unknown", fixed[0]&0x0f)
}

func parseV2(fixed [4]byte, body []byte) (h Header, err error) {
	var rest []byte
	switch fixed[1] {
	case tcp4:
		if len(body) < 12 {
			return Header{}, errors.New("PROXY header is too short for its addresses")
		}
		h.Source = ipPort(body[0:4], body[8:10])
		h.Destination = ipPort(body[4:8], body[10:12])
		rest = body[12:]
	case tcp6:
		if len(body) < 36 {
			return Header{}, errors.New("PROXY header is too short for its addresses")
		}
		h.Source = ipPort(body[0:16], body[32:34])
		h.Destination = ipPort(body[16:32], body[34:36])
		rest = body[36:]
	default: // UNIX, UDP, unspecified: nothing that we could use
		return Header{}, nil
	}
	err = eachTLV(rest, func(kind byte, value []byte) error { return h.tlv(fixed, body, kind, value) })
	if err != nil {
		return Header{}, err
	}
	return h, nil
}

func ipPort(ip, port []byte) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip) // of 4 or 16 bytes
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(port))
}

func (h *Header) tlv(fixed [4]byte, body []byte, kind byte, value []byte) error {
	switch kind {
	case tlvALPN:
		h.ALPN = string(value)
	case tlvName:
		h.Authority = string(value)
	case tlvCRC:
		if len(value) != 4 || binary.BigEndian.Uint32(value) != checksum(fixed, body, value) {
			return errors.New("PROXY header: its checksum is wrong")
		}
	case tlvTLS:
		if len(value) < 5 {
			return errors.New("PROXY header: a TLV is cut")
		}
		if value[0]&clientTLS == 0 {
			return nil
		}
		h.TLS = &TLS{Cert: value[0]&(clientCertConn|clientCertSess) != 0}
		h.TLS.Resumed = h.TLS.Cert && value[0]&clientCertConn == 0
		h.TLS.Verified = h.TLS.Cert && binary.BigEndian.Uint32(value[1:5]) == 0
		return eachTLV(value[5:], h.TLS.sub)
	}
	return nil
}

func (t *TLS) sub(kind byte, value []byte) error {
	switch kind {
	case subTLS:
		t.Version = string(value)
	case subCN:
		t.CN = string(value)
	case subCipher:
		t.Cipher = string(value)
	}
	return nil
}

// checksum is CRC32c over the header with the checksum's own bytes as zero. value is a slice of body.
func checksum(fixed [4]byte, body, value []byte) uint32 {
	at := len(body) - cap(value)
	whole := append([]byte(signature), fixed[:]...)
	whole = append(whole, body[:at]...)
	whole = append(whole, 0, 0, 0, 0)
	whole = append(whole, body[at+4:]...)
	return crc32.Checksum(whole, crc32.MakeTable(crc32.Castagnoli))
}

func eachTLV(b []byte, do func(kind byte, value []byte) error) error {
	for len(b) > 0 {
		if len(b) < 3 {
			return errors.New("PROXY header: a TLV is cut")
		}
		n := int(binary.BigEndian.Uint16(b[1:3]))
		if len(b) < 3+n {
			return errors.New("PROXY header: a TLV is cut")
		}
		if err := do(b[0], b[3:3+n]); err != nil {
			return err
		}
		b = b[3+n:]
	}
	return nil
}

// AppendV1 appends the line of version 1, which has addresses and nothing else.
func (h Header) AppendV1(b []byte) []byte {
	if !h.proxied() {
		return append(b, "PROXY UNKNOWN\r\n"...)
	}
	family := "TCP6"
	source, destination := h.Source.Addr(), h.Destination.Addr()
	if h.is4() {
		family = "TCP4"
	} else {
		source, destination = as6(source), as6(destination)
	}
	return fmt.Appendf(b, "PROXY %s %s %s %d %d\r\n", family, source.WithZone(""), destination.WithZone(""), h.Source.Port(), h.Destination.Port())
}

// AppendV2 appends a header of version 2, without a checksum: TCP has its own. Texts are cut where they
// would make it too long to be read.
func (h Header) AppendV2(b []byte) []byte {
	b = append(b, signature...)
	if !h.proxied() {
		return append(b, version2|cmdLocal, unspec, 0, 0)
	}
	at := len(b)
	b = append(b, version2|cmdProxy, tcp6, 0, 0)
	if h.is4() {
		b[at+1] = tcp4
		b = append(append(b, h.Source.Addr().Unmap().AsSlice()...), h.Destination.Addr().Unmap().AsSlice()...)
	} else {
		source, destination := h.Source.Addr().As16(), h.Destination.Addr().As16()
		b = append(append(b, source[:]...), destination[:]...)
	}
	b = binary.BigEndian.AppendUint16(b, h.Source.Port())
	b = binary.BigEndian.AppendUint16(b, h.Destination.Port())
	b = appendText(b, tlvALPN, h.ALPN)
	b = appendText(b, tlvName, h.Authority)
	if h.TLS != nil {
		b = h.TLS.append(b)
	}
	binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at-4))
	return b
}

func (t *TLS) append(b []byte) []byte {
	client, verify := byte(clientTLS), uint32(1)
	if t.Cert {
		client |= clientCertSess
	}
	if t.Cert && !t.Resumed {
		client |= clientCertConn
	}
	if t.Verified || !t.Cert {
		verify = 0 // also said when there was nothing to verify
	}
	b = append(b, tlvTLS, 0, 0)
	at := len(b)
	b = binary.BigEndian.AppendUint32(append(b, client), verify)
	b = appendText(b, subTLS, t.Version)
	b = appendText(b, subCN, t.CN)
	b = appendText(b, subCipher, t.Cipher)
	binary.BigEndian.PutUint16(b[at-2:], uint16(len(b)-at))
	return b
}

// maxText is the longest text that is written; names and ALPN ids are at most 255 bytes.
const maxText = 255

func appendText(b []byte, kind byte, text string) []byte {
	if text == "" {
		return b
	}
	text = text[:min(len(text), maxText)]
	b = binary.BigEndian.AppendUint16(append(b, kind), uint16(len(text)))
	return append(b, text...)
}

func (h Header) proxied() bool { return h.Source.IsValid() && h.Destination.IsValid() }

func (h Header) is4() bool {
	return h.Source.Addr().Unmap().Is4() && h.Destination.Addr().Unmap().Is4()
}

func as6(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.As16()) }
