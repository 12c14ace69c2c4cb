package peers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

// sieveConnect is the client sieve-connect with arguments.
func sieveConnect(t *testing.T, port string, more ...string) (string, int) {
	t.Helper()
	return peer.RunInput(t, limit, nil, peer.Password+"\n", "sieve-connect", append([]string{"--nosrv", "--server", "localhost",
		"--port", port, "--user", peer.User, "--passwordfd", "0"}, more...)...)
}

// keeps uploads a script through TLS and lists it.
func keeps(t *testing.T, pki *peer.PKI, port, name string) {
	t.Helper()
	script := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(script, []byte("keep;\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, status := sieveConnect(t, port, "--tlscafile", pki.CAFile, "--upload", "--localsieve", script); status != 0 {
		t.Errorf("upload: status %d:\n%s", status, out)
	}
	out, status := sieveConnect(t, port, "--tlscafile", pki.CAFile, "--list")
	if status != 0 || !strings.Contains(out, `"`+name+`"`) {
		t.Errorf("list: status %d:\n%s", status, out)
	}
}

// sieveLogin is AUTHENTICATE PLAIN of the account.
const sieveLogin = "AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\"\r\n"

// keepsInTheClear does by hand what keeps does, without TLS: sieve-connect would say no password then.
func keepsInTheClear(t *testing.T, addr, name string) {
	t.Helper()
	c := dialLines(t, addr)
	c.until("OK")
	c.say(sieveLogin)
	c.until("OK")
	c.say("PUTSCRIPT \"" + name + "\" {7+}\r\nkeep;\r\n\r\n")
	c.until("OK")
	c.say("LISTSCRIPTS\r\n")
	c.until(`"` + name + `"`)
	c.until("OK")
	c.say("LOGOUT\r\n")
	c.until("OK")
	c.ended()
}

// sieveServers start a server and return where it speaks sieve.
var sieveServers = []struct {
	name  string
	start func(t *testing.T, pki *peer.PKI, mode peer.Mode) string
}{
	{"dovecot", func(t *testing.T, pki *peer.PKI, mode peer.Mode) string {
		return peer.StartDovecot(t, peer.DovecotOptions{Mode: mode}).Sieve
	}},
	{"cyrus", func(t *testing.T, pki *peer.PKI, mode peer.Mode) string {
		c := peer.StartCyrus(t, peer.CyrusOptions{Mode: mode})
		// The account is made at the first login by IMAP.
		inbox := curl(pki, "imap://localhost:"+c.IMAP[strings.LastIndex(c.IMAP, ":")+1:]+"/INBOX")
		if mode != peer.ModePlain {
			inbox = inbox.with("--ssl-reqd")
		}
		inbox.works(t, " OK ")
		return c.Sieve
	}},
}

func TestSieveGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	for _, s := range sieveServers {
		t.Run(s.name, func(t *testing.T) {
			addr := s.start(t, pki, peer.ModePlain)
			g := begin(t, pki, "sieve://127.0.0.1:0", "sieve://"+addr)
			upgrades(t, pki, g, "sieve", "")
			keeps(t, pki, g.Port, "upgraded")
			keepsInTheClear(t, g.Addr, "clear")
			g.logged("outcome=tls", "dialect=sieve")
			g.logged("outcome=clear", "dialect=sieve")
			g.quiet()

			g = begin(t, pki, "sieve://127.0.0.1:0?tls=encrypt", "sieve://"+addr)
			upgrades(t, pki, g, "sieve", "")
			keeps(t, pki, g.Port, "demanded")
			c := dialLines(t, g.Addr)
			c.until("OK")
			c.say(sieveLogin)
			c.until("NO (ENCRYPT-NEEDED) ")
			c.say("LOGOUT\r\n")
			c.until("OK")
			c.ended()
			g.logged("outcome=refused", "dialect=sieve")
		})
	}
}

func TestSieveBehindAClientWithoutTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	for _, s := range sieveServers {
		t.Run(s.name, func(t *testing.T) {
			g := begin(t, pki, "sieve://127.0.0.1:0?tls=none", "sieve://"+s.start(t, pki, peer.ModeTLS)+"?tls=secure", "--ca", pki.CAFile)
			keepsInTheClear(t, g.Addr, "printed")
			g.logged("back_tls=\"TLS 1.3\"", "outcome=clear")
			g.quiet()
		})
	}
}
