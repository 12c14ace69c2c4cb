package peers

import (
	"fmt"
	"math/rand/v2"
	"net/smtp"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"starttls/internal/zone"
	"starttls/test/peers/peer"
)

// What tests of outbound mail have in common: a DNS at a port 53 of its own, and what Postfix logs of one
// delivery.

// loopback returns an address of this machine that nobody uses.
func loopback() string {
	return fmt.Sprintf("127.%d.%d.%d", 16+rand.IntN(200), rand.IntN(256), 1+rand.IntN(254))
}

// resolving serves zones to programs that ask at port 53, and returns the address. It needs root.
func resolving(t *testing.T, configs ...zone.Config) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("port 53 needs root")
	}
	var tree zone.Tree
	if err := tree.Set(configs...); err != nil {
		t.Fatal(err)
	}
	addr := loopback()
	s, err := zone.Listen(addr+":53", tree.Recursor())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return addr
}

var smtpLine = regexp.MustCompile(`postfix/(?:smtp|error)\[(\d+)\]: (.*)`)

// deliver gives a message for somebody at domain to Postfix, and returns to whom, and what is logged of the
// first try to deliver it, TLS included: the last lines of the process that tried.
func deliver(t *testing.T, p *peer.Postfix, domain string) (to, log string) {
	t.Helper()
	to = fmt.Sprintf("u%d@%s", rand.Uint32(), domain)
	if err := smtp.SendMail(p.Plain, nil, "a@sender.test", []string{to}, []byte("Subject: "+domain+"\r\n\r\nhello\r\n")); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		log, err := os.ReadFile(p.Log)
		if err != nil {
			t.Fatal(err)
		}
		said := map[string][]string{} // by process, since its last delivery
		for line := range strings.Lines(string(log)) {
			m := smtpLine.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			said[m[1]] = append(said[m[1]], m[2])
			switch {
			case strings.Contains(line, "to=<"+to+">") && strings.Contains(line, "status="):
				return to, strings.Join(said[m[1]], "\n")
			case strings.Contains(line, "status="):
				delete(said, m[1])
			}
		}
	}
	t.Fatalf("no try to deliver to %s in %s", to, p.Log)
	return "", ""
}
