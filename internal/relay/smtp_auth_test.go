package relay

import (
	"context"
	"errors"
	"strings"
	"testing"

	"starttls"
	"starttls/dialect"
	"starttls/internal/policy"
)

// TestLogin: the printer's bridge, with each mechanism, and where it must not happen.
func TestLogin(t *testing.T) {
	// words are what the server says from AUTH on.
	script := func(words []string) func(string, string) string {
		begun := false
		return func(phase, _ string) (word string) {
			if begun = begun || phase == "AUTH"; begun && len(words) > 0 {
				word, words = words[0], words[1:]
			}
			return word
		}
	}
	for _, row := range []struct {
		name, offers, mech string
		says               []string
		want               string // of RCPT's answer
		said               string // by us, in part
	}{
		{"PLAIN", "PLAIN LOGIN", "", []string{"235 2.7.0 in"}, "250", "AUTH PLAIN AHUAcA=="},
		{"LOGIN", "LOGIN", "", []string{"334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 in"}, "250", "AUTH LOGIN\ndQ==\ncA=="},
		{"refused", "PLAIN", "", []string{"535 5.7.8 wrong"}, "451 4.7.8", ""},
		{"nothing that we can do", "CRAM-MD5", "", nil, "451 4.7.8", ""},
		{"SCRAM, and a server that proves nothing", "SCRAM-SHA-256 PLAIN", "", []string{"235 in"}, "451 4.7.8", "AUTH SCRAM-SHA-256"},
		{"XOAUTH2 refused", "XOAUTH2", "XOAUTH2", []string{"334 eyJ9", "535 5.7.8 no"}, "451 4.7.8", "AUTH XOAUTH2"},
		{"endless", "PLAIN", "", []string{"334 ", "334 ", "334 ", "334 ", "334 ", "334 "}, "451 4.7.8", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := newMX(t, nil, "AUTH "+row.offers)
			m.when(script(row.says))
			b := newBench(t, &dialect.SMTP, func(c *Config) {
				c.Next = "[smart.test]:587"
				c.Auth = &Auth{User: "u", Secret: password("p"), Mech: row.mech}
			})
			b.to(b.Next, starttls.None, m)
			c := b.hello(t)
			c.ask("MAIL FROM:<a@b.test>", "250")
			c.ask("RCPT TO:<x@anywhere.test>", row.want)
			if got := m.said(); !strings.Contains(got, row.said) {
				t.Errorf("said %q", got)
			}
		})
	}
}

// TestNoLoginInTheClear: to another machine, and to one that is not verified, no secret goes.
func TestNoLoginInTheClear(t *testing.T) {
	asked := false
	a := &Auth{User: "u", Secret: func(context.Context) (string, error) { asked = true; return "p", nil }}
	for _, level := range []starttls.Level{starttls.None, starttls.May, starttls.Encrypt} {
		h := &hop{addr: dead, attempt: &policy.Attempt{Level: level}, offers: map[string]string{"AUTH": "PLAIN"}}
		h.addr = elsewhere
		if err := h.login(t.Context(), a); err == nil || asked {
			t.Errorf("%s: %v", level, err)
		}
	}
}

// TestSecretAway: without a secret mail waits.
func TestSecretAway(t *testing.T) {
	b := newBench(t, &dialect.SMTP, func(c *Config) {
		c.Next = "[smart.test]:587"
		c.Auth = &Auth{User: "u", Secret: func(context.Context) (string, error) { return "", errors.New("vault is sealed") }}
	})
	b.to(b.Next, starttls.None, newMX(t, nil, "AUTH PLAIN"))
	c := b.hello(t)
	c.ask("MAIL FROM:<a@b.test>", "250")
	if got := c.ask("RCPT TO:<x@anywhere.test>", "451 4.7.8"); !strings.Contains(got, "vault is sealed") {
		t.Error(got)
	}
}

func password(secret string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return secret, nil }
}
