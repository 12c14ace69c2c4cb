package relay

import (
	"testing"
)

// TestSCRAMExample is the exchange of RFC 7677 §3.
func TestSCRAMExample(t *testing.T) {
	s := &scram{user: "user", password: "pencil", nonce: "rOprNGfwEbeRWgbNEkqO"}
	steps := []struct{ challenge, want string }{
		{"", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"},
		{"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="},
		{"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", ""},
	}
	for i, step := range steps {
		var challenge []byte
		if i > 0 {
			challenge = []byte(step.challenge)
		}
		got, err := s.answer(challenge)
		if err != nil || string(got) != step.want {
			t.Fatalf("step %d: %q, %v", i, got, err)
		}
	}
	if err := s.done(); err != nil {
		t.Error(err)
	}
}

// TestSCRAMDoubts: what a server that does not know the password, or wants too much, gets.
func TestSCRAMDoubts(t *testing.T) {
	for name, challenge := range map[string]string{
		"nonce not ours":     "r=xyz,s=AAAA,i=4096",
		"nonce only ours":    "r=n,s=AAAA,i=4096",
		"no salt":            "r=nx,i=4096,s=AAAA",
		"salt not base64":    "r=nx,s=?,i=4096",
		"too much work":      "r=nx,s=AAAA,i=100000000",
		"no work":            "r=nx,s=AAAA,i=0",
		"mandatory unknown":  "m=x,r=nx,s=AAAA,i=4096",
		"an error, no proof": "e=other-error",
	} {
		t.Run(name, func(t *testing.T) {
			s := &scram{user: "u", password: "p", nonce: "n"}
			s.answer(nil)
			if got, err := s.answer([]byte(challenge)); err == nil {
				t.Errorf("answered %q", got)
			}
		})
	}
	s := &scram{user: "u", password: "p", nonce: "n"}
	s.answer(nil)
	if s.answer([]byte("r=nx,s=AAAA,i=4096")); s.done() == nil {
		t.Error("believed without a proof")
	}
	if _, err := s.answer([]byte("v=AAAA")); err == nil || s.done() == nil {
		t.Error("believed with a wrong proof")
	}
}

func TestMechanismChosen(t *testing.T) {
	for _, row := range []struct{ offered, mech, want string }{
		{"LOGIN PLAIN SCRAM-SHA-256", "", "SCRAM-SHA-256"},
		{"login plain", "", "PLAIN"},
		{"LOGIN", "", "LOGIN"},
		{"XOAUTH2", "", ""}, // a password is no token
		{"PLAIN XOAUTH2", "XOAUTH2", "XOAUTH2"},
		{"PLAIN", "SCRAM-SHA-256", ""}, // no way down from what was demanded
		{"CRAM-MD5", "", ""},
		{"", "", ""},
	} {
		got, err := (&Auth{Mech: row.mech}).mech(row.offered)
		if got != row.want || (err == nil) != (row.want != "") {
			t.Errorf("%q %q: %q, %v", row.offered, row.mech, got, err)
		}
	}
}

func TestOAuthResponses(t *testing.T) {
	for name, want := range map[string]string{
		"XOAUTH2":     "user=u,=\x01auth=Bearer t\x01\x01",
		"OAUTHBEARER": "n,a=u=2C=3D,\x01auth=Bearer t\x01\x01",
		"PLAIN":       "\x00u,=\x00t",
	} {
		if got, _ := newMechanism(name, "u,=", "t").answer(nil); string(got) != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
