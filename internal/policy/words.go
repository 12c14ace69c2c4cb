package policy

import (
	"errors"
	"fmt"
	"strings"

	"starttls"
	"starttls/dialect"
)

// Words says how a session failed in the words of SMTP, for people: what package starttls says names steps
// that all dialects have in common. It is bounded.
func Words(err error) string {
	e, ok := errors.AsType[*starttls.Error](err)
	if !ok {
		return clip(err.Error())
	}
	command := "EHLO"
	switch e.At {
	case dialect.Greeting:
		command = "the session"
	case dialect.Upgrade, dialect.Ready:
		command = "STARTTLS"
	}
	var words string
	switch {
	case errors.Is(e.Err, starttls.ErrNotOffered):
		words = "STARTTLS is not offered"
	case errors.Is(e.Err, starttls.ErrRefused):
		words = fmt.Sprintf("%s is refused: %q", command, clip(e.Text))
	case errors.Is(e.Err, starttls.ErrTLS), errors.Is(e.Err, starttls.ErrInjected):
		words = e.Err.Error()
	default:
		words = "no answer to " + command + ": " + e.Err.Error()
		if e.At == dialect.Greeting {
			words = "no greeting: " + e.Err.Error()
		}
	}
	return clip(strings.Replace(err.Error(), e.Error(), words, 1))
}
