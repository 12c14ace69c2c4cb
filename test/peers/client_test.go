package peers

import (
	"net"
	"slices"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

// A client is one run of a real one.
type client struct {
	env  []string
	args []string // the program first
}

func cmd(args ...string) client { return client{args: args} }

// with adds arguments.
func (c client) with(args ...string) client {
	c.args = append(slices.Clip(c.args), args...)
	return c
}

// works runs the client, which must succeed and print want.
func (c client) works(t *testing.T, want string) string {
	t.Helper()
	out, status := peer.Run(t, limit, c.env, c.args[0], c.args[1:]...)
	if status != 0 || !strings.Contains(out, want) {
		t.Errorf("%q: status %d, want 0 and %q in:\n%s", c.args, status, want, out)
	}
	return out
}

// fails runs the client, which must fail and print all of want.
func (c client) fails(t *testing.T, want ...string) string {
	t.Helper()
	out, status := peer.Run(t, limit, c.env, c.args[0], c.args[1:]...)
	if status <= 0 {
		t.Errorf("%q: status %d, want a failure:\n%s", c.args, status, out)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("%q: no %q in:\n%s", c.args, w, out)
		}
	}
	return out
}

// openssl gets to TLS, in-band with a protocol or at once without, and verifies the certificate.
func openssl(pki *peer.PKI, addr, protocol string) client {
	c := cmd("openssl", "s_client", "-connect", addr, "-CAfile", pki.CAFile,
		"-verify_return_error", "-verify_hostname", "localhost")
	if protocol != "" {
		c = c.with("-starttls", protocol)
	}
	return c
}

// upgrades has OpenSSL and, where it knows the protocol, GnuTLS get to TLS and verify the certificate.
func upgrades(t *testing.T, pki *peer.PKI, g *gateway, openSSL, gnuTLS string) {
	t.Helper()
	out := openssl(pki, g.Addr, openSSL).works(t, "Verification: OK")
	if !strings.Contains(out, "New, TLSv1.3") {
		t.Errorf("not TLS 1.3:\n%s", out)
	}
	if gnuTLS != "" {
		cmd("gnutls-cli", "--starttls-proto="+gnuTLS, "--x509cafile="+pki.CAFile, "--port="+g.Port, "localhost").
			works(t, "The certificate is trusted")
	}
}

// swaks sends one message with the subject.
func swaks(addr, subject string, more ...string) client {
	return cmd("swaks", "--server", addr, "--helo", "client.test", "-f", "a@client.test",
		"-t", "joe@example.test", "--header", "Subject: "+subject).with(more...)
}

// verified are swaks' arguments for a TLS that it believes in.
func verified(pki *peer.PKI) []string {
	return []string{"--tls", "--tls-verify", "--tls-ca-path", pki.CAFile}
}

// arrived waits for n messages and checks that each subject is in one.
func arrived(t *testing.T, box peer.Maildir, subjects ...string) {
	t.Helper()
	all := strings.Join(box.WaitMail(t, len(subjects), limit), "")
	for _, s := range subjects {
		if strings.Count(all, "Subject: "+s+"\n") != 1 {
			t.Errorf("not one message %q in %s", s, all)
		}
	}
}

// curl has the URL with the account's name; it shows the conversation.
func curl(pki *peer.PKI, url string, more ...string) client {
	return cmd("curl", "-sSv", "--max-time", "20", "--cacert", pki.CAFile, "-u", "joe:"+peer.Password).with(more...).with(url)
}

// whoami binds to the directory with the password and asks who that is.
func whoami(pki *peer.PKI, url string, more ...string) client {
	c := cmd("ldapwhoami", "-x", "-H", url, "-D", peer.LDAPUser, "-w", peer.Password).with(more...)
	c.env = []string{"LDAPTLS_CACERT=" + pki.CAFile}
	return c
}

const iAm = "dn:" + peer.LDAPUser

// psql asks one question. options are of the connection: "sslmode=disable".
func psql(pki *peer.PKI, addr, options string) client {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		host, port = addr, "5432" // the folder of a unix socket
	}
	c := cmd("psql", "-Atc", "select 6*7", "host="+host+" port="+port+" user="+peer.User+" dbname=postgres "+options)
	c.env = []string{"PGPASSWORD=" + peer.Password, "PGSSLROOTCERT=" + pki.CAFile}
	return c
}

// mariadb asks one question, and whether the client itself sees TLS.
func mariadb(pki *peer.PKI, addr string, more ...string) client {
	return mariadbAsks(pki, addr, `select concat("six by seven is ", 6*7); \s`, more...)
}

func mariadbAsks(pki *peer.PKI, addr, query string, more ...string) client {
	host, port, _ := net.SplitHostPort(addr)
	return cmd("mariadb", "--no-defaults", "-h", host, "-P", port, "--protocol=tcp", "-u"+peer.User, "-p"+peer.Password,
		"--ssl-ca="+pki.CAFile, "-Ne", query).with(more...)
}

// contains checks that all the words are in what a client has printed.
func contains(t *testing.T, out string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("no %q in:\n%s", w, out)
		}
	}
}

func lacks(t *testing.T, out, word string) {
	t.Helper()
	if strings.Contains(out, word) {
		t.Errorf("%q in:\n%s", word, out)
	}
}

// afterTLS returns what swaks has printed of the conversation inside TLS.
func afterTLS(t *testing.T, out string) string {
	t.Helper()
	_, rest, ok := strings.Cut(out, "TLS started")
	if !ok {
		t.Errorf("no TLS in:\n%s", out)
	}
	return rest
}
