package tlsrpt

import (
	"encoding/json"
	"strings"
	"testing"
)

const asked = "v=TLSRPTv1; rua=mailto:r@example.com"

func TestDatagram(t *testing.T) {
	s := Session{Domain: "example.com", Outcomes: []Outcome{
		{Policy: Policy{Type: STS, Domain: "example.com", String: []string{"version: STSv1", "mode: enforce"}, MX: []string{"*.example.com"}},
			Failed: true, Failures: []Failure{{Type: CertificateHostMismatch, SendingIP: "192.0.2.1", ReceivingHost: "mx.example.com",
				ReceivingHelo: "mx.example.com", ReceivingIP: "192.0.2.2", Reason: "a<b"}}},
		{Policy: Policy{Type: NoPolicy, Domain: "example.com"}},
	}}
	const want = `{"dpv":"1","d":"example.com","pr":"v=TLSRPTv1; rua=mailto:r@example.com","policies":[` +
		`{"policy-type":2,"policy-domain":"example.com","policy-string":["version: STSv1","mode: enforce"],"mx-host":["*.example.com"],` +
		`"failure-details":[{"c":202,"s":"192.0.2.1","n":"mx.example.com","h":"mx.example.com","r":"192.0.2.2","f":"a<b"}],"t":1,"f":1},` +
		`{"policy-type":9,"policy-domain":"example.com","t":0,"f":0}]}`
	got, err := s.Datagram(asked)
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

func TestDatagramNumbers(t *testing.T) {
	for result, code := range failureCodes {
		s := Session{Domain: "example.com", Outcomes: []Outcome{{Policy: Policy{Type: TLSA}, Failures: []Failure{{Type: result}}}}}
		got, err := s.Datagram(asked)
		if err != nil {
			t.Errorf("%s: %v", result, err)
		}
		var d datagram
		if err := json.Unmarshal(got, &d); err != nil || d.Policies[0].Failures[0].Code != code || d.Policies[0].Type != 1 {
			t.Errorf("%s: %s", result, got)
		}
	}
}

// TestDatagramBounds: T29 and T44, texts of peers and sessions that have no form.
func TestDatagramBounds(t *testing.T) {
	one := func(f Failure) Session {
		return Session{Domain: "example.com", Outcomes: []Outcome{{Policy: Policy{Type: STS}, Failures: []Failure{f}}}}
	}
	got, err := one(Failure{Type: ValidationFailure, Info: "a\"b\r\n\x00\xff" + strings.Repeat("ä", 5000)}).Datagram(asked)
	var d datagram
	if err != nil || json.Unmarshal(got, &d) != nil {
		t.Fatalf("%s, %v", got, err)
	}
	if info := d.Policies[0].Failures[0].Info; !strings.HasPrefix(info, "a\"b   ?ä") || len(info) > maxText {
		t.Errorf("%d bytes: %q", len(info), info)
	}
	many := Session{Domain: "example.com"}
	for range 200 {
		many.Outcomes = append(many.Outcomes, one(Failure{Type: ValidationFailure, Info: strings.Repeat("x", maxText)}).Outcomes...)
	}
	for name, s := range map[string]Session{
		"no outcome":          {Domain: "example.com"},
		"unknown result type": one(Failure{Type: "new"}),
		"unknown policy type": {Outcomes: []Outcome{{Policy: Policy{Type: "new"}}}},
		"too long":            many,
	} {
		if got, err := s.Datagram(asked); err == nil {
			t.Errorf("%s: %d bytes", name, len(got))
		}
	}
}
