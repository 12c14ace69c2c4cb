package policy

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"starttls"
	"starttls/dialect"
)

// TestWords: no step of package starttls is named, and what stands around an error stays.
func TestWords(t *testing.T) {
	at := func(k dialect.Kind, err error, text string) error {
		return &starttls.Error{Dialect: "smtp", At: k, Err: err, Text: text}
	}
	for _, row := range []struct {
		err  error
		want string
	}{
		{at(dialect.Caps, starttls.ErrNotOffered, ""), "STARTTLS is not offered"},
		{at(dialect.Caps, starttls.ErrRefused, "502 what?"), `EHLO is refused: "502 what?"`},
		{at(dialect.Ready, starttls.ErrRefused, "454 not now"), `STARTTLS is refused: "454 not now"`},
		{at(dialect.Greeting, starttls.ErrRefused, "554 no"), `the session is refused: "554 no"`},
		{at(dialect.Greeting, io.EOF, ""), "no greeting: EOF"},
		{at(dialect.Caps, io.EOF, ""), "no answer to EHLO: EOF"},
		{at(dialect.Upgrade, fmt.Errorf("%w: %w", starttls.ErrTLS, io.EOF), ""), "TLS failed: EOF"},
		{at(dialect.Ready, starttls.ErrInjected, ""), starttls.ErrInjected.Error()},
		{fmt.Errorf("no answer in time: %w", at(dialect.Ready, starttls.ErrRefused, "454 x")), `no answer in time: STARTTLS is refused: "454 x"`},
		{errors.New("anything else"), "anything else"},
	} {
		if got := Words(row.err); got != row.want {
			t.Errorf("%v: %q, want %q", row.err, got, row.want)
		}
	}
	if got := Words(at(dialect.Ready, starttls.ErrRefused, strings.Repeat("x", 5000))); len(got) > 500 {
		t.Errorf("%d bytes", len(got))
	}
}
