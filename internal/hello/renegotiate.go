package hello

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// renegotiable are the suites with which [Renegotiate] can go on where crypto/tls has stopped.
var renegotiable = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}

// Renegotiate shakes hands over conn in TLS 1.2, and then asks for a second handshake inside the first, as
// a client may (RFC 5246 §7.4.1.1, RFC 5746 §3.5). It reports whether the server went along. It fails
// where there is no first handshake with AES-128-GCM. config is changed by it; conn is of no use after.
func Renegotiate(ctx context.Context, conn net.Conn, config *tls.Config) (accepted bool, err error) {
	var keys strings.Builder
	wire := &tapped{Conn: conn}
	config.KeyLogWriter, config.MaxVersion, config.CipherSuites = &keys, tls.VersionTLS12, renegotiable
	config.ClientSessionCache = nil
	if err := tls.Client(wire, config).HandshakeContext(ctx); err != nil {
		return false, err
	}
	s, err := newSession(keys.String(), wire.read, wire.written)
	if err != nil {
		return false, err
	}
	hello, err := s.hello()
	if err != nil {
		return false, err
	}
	if _, err := conn.Write(s.client.seal(recordHandshake, hello)); err != nil {
		return false, nil // it has hung up: no answer is needed to know
	}
	return s.answer(io.MultiReader(bytes.NewReader(s.unread), conn))
}

// tapped keeps what passes.
type tapped struct {
	net.Conn
	read, written []byte
}

func (t *tapped) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.read = append(t.read, p[:n]...)
	return n, err
}

func (t *tapped) Write(p []byte) (int, error) {
	t.written = append(t.written, p...)
	return t.Conn.Write(p)
}

// A session is one of TLS 1.2 with AES-128-GCM after its handshake.
type session struct {
	client, server *gcm
	finished       []byte // the verify_data of our Finished
	suite          uint16
	unread         []byte // records that came behind the server's Finished
}

// newSession derives the keys of a session from what was logged of it and what passed (RFC 5246 §6.3).
func newSession(keylog string, read, written []byte) (*session, error) {
	master := secretOf(keylog, "CLIENT_RANDOM")
	reply, err := Read(bytes.NewReader(read))
	if err != nil || len(master) != 48 || len(written) < 43 {
		return nil, ErrNotOpened
	}
	clientRandom, serverRandom := written[11:43], read[11:43]
	block := prf(master, "key expansion", append(bytes.Clone(serverRandom), clientRandom...), 40)
	s := &session{client: newGCM(block[:16], block[32:36]), server: newGCM(block[16:32], block[36:40]), suite: reply.Suite}
	ours, _ := sealed(written, s.client)
	_, s.unread = sealed(read, s.server)
	if len(ours) != 16 { // a Finished: its head and 12 bytes
		return nil, ErrNotOpened
	}
	s.finished = ours[4:]
	return s, nil
}

// sealed opens the first record behind ChangeCipherSpec, and returns what comes after it.
func sealed(records []byte, key *gcm) (text, rest []byte) {
	changed := false
	for len(records) > 0 {
		record, more, ok := cutRecord(records)
		if !ok {
			return nil, records
		}
		if records = more; changed {
			text, _ = key.open(record)
			return text, records
		}
		changed = record[0] == recordChangeCipherSpec
	}
	return nil, nil
}

const recordChangeCipherSpec = 20

// hello is the second ClientHello, bound to the first handshake (RFC 5746 §3.5).
func (s *session) hello() ([]byte, error) {
	h := Hello{Versions: []uint16{TLS12}, Suites: []uint16{s.suite}, Groups: []Group{X25519, P256}, Schemes: Schemes(Any), renegotiates: s.finished}
	record, err := h.Marshal()
	if err != nil {
		return nil, err
	}
	return record[5:], nil
}

// answer reads what the server says to it.
func (s *session) answer(r io.Reader) (accepted bool, err error) {
	for range 100 {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return false, hungUp(err)
		}
		body := make([]byte, binary.BigEndian.Uint16(head[3:]))
		if _, err := io.ReadFull(r, body); err != nil {
			return false, hungUp(err)
		}
		text, ok := s.server.open(append(head[:], body...))
		switch {
		case !ok || len(text) == 0:
			return false, ErrNotOpened
		case head[0] == recordAlert:
			return false, nil
		case head[0] == recordHandshake && text[0] == typeServerHello:
			return true, nil
		}
	}
	return false, ErrMalformed
}

// hungUp says of the end of a connection that it is an answer, and of silence that it is none.
func hungUp(err error) error {
	var network net.Error
	if errors.As(err, &network) && network.Timeout() || errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// prf is the pseudorandom function of TLS 1.2 with SHA-256 (RFC 5246 §5).
func prf(secret []byte, label string, seed []byte, size int) (out []byte) {
	sum := func(text []byte) []byte {
		h := hmac.New(sha256.New, secret)
		h.Write(text)
		return h.Sum(nil)
	}
	seed = append([]byte(label), seed...)
	for a := sum(seed); len(out) < size; a = sum(a) {
		out = append(out, sum(append(bytes.Clone(a), seed...))...)
	}
	return out[:size]
}

// A gcm seals or opens the records of one side (RFC 5288 §3).
type gcm struct {
	aead cipher.AEAD
	salt []byte
	n    uint64
}

func newGCM(key, salt []byte) *gcm {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // 16 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return &gcm{aead: aead, salt: salt}
}

// extra is what is authenticated besides the text: number, type, version, length of the text.
func (g *gcm) extra(kind uint8, size int) []byte {
	b := binary.BigEndian.AppendUint64(nil, g.n)
	b = append(b, kind, 3, 3)
	return binary.BigEndian.AppendUint16(b, uint16(size))
}

func (g *gcm) seal(kind uint8, text []byte) []byte {
	explicit := binary.BigEndian.AppendUint64(nil, g.n)
	body := g.aead.Seal(explicit, append(bytes.Clone(g.salt), explicit...), text, g.extra(kind, len(text)))
	g.n++
	var b cryptobyte.Builder
	b.AddBytes([]byte{kind, 3, 3})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(body) })
	return b.BytesOrPanic()
}

func (g *gcm) open(record []byte) (text []byte, ok bool) {
	body := record[5:]
	if len(body) < 8+g.aead.Overhead() {
		return nil, false
	}
	nonce := append(bytes.Clone(g.salt), body[:8]...)
	text, err := g.aead.Open(nil, nonce, body[8:], g.extra(record[0], len(body)-8-g.aead.Overhead()))
	g.n++
	return text, err == nil
}
