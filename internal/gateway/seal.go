package gateway

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"

	"starttls/dialect"
)

// A client inside TLS may say its password as it is; a server behind a leg without TLS wants it sealed
// with a public key that it tells. What the client would do in the clear is done here in its place. The key
// is not proved by anything: who can change what passes between us and the server can read the password
// of such a login, as everywhere without TLS.

// seal asks the server for its key if m is a password that must not be said on as it is. It is called with
// mu held.
func (s *session) seal(m dialect.Message) (done bool, err error) {
	sealer, ok := s.back.Sealer()
	if !ok || s.secured == nil && !local(s.conns.front) || local(s.back.raw) {
		return false, nil
	}
	plain, ok := sealer.Bare(m)
	if !ok {
		return false, nil
	}
	clear(m.Raw)
	s.unsealed = plain
	return true, s.back.Say(sealer.AskKey())
}

// local reports whether conn is a unix socket, on which peers trust each other as inside TLS.
func local(conn net.Conn) bool {
	if c := socketOf(conn); c != nil {
		conn = c.Conn
	}
	_, ok := conn.(*net.UnixConn)
	return ok
}

// sayUnsealed seals the password that waits, with the key that m brings, and says it to the server. A
// refusal in place of the key is said on. It is called with mu held.
func (s *session) sayUnsealed(m dialect.Message) error {
	plain := s.unsealed
	s.unsealed = nil
	defer clear(plain)
	sealer, _ := s.back.Sealer()
	if m.Kind == dialect.No {
		return s.toClient(m)
	}
	sealed, err := sealFor(sealer.Key(m), plain)
	if err != nil {
		s.front.Say(m.Reply(dialect.No, dialect.Unavailable))
		return backendError{err}
	}
	return s.back.Say(sealer.Sealed(sealed))
}

// maxKey bounds the work that a server's key can make us do, in bits.
const maxKey = 16 << 10

// sealFor encrypts plain with RSA-OAEP and SHA-1 for a public key in PEM (MySQL: caching_sha2_password).
func sealFor(key, plain []byte) ([]byte, error) {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errors.New("the server tells no public key")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok || public.N.BitLen() > maxKey {
		return nil, errors.New("the server's public key is not of RSA, or too long")
	}
	return rsa.EncryptOAEP(sha1.New(), rand.Reader, public, plain, nil)
}
