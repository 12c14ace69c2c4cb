package relay

import (
	"crypto/tls"
	"regexp"
	"strings"
	"sync"
	"testing"

	"starttls/dialect"
	"starttls/internal/policy"
	"starttls/mtasts"
	"starttls/tlsrpt"
)

// TestDeliveryTellsWhatWasDemanded: the line of a delivery has the host that the reply is about, the level, its source
// and what the session was worth, whether the message went or not; and who counts hears the same.
func TestDeliveryTellsWhatWasDemanded(t *testing.T) {
	cert, roots := selfSigned(t, "mx1.example.org")
	other, _ := selfSigned(t, "other.test")
	strict, lost, greylisting := newMX(t, cert), newMX(t, cert), newMX(t, cert)
	strict.when(in("MAIL", "550 5.7.1 no"))
	lost.when(in("DATA", "close"))
	greylisting.when(in("RCPT", "450 4.7.1 later"))
	bogus := refusing("example.org", 451, "4.4.3", "the DNS lies")
	bogus.Refusal.Failure = &tlsrpt.Failure{Type: tlsrpt.DNSSECInvalid}
	for _, row := range []struct {
		name  string
		world world
		plan  *policy.Plan // in place of a world
		want  string       // addresses left out
	}{
		{"sent under DANE", world{secure: true, hosts: []host{{mx: newMX(t, cert), tlsa: "match"}}}, nil,
			"sent mx=mx1.example.org level=dane source=dane tls=dane"},
		{"DANE does not match", world{secure: true, hosts: []host{{mx: newMX(t, cert), tlsa: "wrong"}}}, nil,
			"deferred mx=mx1.example.org level=dane source=dane tls=!dane:validation-failure"},
		{"the line is about the host that the reply is about", world{secure: true, hosts: []host{{}, {mx: newMX(t, cert), tlsa: "wrong"}, {}}}, nil,
			"deferred mx=mx2.example.org level=dane source=dane tls=!dane:validation-failure"},
		{"MTA-STS, a certificate of nobody", world{sts: mtasts.Enforce, hosts: []host{{mx: newMX(t, other)}}}, nil,
			"deferred mx=mx1.example.org level=secure source=mta-sts tls=!secure:certificate-not-trusted"},
		{"not in the MTA-STS policy", world{sts: mtasts.Enforce, stsMX: []string{"elsewhere.test"}, hosts: []host{{mx: newMX(t, cert)}}}, nil,
			"deferred mx=mx1.example.org level=secure source=mta-sts tls=!secure:validation-failure"},
		{"memory, not offered", world{hosts: []host{{mx: newMX(t, nil), seen: true}}}, nil,
			"deferred mx=mx1.example.org level=encrypt source=memory tls=!encrypt:starttls-not-supported"},
		{"dead, with TLSA records", world{secure: true, hosts: []host{{tlsa: "wrong"}}}, nil,
			"deferred mx=mx1.example.org level=dane source=dane tls=dane?"},
		{"bogus TLSA records", world{secure: true, hosts: []host{{mx: newMX(t, cert), tlsa: "failed"}}}, nil,
			"deferred mx=mx1.example.org tls=!dnssec-invalid"},
		{"bogus MX records", world{}, bogus, "deferred tls=!dnssec-invalid"},
		{"no host", world{}, refusing("example.org", 550, "5.4.4", "no host"), "refused"},
		{"refused by the host, inside TLS", world{sts: mtasts.Enforce, hosts: []host{{mx: strict}}}, nil,
			"refused mx=mx1.example.org level=secure source=mta-sts tls=secure"},
		{"the recipient is put off", world{sts: mtasts.Enforce, hosts: []host{{mx: greylisting}}}, nil,
			"deferred mx=mx1.example.org level=secure source=mta-sts tls=secure"},
		{"lost in the message", world{sts: mtasts.Enforce, hosts: []host{{mx: lost}}}, nil,
			"deferred mx=mx1.example.org level=secure source=mta-sts tls=secure"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var mu sync.Mutex
			var counted []Delivery
			b := newBench(t, &dialect.SMTP, func(c *Config) {
				c.TLS = &tls.Config{RootCAs: roots}
				c.Delivered = func(d Delivery) {
					mu.Lock()
					defer mu.Unlock()
					counted = append(counted, d)
				}
			})
			if b.know("example.org", row.world); row.plan != nil {
				b.made["example.org"] = func(Message) *policy.Plan { return row.plan }
			}
			b.hello(t).message("", "x@example.org", text)
			mu.Lock()
			defer mu.Unlock()
			lines := regexp.MustCompile(`msg=delivery .* outcome=(.*?) (?:reply="|reply=)`).FindAllStringSubmatch(b.log.String(), -1)
			if len(lines) != 1 || len(counted) != 1 {
				t.Fatalf("%d lines, %d counted in\n%s", len(lines), len(counted), b.log)
			}
			if got := regexp.MustCompile(` addr=\S+`).ReplaceAllString(lines[0][1], ""); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
			e := counted[0]
			for key, value := range map[string]string{"level": e.Level, "source": string(e.Source), "tls": e.TLS} {
				if value == "" && strings.Contains(row.want, key+"=") || value != "" && !strings.Contains(row.want+" ", key+"="+value+" ") {
					t.Errorf("%s=%s is counted, want %s", key, value, row.want)
				}
			}
		})
	}
}
