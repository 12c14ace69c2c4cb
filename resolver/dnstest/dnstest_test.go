package dnstest

import (
	"errors"
	"testing"

	"starttls/resolver"
)

func TestAnswers(t *testing.T) {
	r := New(`
		example.org     MX    20 b.example.org
		example.org     MX    10 A.example.org.
		a.example.org   CNAME b.example.org      insecure
		b.example.org   A     192.0.2.1
		bad.example     MX    bogus
		sts.example     TXT   "v=STSv1; " "id=1;" insecure`)
	a, err := r.Lookup(t.Context(), "Example.ORG.", resolver.MX)
	if err != nil || a.Status != resolver.Secure || len(a.MX) != 2 || a.MX[0].Host != "a.example.org" {
		t.Fatalf("got %+v, %v", a, err)
	}
	a, err = r.Lookup(t.Context(), "a.example.org", resolver.A)
	if err != nil || a.Status != resolver.Insecure || a.Canonical != "b.example.org" || len(a.Addrs) != 1 {
		t.Errorf("an insecure CNAME taints what follows: got %+v, %v", a, err)
	}
	if a, err = r.Lookup(t.Context(), "sts.example", resolver.TXT); err != nil || a.TXT[0] != "v=STSv1; id=1;" {
		t.Errorf("got %+v, %v", a, err)
	}
	if a, err = r.Lookup(t.Context(), "nothing.example", resolver.A); err != nil || !a.NoName || !a.Empty() {
		t.Errorf("got %+v, %v", a, err)
	}
	_, err = r.Lookup(t.Context(), "bad.example", resolver.MX)
	if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Status != resolver.Bogus {
		t.Errorf("got %v", err)
	}
}
