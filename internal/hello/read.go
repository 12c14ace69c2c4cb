package hello

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// A Reply is what a server says to a Hello.
type Reply struct {
	Version     uint16
	Suite       uint16
	Compression uint8
	ALPN        string
	// Retry says that the server wants another key share (HelloRetryRequest).
	Retry bool
	// Group is that of the key exchange; zero if there is none, or if it is finite-field before TLS 1.3.
	Group Group
	// What the server says that it can do, before TLS 1.3.
	MasterSecret, Renegotiation, Ticket, EncryptThenMAC bool
	// Certificates is the chain, DER. It is there before TLS 1.3, unless the suite is anonymous.
	Certificates [][]byte
	// Scheme is that of the signed key exchange of TLS 1.2.
	Scheme Scheme
	// Prime is the name of the finite-field group, and Bits its size in bits.
	Prime string
	Bits  int
	// Asked says that a client certificate is asked for.
	Asked bool
}

// An Alert is a server that refuses (RFC 8446 §6).
type Alert uint8

// Alerts that code tells apart.
const (
	HandshakeFailure      Alert = 40
	ProtocolVersion       Alert = 70
	InappropriateFallback Alert = 86
	UnrecognizedName      Alert = 112
	NoApplicationProtocol Alert = 120
)

var alertNames = map[Alert]string{
	0: "close_notify", 10: "unexpected_message", HandshakeFailure: "handshake_failure", 47: "illegal_parameter", 50: "decode_error",
	51: "decrypt_error", ProtocolVersion: "protocol_version", 71: "insufficient_security", 80: "internal_error",
	InappropriateFallback: "inappropriate_fallback", 90: "user_canceled", 109: "missing_extension", 110: "unsupported_extension",
	UnrecognizedName: "unrecognized_name", NoApplicationProtocol: "no_application_protocol",
}

// Error returns the alert's name.
func (a Alert) Error() string {
	if name := alertNames[a]; name != "" {
		return "alert " + name
	}
	return fmt.Sprintf("alert %d", uint8(a))
}

// ErrNotTLS says that the bytes are no TLS.
var ErrNotTLS = errors.New("not TLS")

// ErrMalformed says that a message is not as the RFCs have it, or too long.
var ErrMalformed = errors.New("malformed TLS message")

const (
	recordAlert = 21

	typeServerHello     = 2
	typeCertificate     = 11
	typeKeyExchange     = 12
	typeRequest         = 13
	typeServerHelloDone = 14

	maxRecord    = 16<<10 + 2048
	maxHandshake = 128 << 10 // of all messages together
)

// retryRandom in the place of a random is a HelloRetryRequest (RFC 8446 §4.1.3).
var retryRandom = []byte("\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c")

// Read reads a server's words up to ServerHelloDone, or to the ServerHello of TLS 1.3. A refusal is an
// error of type [Alert]. It reads at most 128 KiB.
func Read(r io.Reader) (*Reply, error) {
	m := messages{r: r}
	kind, body, err := m.next()
	if err != nil {
		return nil, err
	}
	var reply Reply
	if kind != typeServerHello || !reply.serverHello(body) {
		return nil, fmt.Errorf("%w: no ServerHello", ErrMalformed)
	}
	for reply.Version < TLS13 {
		if kind, body, err = m.next(); err != nil {
			return &reply, err
		}
		ok := true
		switch kind {
		case typeCertificate:
			ok = reply.certificate(body)
		case typeKeyExchange:
			ok = reply.keyExchange(body)
		case typeRequest:
			reply.Asked = true
		case typeServerHelloDone:
			return &reply, nil
		}
		if !ok {
			return &reply, fmt.Errorf("%w: type %d", ErrMalformed, kind)
		}
	}
	return &reply, nil
}

// messages cuts handshake messages out of records, which may hold several or a piece of one.
type messages struct {
	r    io.Reader
	buf  []byte
	read int
}

func (m *messages) next() (kind uint8, body cryptobyte.String, err error) {
	for {
		s := cryptobyte.String(m.buf)
		if s.ReadUint8(&kind) && s.ReadUint24LengthPrefixed(&body) {
			m.buf = s
			return kind, body, nil
		}
		if err := m.record(); err != nil {
			return 0, nil, err
		}
	}
}

// record reads one record into the buffer.
func (m *messages) record() error {
	var head [5]byte
	if _, err := io.ReadFull(m.r, head[:]); err != nil {
		return err
	}
	size := int(head[3])<<8 | int(head[4])
	switch {
	case head[0] != recordHandshake && head[0] != recordAlert || head[1] != 3:
		return fmt.Errorf("%w: %q", ErrNotTLS, head[:])
	case size == 0 || size > maxRecord:
		return ErrMalformed
	}
	if m.read += size; m.read > maxHandshake {
		return ErrMalformed
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(m.r, body); err != nil {
		return err
	}
	if head[0] == recordAlert {
		if size != 2 {
			return ErrMalformed
		}
		if body[0] == 1 && Alert(body[1]) == UnrecognizedName {
			return nil // a warning, and the handshake goes on (RFC 6066 §3)
		}
		return Alert(body[1])
	}
	m.buf = append(m.buf, body...)
	return nil
}

func (r *Reply) serverHello(s cryptobyte.String) bool {
	var random []byte
	var session cryptobyte.String
	if !s.ReadUint16(&r.Version) || !s.ReadBytes(&random, 32) || !s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16(&r.Suite) || !s.ReadUint8(&r.Compression) {
		return false
	}
	r.Retry = bytes.Equal(random, retryRandom)
	if s.Empty() {
		return r.Version < TLS13
	}
	var all cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&all) || !s.Empty() {
		return false
	}
	for !all.Empty() {
		var number uint16
		var body cryptobyte.String
		if !all.ReadUint16(&number) || !all.ReadUint16LengthPrefixed(&body) || !r.extension(number, body) {
			return false
		}
	}
	return true
}

func (r *Reply) extension(number uint16, s cryptobyte.String) bool {
	switch number {
	case extMasterSecret:
		r.MasterSecret = true
	case extRenegotiation:
		r.Renegotiation = true
	case extTicket:
		r.Ticket = true
	case extEncryptThenMAC:
		r.EncryptThenMAC = true
	case extVersions:
		return s.ReadUint16(&r.Version)
	case extKeyShare:
		return s.ReadUint16((*uint16)(&r.Group)) // the share of a ServerHello follows
	case extALPN:
		var all, id cryptobyte.String
		if !s.ReadUint16LengthPrefixed(&all) || !all.ReadUint8LengthPrefixed(&id) {
			return false
		}
		r.ALPN = string(id)
	}
	return true
}

func (r *Reply) certificate(s cryptobyte.String) bool {
	var all cryptobyte.String
	if !s.ReadUint24LengthPrefixed(&all) {
		return false
	}
	for !all.Empty() {
		var der cryptobyte.String
		if !all.ReadUint24LengthPrefixed(&der) {
			return false
		}
		r.Certificates = append(r.Certificates, der)
	}
	return true
}

// keyExchange reads the parameters of an ephemeral exchange (RFC 5246 §7.4.3, RFC 8422 §5.4). Those of
// PSK and SRP say nothing that is asked here.
func (r *Reply) keyExchange(s cryptobyte.String) bool {
	name := SuiteName(r.Suite)
	exchange, _, _ := strings.Cut(name, "_WITH_")
	var ok bool
	switch {
	case strings.Contains(exchange, "PSK"), strings.Contains(exchange, "SRP"):
		return true
	case strings.HasPrefix(exchange, "TLS_ECDH"):
		ok = r.curve(&s)
	case strings.HasPrefix(exchange, "TLS_DH"):
		ok = r.field(&s)
	default: // an export suite of RSA
		return true
	}
	if ok && r.Version == TLS12 && !strings.Contains(exchange, "anon") {
		ok = s.ReadUint16((*uint16)(&r.Scheme))
	}
	return ok
}

func (r *Reply) curve(s *cryptobyte.String) bool {
	const named = 3
	var kind uint8
	var point cryptobyte.String
	return s.ReadUint8(&kind) && kind == named && s.ReadUint16((*uint16)(&r.Group)) && s.ReadUint8LengthPrefixed(&point)
}

func (r *Reply) field(s *cryptobyte.String) bool {
	var p, g, y cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&p) || !s.ReadUint16LengthPrefixed(&g) || !s.ReadUint16LengthPrefixed(&y) {
		return false
	}
	prime := new(big.Int).SetBytes(p)
	r.Bits, r.Prime = prime.BitLen(), primeName(prime.Bytes())
	return true
}
