package starttls

import (
	"errors"
	"fmt"

	"starttls/dialect"
)

// The ways in which an upgrade fails that a caller may decide by. They are found with errors.Is in
// every error of [Client], [Server], [Dial] and [Leg].
var (
	// ErrNotOffered: the server does not offer TLS. On a path that is not trusted this is also what an
	// attacker makes of a server that does (RFC 3207 §6).
	ErrNotOffered = errors.New("TLS is not offered")
	// ErrRefused: the peer said no, to the upgrade or to the whole session.
	ErrRefused = errors.New("refused")
	// ErrInjected: bytes in the clear stood where only TLS may follow.
	ErrInjected = errors.New("bytes in the clear where TLS must follow")
	// ErrTLS: the handshake failed, the peer's certificate included. There is no way back to the clear.
	ErrTLS = errors.New("TLS failed")
	// ErrTooLong: a message in the clear passed the dialect's limit, or there were too many of them.
	ErrTooLong = errors.New("too long")
	// ErrNoise: the peer does not speak the protocol.
	ErrNoise = dialect.ErrNoise
)

// An Error is a failed upgrade.
type Error struct {
	Dialect string         // "smtp"
	At      dialect.Kind   // the step that failed
	Reason  dialect.Reason // of a refusal
	Text    string         // of a refusal: the peer's words, said in the clear by whoever sits on the path
	Gone    bool           // of a refusal: these were the peer's last words
	Err     error          // one of the sentinels above, or wraps one, or an I/O error
}

// Error quotes the peer's words and cuts them at 200 bytes.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s: %v", e.Dialect, e.At, e.Err)
	if e.Text != "" {
		s += fmt.Sprintf(": %q", e.Text[:min(len(e.Text), 200)])
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether the peer refused in words that invite to come again.
func (e *Error) Temporary() bool {
	return e.Reason == dialect.TLSUnavailable || e.Reason == dialect.Unavailable
}
