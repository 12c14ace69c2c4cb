package relay

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Auth is how we log in to a smarthost. That is done inside verified TLS or on this machine, and nowhere
// else.
type Auth struct {
	User string
	// Secret returns the password, or for XOAUTH2 and OAUTHBEARER the token. It is asked for each login,
	// so that what it reads may change.
	Secret func(ctx context.Context) (string, error)
	// Mech is the mechanism. If empty, the best for passwords that the server offers.
	Mech string
}

// Mechs are the mechanisms that we know, those for passwords first, the best in front.
var Mechs = []string{"SCRAM-SHA-256", "PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"}

const passwordMechs = 3

// mech returns the mechanism to be used with a server that offers some.
func (a *Auth) mech(offered string) (string, error) {
	wanted := Mechs[:passwordMechs]
	if a.Mech != "" {
		wanted = []string{a.Mech}
	}
	has := strings.Fields(strings.ToUpper(offered))
	for _, m := range wanted {
		if slices.Contains(has, m) {
			return m, nil
		}
	}
	return "", fmt.Errorf("the server offers no login that we can do (AUTH %s)", offered)
}

// A mechanism is one login.
type mechanism interface {
	// answer answers a challenge. The first is nil: the answer to it is the initial response, nil if there
	// is none.
	answer(challenge []byte) ([]byte, error)
	// done returns why a server that says that we are in is not to be believed, nil if it is.
	done() error
}

// A oneSided mechanism proves nothing of the server.
type oneSided func(challenge []byte) ([]byte, error)

func (f oneSided) answer(challenge []byte) ([]byte, error) { return f(challenge) }
func (oneSided) done() error                               { return nil }

func newMechanism(name, user, secret string) mechanism {
	switch name {
	case "PLAIN": // RFC 4616 §2
		return once("\x00"+user+"\x00"+secret, "")
	case "LOGIN":
		return login(user, secret)
	case "SCRAM-SHA-256":
		return &scram{user: user, password: secret, nonce: rand.Text()}
	case "OAUTHBEARER": // RFC 7628 §3.1
		return once("n,a="+saslName(user)+",\x01auth=Bearer "+secret+"\x01\x01", "\x01")
	default: // XOAUTH2, https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
		return once("user="+user+"\x01auth=Bearer "+secret+"\x01\x01", "")
	}
}

// once says everything at once. What is answered to that is an error in the server's words, which a
// client acknowledges (RFC 7628 §3.2.3).
func once(response, acknowledgement string) oneSided {
	return func(challenge []byte) ([]byte, error) {
		if challenge == nil {
			return []byte(response), nil
		}
		return []byte(acknowledgement), nil
	}
}

// login says the name and the password when it is asked. How it is asked differs; the order does not.
func login(words ...string) oneSided {
	return func(challenge []byte) ([]byte, error) {
		if challenge == nil {
			return nil, nil
		}
		if len(words) == 0 {
			return nil, errSASL
		}
		word := words[0]
		words = words[1:]
		return []byte(word), nil
	}
}

var errSASL = errors.New("the server does not keep to the mechanism")

// A scram is one login by SCRAM-SHA-256 (RFC 5802, RFC 7677). Passwords beyond ASCII are taken as they
// are, in UTF-8.
type scram struct {
	user, password, nonce string

	first     string // client-first-message-bare
	signature []byte // that the server must show
	proved    bool   // it has
}

func (s *scram) done() error {
	if !s.proved {
		return errors.New("the server has not proved that it knows the password")
	}
	return nil
}

// maxIterations bounds the work that a server can ask for; RFC 7677 §4 wants 4,096 at least.
const maxIterations = 1 << 20

func (s *scram) answer(challenge []byte) ([]byte, error) {
	switch {
	case challenge == nil:
		s.first = "n=" + saslName(s.user) + ",r=" + s.nonce
		return []byte("n,," + s.first), nil
	case s.signature == nil:
		return s.prove(string(challenge))
	}
	want := "v=" + base64.StdEncoding.EncodeToString(s.signature)
	got, _, _ := strings.Cut(string(challenge), ",")
	s.proved = hmac.Equal([]byte(got), []byte(want))
	return []byte{}, s.done()
}

// prove answers the server's first message (RFC 5802 §3).
func (s *scram) prove(challenge string) ([]byte, error) {
	fields := strings.Split(challenge, ",")
	if len(fields) < 3 || !strings.HasPrefix(fields[0], "r="+s.nonce) || fields[0] == "r="+s.nonce {
		return nil, errSASL // a nonce must be ours and more (RFC 5802 §5)
	}
	encoded, isSalt := strings.CutPrefix(fields[1], "s=")
	salt, err := base64.StdEncoding.DecodeString(encoded)
	count, isCount := strings.CutPrefix(fields[2], "i=")
	n, nerr := strconv.Atoi(count)
	if !isSalt || !isCount || err != nil || nerr != nil || n < 1 || n > maxIterations {
		return nil, errSASL
	}
	salted, err := pbkdf2.Key(sha256.New, s.password, salt, n, sha256.Size)
	if err != nil {
		return nil, err
	}
	bare := "c=biws," + fields[0] // "n,,": no channel binding
	message := s.first + "," + challenge + "," + bare
	clientKey := mac(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	proof := mac(stored[:], message)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	s.signature = mac(mac(salted, "Server Key"), message)
	return []byte(bare + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// saslName escapes a name (RFC 5802 §5.1).
func saslName(name string) string {
	return strings.NewReplacer("=", "=3D", ",", "=2C").Replace(name)
}
