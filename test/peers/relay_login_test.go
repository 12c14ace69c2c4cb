package peers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

// TestRelayLogin has the program log in to a real Exim for a client that cannot: inside STARTTLS and from
// the first byte, with the password from a file and from a command, and not where the certificate is for
// somebody else.
func TestRelayLogin(t *testing.T) {
	pki := peer.NewPKI(t)
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(peer.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := func(addr string) string { return "localhost" + addr[strings.LastIndexByte(addr, ':'):] }
	for name, row := range map[string]struct {
		back      func(exim *peer.Exim) string
		want, log string
	}{
		"STARTTLS, PLAIN": {func(exim *peer.Exim) string {
			return "submission://" + at(exim.StartTLS) + "?tls=secure&auth=" + peer.User + "&secret=file:" + secret
		}, "250", "A=plain:" + peer.User},
		"TLS at once, LOGIN": {func(exim *peer.Exim) string {
			return "submissions://" + at(exim.SMTPS) + "?tls=secure&mech=login&auth=" + peer.User + "&secret=command:cat%20" + secret
		}, "250", "A=login:" + peer.User},
		"wrong password": {func(exim *peer.Exim) string {
			return "submission://" + at(exim.StartTLS) + "?tls=secure&auth=" + peer.User + "&secret=command:echo%20wrong"
		}, "451 4.7.8", ""},
		"another certificate": {func(exim *peer.Exim) string {
			return "submission://" + at(exim.StartTLS) + "?tls=secure&match=elsewhere.test&auth=" + peer.User + "&secret=file:" + secret
		}, "451 4.7.5", ""},
		"no TLS there": {func(exim *peer.Exim) string {
			return "submission://" + at(exim.Plain) + "?tls=secure&auth=" + peer.User + "&secret=file:" + secret
		}, "451 4.7.4", ""},
	} {
		t.Run(name, func(t *testing.T) {
			exim := peer.StartExim(t, peer.EximOptions{}) // with a mailbox of its own
			g := begin(t, pki, "smtp://127.0.0.1:0?tls=none", row.back(exim), "--ca", pki.CAFile)
			subject := strings.ReplaceAll(name, " ", "-")
			out, _ := peer.Run(t, limit, nil, "swaks", "--server", g.Addr, "--from", "a@sender.test", "--to", "b@example.test", "--header", "Subject: "+subject)
			if !strings.Contains(out, row.want) {
				t.Errorf("want %s:\n%s", row.want, out)
			}
			if row.log == "" {
				return
			}
			arrived(t, exim.Maildir, subject)
			if log, _ := os.ReadFile(exim.Log); !strings.Contains(string(log), row.log) {
				t.Errorf("no %s in the log of Exim:\n%s", row.log, log)
			}
		})
	}
}
