package relay

import (
	"crypto/tls"
	"strings"
	"testing"

	"starttls/dialect"
	"starttls/mtasts"
)

// TestReplies is the table of docs/relay.md: what a client is told of each failure, and how reports count
// it. What is not here is in the lab's table (DNS) or in TestNextHopFails.
func TestReplies(t *testing.T) {
	cert, roots := selfSigned(t, "mx1.example.org")
	other, _ := selfSigned(t, "other.test")
	roots.AddCert(other.Leaf)
	alien, _ := selfSigned(t, "mx1.example.org")
	with := func(cert *tls.Certificate, says ...string) *mx {
		m := newMX(t, cert)
		if says != nil {
			m.when(in(says[0], says[1]))
		}
		return m
	}
	for _, row := range []struct {
		name    string
		world   world
		want    string
		text    string // in the answer
		counted string
	}{
		{"no host can be reached", world{hosts: []host{{}, {}}}, "451 4.4.1", "mx1.example.org[127.0.0.99]", ""},
		{"no host with TLSA can be reached", world{secure: true, hosts: []host{{tlsa: "wrong"}}}, "451 4.4.1", "mx1.example.org[127.0.0.99]", ""},
		{"TLSA lookup", world{secure: true, hosts: []host{{mx: with(cert), tlsa: "failed"}}},
			"451 4.7.5", "TLSA lookup", "tlsa failed dnssec-invalid"},
		{"DANE, not offered", world{secure: true, hosts: []host{{mx: with(nil), tlsa: "wrong"}}},
			"451 4.7.4", "DANE", "tlsa failed starttls-not-supported"},
		{"MTA-STS, not offered", world{sts: mtasts.Enforce, hosts: []host{{mx: with(nil)}}},
			"451 4.7.4", "MTA-STS", "sts failed starttls-not-supported"},
		{"454 to STARTTLS", world{sts: mtasts.Enforce, hosts: []host{{mx: with(cert, "STARTTLS", "454 4.7.0 TLS not available")}}},
			"451 4.7.4", "MTA-STS", "sts failed starttls-not-supported"},
		{"the handshake fails", world{secure: true, hosts: []host{{mx: with(cert, "HANDSHAKE", "close"), tlsa: "match"}}},
			"451 4.7.5", "DANE", "tlsa failed validation-failure"},
		{"DANE does not match", world{secure: true, hosts: []host{{mx: with(cert), tlsa: "wrong"}}},
			"451 4.7.5", "mx1.example.org[127.0.0.1]: DANE", "tlsa failed validation-failure/dane-no-match"},
		{"not in the MTA-STS policy", world{sts: mtasts.Enforce, stsMX: []string{"mx.example.com"}, hosts: []host{{mx: with(cert)}}},
			"451 4.7.5", "MTA-STS mx: mx1.example.org", "sts failed validation-failure/mtasts-policy-mx-mismatch"},
		{"MTA-STS, the certificate is for another name", world{sts: mtasts.Enforce, hosts: []host{{mx: with(other)}}},
			"451 4.7.5", "MTA-STS", "sts failed certificate-host-mismatch"},
		{"MTA-STS, the certificate is not trusted", world{sts: mtasts.Enforce, hosts: []host{{mx: with(alien)}}},
			"451 4.7.5", "MTA-STS", "sts failed certificate-not-trusted"},
		{"memory, not offered", world{hosts: []host{{mx: with(nil), seen: true}}},
			"451 4.7.4", "TLS was given before", "no-policy-found failed starttls-not-supported"},
		{"a host that is down does not hide one that fails TLS", world{secure: true, hosts: []host{{}, {mx: with(cert), tlsa: "wrong"}}},
			"451 4.7.5", "mx2.example.org", "tlsa failed validation-failure/dane-no-match"},
		{"T18 no policy, not offered", world{hosts: []host{{mx: with(nil)}}}, "250", "", "no-policy-found failed starttls-not-supported"},
		{"T20 T13 testing: the host is not in the policy", world{sts: mtasts.Testing, stsMX: []string{"mx.example.com"}, hosts: []host{{mx: with(cert)}}},
			"250", "", "no-policy-found ok; sts failed validation-failure/mtasts-policy-mx-mismatch"},
		{"T21 testing: the certificate is for another name", world{sts: mtasts.Testing, hosts: []host{{mx: with(other)}}},
			"250", "", "no-policy-found ok; sts failed certificate-host-mismatch"},
		{"testing: not offered", world{sts: mtasts.Testing, hosts: []host{{mx: with(nil)}}},
			"250", "", "no-policy-found failed starttls-not-supported; sts failed starttls-not-supported"},
		{"T13 DANE and MTA-STS", world{secure: true, sts: mtasts.Enforce, hosts: []host{{mx: with(cert), tlsa: "match"}}},
			"250", "", "tlsa ok; sts ok"},
		{"T22 TLSA records that are all unusable", world{secure: true, hosts: []host{{mx: with(other), tlsa: "unusable"}}},
			"250", "", "tlsa ok tlsa-invalid"},
		{"T25 nothing was said of TLS", world{hosts: []host{{mx: with(cert, "banner", "421 4.3.2 busy")}}}, "451 4.4.2", "busy", ""},
		{"T25 greylisting after TLS", world{hosts: []host{{mx: with(cert, "RCPT", "450 4.7.1 greylisted")}}},
			"450 4.7.1 greylisted", "", "no-policy-found ok"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, &dialect.SMTP, func(c *Config) {
				c.TLS = &tls.Config{RootCAs: roots}
			})
			b.know("example.org", row.world)
			told, data := b.hello(t).message("", "x@example.org", text)
			if data != "" {
				told = data
			}
			if !strings.HasPrefix(told, row.want) || !strings.Contains(told, row.text) {
				t.Errorf("told %q, want %s and %q", told, row.want, row.text)
			}
			if got := strings.Join(b.counted(), "; "); got != row.counted {
				t.Errorf("counted %q, want %q", got, row.counted)
			}
			if told[0] != '2' && told[:3] != "450" {
				id := told[strings.LastIndexByte(told, '(')+1 : len(told)-1]
				if !strings.Contains(b.log.String(), "id="+id) {
					t.Errorf("%q is not in the log:\n%s", id, b.log)
				}
			}
		})
	}
}
