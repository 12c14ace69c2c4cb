package peers

import (
	"slices"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

// opensslKnows are the protocols of which "openssl s_client -starttls" knows the way to TLS.
var opensslKnows = []string{
	"smtp", "pop3", "imap", "ftp", "xmpp", "xmpp-server", "telnet", "irc", "mysql", "postgres", "lmtp", "nntp", "sieve", "ldap",
}

// A gateway with nothing behind it but the built-in server gets to TLS with openssl, whatever is spoken.
func TestTryoutOpenSSL(t *testing.T) {
	pki := peer.NewPKI(t)
	for _, name := range opensslKnows {
		for _, level := range []string{"may", "encrypt"} {
			t.Run(name+"/"+level, func(t *testing.T) {
				t.Parallel()
				g := begin(t, pki, name+"://127.0.0.1:0?tls="+level)
				args := []string{"s_client", "-connect", g.Addr, "-starttls", name, "-tls1_3", "-CAfile", pki.CAFile,
					"-verify_return_error", "-verify_hostname", "localhost"}
				if strings.HasPrefix(name, "xmpp") {
					args = append(args, "-xmpphost", "localhost")
				}
				out, status := peer.RunInput(t, limit, nil, "", "openssl", args...)
				if status != 0 || !strings.Contains(out, "New, TLSv1.3") || !strings.Contains(out, "Verify return code: 0 (ok)") {
					t.Errorf("status %d:\n%s", status, out)
				}
				g.quiet()
			})
		}
	}
}

// Data of FTP goes through the gateway to the built-in server as well, protected in front.
func TestTryoutFTPData(t *testing.T) {
	pki := peer.NewPKI(t)
	g := begin(t, pki, "ftp://127.0.0.1:0?tls=encrypt")
	for _, more := range [][]string{nil, {"--disable-epsv"}} {
		args := slices.Concat([]string{"-sS", "--ssl-reqd", "--cacert", pki.CAFile, "-u", peer.User + ":" + peer.Password}, more)
		out, status := peer.Run(t, limit, nil, "curl", append(args, "ftp://"+g.Host+"/welcome.txt")...)
		if status != 0 || !strings.Contains(out, "the try-out server of starttls") {
			t.Errorf("%v: status %d:\n%s", more, status, out)
		}
	}
	g.quiet()
}
