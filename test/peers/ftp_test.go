package peers

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

// A transfer is one file, put and got again with lftp.
type transfer struct {
	name     string
	settings string // of lftp
}

// The ways in which lftp can use data connections.
var transfers = []transfer{
	{"passive private", "set ftp:passive-mode yes; set ftp:ssl-protect-data yes"},
	{"active private", "set ftp:passive-mode no; set ftp:ssl-protect-data yes"},
	{"passive clear", "set ftp:passive-mode yes; set ftp:ssl-protect-data no"},
	{"active clear", "set ftp:passive-mode no; set ftp:ssl-protect-data no"},
}

// lftp runs commands in a session at addr.
func lftp(t *testing.T, pki *peer.PKI, addr, user, settings, commands string) (string, int) {
	t.Helper()
	script := fmt.Sprintf("set ssl:ca-file %s; set net:max-retries 2; set net:reconnect-interval-base 1; set net:reconnect-interval-max 1; set net:timeout 15; set cmd:fail-exit yes; %s; open -u %s ftp://%s; %s",
		pki.CAFile, settings, user, addr, commands)
	return peer.Run(t, 4*limit, nil, "lftp", "-c", script)
}

// carries puts a file of size bytes and gets it back.
func carries(t *testing.T, pki *peer.PKI, addr, user, settings string, size int) {
	t.Helper()
	dir := t.TempDir()
	sent := make([]byte, size)
	rand.Read(sent)
	up, down := filepath.Join(dir, "up.bin"), filepath.Join(dir, "down.bin")
	if err := os.WriteFile(up, sent, 0o644); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("f%d.bin", os.Getpid())
	out, status := lftp(t, pki, addr, user, settings,
		fmt.Sprintf("cd incoming; put %s -o %s; get %s -o %s; ls; rm %s; bye", up, name, name, down, name))
	if status != 0 {
		t.Fatalf("lftp ended with %d:\n%s", status, out)
	}
	got, err := os.ReadFile(down)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back of %d (%v):\n%s", len(got), len(sent), err, out)
	}
}

const megabyte = 1 << 20

func TestFTPInFrontOfAServerWithoutTLS(t *testing.T) {
	peer.Need(t, "lftp")
	pki := peer.NewPKI(t)
	server := peer.StartVsftpd(t, peer.VsftpdOptions{Mode: peer.ModePlain})
	g := begin(t, pki, "ftp://127.0.0.1:0", "ftp://"+server.Addr)
	for _, tr := range transfers {
		t.Run(tr.name, func(t *testing.T) {
			carries(t, pki, "localhost:"+g.Port, "anonymous,x", "set ftp:ssl-force yes; set ssl:verify-certificate yes; "+tr.settings, 100*megabyte)
		})
	}
	t.Run("no TLS", func(t *testing.T) {
		carries(t, pki, g.Addr, "anonymous,x", "set ftp:ssl-allow no", megabyte)
	})
}

func TestFTPDemandsPrivateData(t *testing.T) {
	peer.Need(t, "lftp", "curl")
	pki := peer.NewPKI(t)
	server := peer.StartProFTPD(t, peer.ProFTPDOptions{Mode: peer.ModePlain})
	g := begin(t, pki, "ftp://127.0.0.1:0?tls=encrypt", "ftp://"+server.Addr)
	carries(t, pki, "localhost:"+g.Port, peer.User+","+peer.Password, "set ftp:ssl-force yes; "+transfers[0].settings, megabyte)
	hello := "ftp://" + g.Host + "/hello.txt"
	curl(pki, hello, "--ssl-reqd").works(t, helloFTP)
	lacks(t, curl(pki, hello, "--ftp-ssl-control").fails(t, "521 Data connections are for PROT P"), helloFTP)
	lacks(t, curl(pki, hello).fails(t, "530 Must say AUTH TLS first", "curl: (67)"), helloFTP)
	g.logged("outcome=refused", "dialect=ftp")
}

// helloFTP is in the file hello.txt of all servers.
const helloFTP = "hello from the server"

// curlRace is what curl 7.88 says when it gives up on an active transfer because its end was told before it
// had taken the data connection.
const curlRace = "Ctrl conn has data while waiting for data conn"

// worksUnless is works for a client that now and then fails with a word of its own, and then is run again, a
// few times at most.
func (c client) worksUnless(t *testing.T, race, want string) {
	t.Helper()
	for range 5 {
		out, status := peer.Run(t, limit, c.env, c.args[0], c.args[1:]...)
		switch {
		case status == 0 && strings.Contains(out, want):
			return
		case !strings.Contains(out, race):
			t.Errorf("%q: status %d, want 0 and %q in:\n%s", c.args, status, want, out)
			return
		}
	}
	t.Errorf("%q: %s, five times", c.args, race)
}

// curl fetches with TLS for both connections, for the first alone, and for none; it is not let back into
// the clear (CCC).
func TestCurlHasFTPThroughTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	proftpd := peer.StartProFTPD(t, peer.ProFTPDOptions{Mode: peer.ModePlain})
	vsftpd := peer.StartVsftpd(t, peer.VsftpdOptions{Mode: peer.ModePlain})
	for name, s := range map[string]struct{ addr, user string }{
		"proftpd": {proftpd.Addr, peer.User + ":" + peer.Password},
		"vsftpd":  {vsftpd.Addr, "anonymous:x"},
	} {
		t.Run(name, func(t *testing.T) {
			g := begin(t, pki, "ftp://127.0.0.1:0", "ftp://"+s.addr)
			upgrades(t, pki, g, "ftp", "ftp")
			hello := "ftp://" + g.Host + "/hello.txt"
			for _, more := range [][]string{{"--ssl-reqd"}, {"--ftp-ssl-control"}, {}, {"--ftp-port", "-"}} {
				curl(pki, hello, append(more, "-u", s.user)...).worksUnless(t, curlRace, helloFTP)
			}
			g.logged("outcome=tls", "dialect=ftp")
			g.logged("outcome=clear", "dialect=ftp")
			g.quiet()
			curl(pki, hello, "--ssl-reqd", "--ftp-ssl-ccc", "-u", s.user).works(t, "< 53")
		})
	}
}

func TestCurlWithoutTLSReachesFTPServersThroughTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	proftpd := peer.StartProFTPD(t, peer.ProFTPDOptions{Mode: peer.ModeRequired, SessionReuse: true})
	vsftpd := peer.StartVsftpd(t, peer.VsftpdOptions{Mode: peer.ModeRequired, SessionReuse: true})
	for name, s := range map[string]struct{ addr, user string }{
		"proftpd": {proftpd.Addr, peer.User + ":" + peer.Password},
		"vsftpd":  {vsftpd.Addr, "anonymous:x"},
	} {
		t.Run(name, func(t *testing.T) {
			g := begin(t, pki, "ftp://127.0.0.1:0?tls=none", "ftp://"+s.addr+"?tls=secure", "--ca", pki.CAFile)
			curl(pki, "ftp://"+g.Host+"/hello.txt", "-u", s.user).works(t, helloFTP)
			curl(pki, "ftp://"+g.Host+"/hello.txt", "-u", s.user, "--ftp-port", "-").works(t, helloFTP)
			g.logged("back_tls=\"TLS 1.", "outcome=clear")
			g.quiet()
		})
	}
}

func TestFTPBehindAClientWithoutTLS(t *testing.T) {
	peer.Need(t, "lftp")
	pki := peer.NewPKI(t)
	proftpd := peer.StartProFTPD(t, peer.ProFTPDOptions{Mode: peer.ModeRequired, SessionReuse: true})
	vsftpd := peer.StartVsftpd(t, peer.VsftpdOptions{Mode: peer.ModeRequired, SessionReuse: true})
	for name, s := range map[string]struct{ addr, user string }{
		"proftpd": {proftpd.Addr, peer.User + "," + peer.Password},
		"vsftpd":  {vsftpd.Addr, "anonymous,x"},
	} {
		t.Run(name, func(t *testing.T) {
			g := begin(t, pki, "ftp://127.0.0.1:0?tls=none", "ftp://"+s.addr+"?tls=secure", "--ca", pki.CAFile)
			for _, mode := range []string{"yes", "no"} {
				t.Run("passive "+mode, func(t *testing.T) {
					carries(t, pki, g.Addr, s.user, "set ftp:ssl-allow no; set ftp:passive-mode "+mode, 100*megabyte)
				})
			}
		})
	}
}

// A server may name any host for its data. The gateway goes to the one that it speaks with, and tells
// its client its own address.
func TestFTPDataOfAForeignHostIsIgnored(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	g := begin(t, pki, "ftp://127.0.0.1:0", "ftp://"+foreignFTP(t))
	out := curl(pki, "ftp://"+g.Host+"/hello.txt", "--ssl-reqd", "--disable-epsv", "--no-ftp-skip-pasv-ip").works(t, helloFTP)
	contains(t, out, "227 Entering Passive Mode (127,0,0,1,")
	lacks(t, out, "(192,0,2,1,")
	g.quiet()
}

// foreignFTP is a server that says that its data is elsewhere. It returns its address.
func foreignFTP(t *testing.T) string {
	t.Helper()
	listen := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		return ln
	}
	control, data := listen(), listen()
	port := data.Addr().(*net.TCPAddr).Port
	answers := map[string]string{
		"USER": "230 in", "PWD": `257 "/"`, "TYPE": "200 yes", "QUIT": "221 bye", "RETR": "150 it comes",
		"PASV": fmt.Sprintf("227 Entering Passive Mode (192,0,2,1,%d,%d).", port>>8, port&255),
	}
	serve := func(c net.Conn) {
		defer c.Close()
		fmt.Fprint(c, "220 hello\r\n")
		for lines := bufio.NewScanner(c); lines.Scan(); {
			verb, _, _ := strings.Cut(lines.Text(), " ")
			answer, ok := answers[verb]
			if !ok {
				answer = "502 no"
			}
			fmt.Fprint(c, answer+"\r\n")
			if verb != "RETR" {
				continue
			}
			if d, err := data.Accept(); err == nil {
				fmt.Fprintln(d, helloFTP)
				d.Close()
				fmt.Fprint(c, "226 done\r\n")
			}
		}
	}
	go func() {
		for c, err := control.Accept(); err == nil; c, err = control.Accept() {
			go serve(c)
		}
	}()
	return control.Addr().String()
}
