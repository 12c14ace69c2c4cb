package cli

import (
	"fmt"
	"testing"
)

// TestGatewayInTheLab passes mail on to two domains of the lab.
func TestGatewayInTheLab(t *testing.T) {
	l, err := startLab()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := startReloading(t, "first")
	r.lab = l
	r.configure(`out:backend = "mx:"`)
	r.reload()
	for domain, code := range map[string]string{"dane-ee.test": "250 ", "sts-enforce.test": "250 ", "dane-rolled.test": "451 4.7.5 "} {
		s := r.dial("out")
		fmt.Fprintf(s.conn, "HELO client.test\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<b@%s>\r\nDATA\r\n", domain)
		for _, want := range []string{"250 ", "250 ", "250 ", "354 "} {
			s.expect(want)
		}
		s.conn.Write([]byte("Subject: lab\r\n\r\n.\r\n"))
		s.expect(code)
		if code != "250 " {
			continue
		}
		if m := l.Messages(domain); len(m) != 1 || m[0].TLS == 0 || m[0].From != "a@client.test" {
			t.Errorf("%s: %+v", domain, m)
		}
	}
	var total int
	for _, d := range l.Domains() {
		total += l.Count(d.Name)
	}
	if total != 2 {
		t.Errorf("%d messages in the lab", total)
	}
}
