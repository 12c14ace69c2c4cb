package tryout

import (
	"net"
	"strings"
	"testing"
	"time"

	"starttls/test/peers/peer"
)

// listen serves on a loopback port until the test ends.
func listen(t *testing.T, s *Server) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.Serve(conn)
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// Real clients, each as a person would try it. PORT in what they are told is the server's.
func TestClients(t *testing.T) {
	ldap := "-x -H ldap://127.0.0.1:PORT -D uid=joe,dc=example,dc=test -w secret"
	for _, c := range []struct {
		name, server string
		client       string
		prints       string // among other things
		out          string // what a person is told: the beginning
	}{
		{"swaks", "smtp", "swaks --server 127.0.0.1:PORT --from a@x.test --to b@y.test,c@y.test --auth PLAIN --auth-user joe --auth-password secret --header Subject:tried",
			"250 2.0.0 Taken", "joe logged in\nmessage from <a@x.test> to <b@y.test> and others, "},
		{"swaks login", "smtp", "swaks --server 127.0.0.1:PORT --from a@x.test --to b@y.test --auth LOGIN --auth-user joe --auth-password secret --pipeline",
			"250 2.0.0 Taken", "joe logged in\nmessage from <a@x.test> to <b@y.test>, "},
		{"swaks lmtp", "lmtp", "swaks --protocol LMTP --server 127.0.0.1:PORT --from a@x.test --to b@y.test",
			"250 2.0.0 Taken", "message from <a@x.test> to <b@y.test>, "},
		{"curl list", "imap", "curl -sS --user joe:secret imap://127.0.0.1:PORT/", `* LIST (\HasNoChildren) "/" INBOX`, "joe logged in\n"},
		{"curl message", "imap", "curl -sS --user joe:secret imap://127.0.0.1:PORT/INBOX;UID=1", welcome, "joe logged in\n"},
		{"curl header", "imap", "curl -sS --user joe:secret imap://127.0.0.1:PORT/INBOX;UID=1;SECTION=HEADER",
			welcomeHead, "joe logged in\n"},
		{"curl search", "imap", "curl -sS --user joe:secret imap://127.0.0.1:PORT/INBOX?ALL", "* SEARCH 1", "joe logged in\n"},
		{"curl list", "pop3", "curl -sS --user joe:secret pop3://127.0.0.1:PORT/", "1 ", "joe logged in\n"},
		{"curl message", "pop3", "curl -sS --user joe:secret pop3://127.0.0.1:PORT/1", welcome, "joe logged in\n"},
		{"curl digest", "pop3", "curl -sS --login-options AUTH=+APOP --user joe:secret pop3://127.0.0.1:PORT/1", welcome, "joe logged in\n"},
		{"curl mail", "smtp", "curl -sS --mail-from a@x.test --mail-rcpt b@y.test --upload-file mail_test.go smtp://127.0.0.1:PORT", "", "message from <a@x.test> to <b@y.test>, "},
		{"whoami", "ldap", "ldapwhoami " + ldap, "dn:uid=joe,dc=example,dc=test", "uid=joe,dc=example,dc=test logged in\n"},
		{"search", "ldap", "ldapsearch -LLL -b dc=example,dc=test " + ldap + " (&(objectClass=person)(uid=joe)) mail", "mail: joe@example.test", "uid=joe"},
		{"root DSE", "ldap", "ldapsearch -LLL -s base -b  -x -H ldap://127.0.0.1:PORT * +", "namingContexts: dc=example,dc=test", ""},
		{"modify", "ldap", "ldapdelete " + ldap + " uid=joe,dc=example,dc=test", "Server is unwilling to perform (53)", "uid=joe"},
		{"psql", "postgres", "psql -Atc select\u00a01 postgres://joe:secret@127.0.0.1:PORT/postgres?sslmode=prefer&gssencmode=prefer",
			"starttls try-out: select 1\n", "joe logged in\n"},
		{"mariadb", "mysql", "mariadb --no-defaults -h 127.0.0.1 -P PORT -u joe -psecret --skip-ssl -Ne select\u00a01",
			"starttls try-out: select 1\n", "joe logged in\n"},
		{"mariadb with a database", "mysql", "mariadb --no-defaults -h 127.0.0.1 -P PORT -u joe -psecret --skip-ssl -Ne use\u00a0a;select\u00a01;select\u00a02 any",
			"starttls try-out: select 1\nstarttls try-out: select 2\n", "joe logged in\n"},
		{"curl list", "ftp", "curl -sS --user joe:secret ftp://127.0.0.1:PORT/", "-r--r--r-- 1 ftp ftp 187 Jan 01  2026 welcome.txt", "joe logged in\n"},
		{"curl file", "ftp", "curl -sS --user joe:secret --disable-epsv ftp://127.0.0.1:PORT/welcome.txt", welcomeBody, "joe logged in\n"},
		{"lftp", "ftp", "lftp -e set ssl:verify-certificate no;cat welcome.txt;exit -u joe,secret 127.0.0.1 -p PORT", welcomeBody, "joe logged in\n"},
		{"curl", "http", "curl -sS -d x=1 http://127.0.0.1:PORT/any", httpText, ""},
		{"curl options", "http", "curl -sS -i -X OPTIONS --request-target * http://127.0.0.1:PORT", "HTTP/1.1 200 OK\r\n", ""},
		{"upsc", "nut", "upsc dummy@127.0.0.1:PORT", "battery.charge: 100\n", ""},
		{"nbdinfo", "nbd", "nbdinfo nbd://127.0.0.1:PORT/any", "export-size: 1048576 (1M)", ""},
		{"nbd list", "nbd", "nbdinfo --list nbd://127.0.0.1:PORT", "export=\"zeros\"", ""},
		{"qemu-img", "nbd", "qemu-img info --image-opts driver=nbd,host=127.0.0.1,port=PORT", "virtual size: 1 MiB", ""},
		{"tsql", "tds", "sh -c printf\u00a0'select\u00a01\\ngo\\n'|TDSVER=7.4\u00a0tsql\u00a0-H\u00a0127.0.0.1\u00a0-p\u00a0PORT\u00a0-U\u00a0joe\u00a0-P\u00a0secret\u00a0-o\u00a0q",
			"starttls try-out: select 1\n", "joe logged in\n"},
		{"ping", "mysql", "mariadb-admin --no-defaults -h 127.0.0.1 -P PORT -u joe -psecret --skip-ssl ping", "mysqld is alive", "joe logged in\n"},
	} {
		t.Run(c.server+"/"+c.name, func(t *testing.T) {
			s, out := newServer(t, c.server)
			args := strings.Split(strings.ReplaceAll(c.client, "PORT", listen(t, s)), " ")
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "\u00a0", " ") // a blank within an argument
			}
			printed, status := peer.Run(t, 20*time.Second, nil, args[0], args[1:]...)
			printed = strings.ReplaceAll(printed, "\r\n", "\n")
			if want := strings.ReplaceAll(c.prints, "\r\n", "\n"); !strings.Contains(printed, want) {
				t.Errorf("status %d, printed:\n%s", status, printed)
			}
			if !strings.HasPrefix(out.String(), c.out) {
				t.Errorf("told %q", out)
			}
		})
	}
}
