package relay

import (
	"crypto/tls"
	"testing"

	"starttls"
	"starttls/dialect"
	"starttls/internal/policy"
	"starttls/mtasts"
)

// TestAlarmUnderOverride: where the operator demands less than is proved of a host, mail goes on, and what
// contradicts the proof is an alarm all the same.
func TestAlarmUnderOverride(t *testing.T) {
	cert, roots := selfSigned(t, "mx1.example.org")
	other, _ := selfSigned(t, "other.test")
	may, none := &policy.Override{Level: starttls.May}, &policy.Override{Level: starttls.None}
	broken := newMX(t, other)
	broken.when(in("HANDSHAKE", "close"))
	for _, row := range []struct {
		name    string
		world   world
		content string
		kind    string // of the alarm, empty if there is none
		source  policy.Source
	}{
		{"DANE does not match", world{secure: true, override: may, hosts: []host{{mx: newMX(t, other), tlsa: "wrong"}}}, text, "unverified", policy.FromDANE},
		{"DANE, and TLS is not offered", world{secure: true, override: may, hosts: []host{{mx: newMX(t, nil), tlsa: "wrong"}}}, text, "stripped", policy.FromDANE},
		{"DANE, and the handshake fails", world{secure: true, override: may, hosts: []host{{mx: broken, tlsa: "match"}}}, text, "broken", policy.FromDANE},
		{"MTA-STS and another's certificate", world{sts: mtasts.Enforce, override: may, hosts: []host{{mx: newMX(t, other)}}}, text, "unverified", policy.FromSTS},
		{"not in the MTA-STS policy", world{sts: mtasts.Enforce, stsMX: []string{"elsewhere.test"}, override: may, hosts: []host{{mx: newMX(t, cert)}}}, text, "unlisted", policy.FromSTS},
		{"DANE matches", world{secure: true, override: may, hosts: []host{{mx: newMX(t, other), tlsa: "match"}}}, text, "", ""},
		{"no TLSA record is usable", world{secure: true, override: may, hosts: []host{{mx: newMX(t, other), tlsa: "unusable"}}}, text, "", ""},
		{"MTA-STS is met", world{sts: mtasts.Enforce, override: may, hosts: []host{{mx: newMX(t, cert)}}}, text, "", ""},
		{"MTA-STS in testing", world{sts: mtasts.Testing, override: may, hosts: []host{{mx: newMX(t, other)}}}, text, "", ""},
		{"the message does without TLS", world{secure: true, override: may, hosts: []host{{mx: newMX(t, other), tlsa: "wrong"}}}, "TLS-Required: No\r\n" + text, "unverified", policy.FromDANE},
		{"the operator wants no TLS", world{secure: true, override: none, hosts: []host{{mx: newMX(t, other), tlsa: "match"}}}, text, "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, &dialect.SMTP, func(c *Config) { c.TLS = &tls.Config{RootCAs: roots} })
			b.know("example.org", row.world)
			if _, told := b.hello(t).message("", "x@example.org", row.content); told == "" || told[0] != '2' {
				t.Errorf("told %q", told)
			}
			if row.kind == "" {
				if got := b.alarmed("example.org"); got != 0 {
					t.Errorf("%d alarms: %+v", got, b.alarms)
				}
				return
			}
			if got := b.alarmed("example.org"); got != 1 || b.alarms[0].Kind != row.kind || b.alarms[0].Source != row.source {
				t.Errorf("%d alarms: %+v", got, b.alarms)
			}
		})
	}
}
