package peer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

// lftp runs commands in a session that wants TLS for login and data, or that
// wants none.
func lftp(pki *peer.PKI, upgraded bool, account, addr, commands string) []string {
	set := "set net:max-retries 1; set net:timeout 10; set xfer:clobber yes; set cmd:fail-exit yes; "
	if upgraded {
		set += "set ftp:ssl-force yes; set ftp:ssl-protect-data yes; set ssl:ca-file " + pki.CAFile + "; "
	} else {
		set += "set ftp:ssl-allow no; "
	}
	return []string{"-c", set + "open -u " + account + " ftp://localhost:" + portOf(addr) + "; " + commands}
}

// ftpSession has two real clients fetch and store files.
func ftpSession(t *testing.T, mode peer.Mode, account, addr string, files peer.FileDir) {
	t.Helper()
	pki := peer.NewPKI(t)
	mine := filepath.Join(pki.Dir, "mine.txt")
	if err := os.WriteFile(mine, []byte("from the client\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	user := strings.Replace(account, ",", ":", 1)
	url := "ftp://localhost:" + portOf(addr) + "/"
	fetch := []string{"-sS", "-u", user, url + "hello.txt"}
	tls := []string{"--ssl-reqd", "--cacert", pki.CAFile}
	if mode == peer.ModePlain {
		refused(t, nil, "curl", append(tls, fetch...)...)
	} else {
		upgrade(t, pki, addr, "ftp")
		client(t, "hello from the server", nil, "curl", append(tls, fetch...)...)
		client(t, "hello from the server", nil, "lftp", lftp(pki, true, account, addr, "cat hello.txt; put "+mine+" -o incoming/lftp-tls.txt")...)
		stored(t, files, "lftp-tls.txt")
	}
	if mode == peer.ModeRequired {
		refused(t, nil, "curl", fetch...)
	} else {
		client(t, "hello from the server", nil, "curl", fetch...)
		client(t, "", nil, "curl", "-sS", "-u", user, "--ftp-port", "-", "-T", mine, url+"incoming/curl.txt")
		client(t, "hello from the server", nil, "lftp", lftp(pki, false, account, addr, "cat hello.txt; put "+mine+" -o incoming/lftp.txt")...)
		stored(t, files, "curl.txt", "lftp.txt")
	}
}

func stored(t *testing.T, files peer.FileDir, names ...string) {
	t.Helper()
	for _, name := range names {
		if got := files.Incoming(name); got != "from the client\n" {
			t.Errorf("%s holds %q", name, got)
		}
	}
}

func TestProFTPD(t *testing.T) {
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain, peer.ModeRequired} {
		serve(t, mode.String(), func(t *testing.T) (string, []string) {
			p := peer.StartProFTPD(t, peer.ProFTPDOptions{Mode: mode})
			ftpSession(t, mode, peer.User+","+peer.Password, p.Addr, p.FileDir)
			if mode == peer.ModeTLS {
				client(t, "hello from the server", nil, "curl", "-sS", "ftp://"+p.Addr+"/hello.txt") // anonymous
				refused(t, nil, "curl", "-sS", "-u", peer.User+":wrong", "ftp://"+p.Addr+"/")
			}
			return p.Log, []string{p.Addr}
		})
	}
}

func TestVsftpd(t *testing.T) {
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain, peer.ModeRequired} {
		serve(t, mode.String(), func(t *testing.T) (string, []string) {
			v := peer.StartVsftpd(t, peer.VsftpdOptions{Mode: mode})
			ftpSession(t, mode, "anonymous,any", v.Addr, v.FileDir)
			return v.Log, []string{v.Addr}
		})
	}
}

// fetchFTP fetches a file with TLS for login and data. The Python of today does
// not resume a session for the data.
const fetchFTP = `
import sys, ssl, ftplib
port, ca, user, password = sys.argv[1:]
c = ftplib.FTP_TLS(context=ssl.create_default_context(cafile=ca), timeout=10)
c.connect("localhost", int(port))
c.login(user, password)
c.prot_p()
c.retrlines("RETR hello.txt")
c.quit()
`

// A server that wants the session resumed takes curl, and not Python.
func TestFTPSessionReuse(t *testing.T) {
	for _, reuse := range []bool{false, true} {
		check := func(t *testing.T, pki *peer.PKI, user, addr string) {
			t.Helper()
			client(t, "hello from the server", nil, "curl", "-sS", "--ssl-reqd", "--cacert", pki.CAFile,
				"-u", user+":"+peer.Password, "ftp://localhost:"+portOf(addr)+"/hello.txt")
			out, status := peer.Run(t, limit, nil, "/usr/bin/python3", "-c", fetchFTP, portOf(addr), pki.CAFile, user, peer.Password)
			if (status != 0) != reuse {
				t.Errorf("Python: status %d:\n%s", status, out)
			}
		}
		serve(t, fmt.Sprintf("proftpd reuse=%v", reuse), func(t *testing.T) (string, []string) {
			p := peer.StartProFTPD(t, peer.ProFTPDOptions{SessionReuse: reuse})
			check(t, peer.NewPKI(t), peer.User, p.Addr)
			return p.Log, []string{p.Addr}
		})
		serve(t, fmt.Sprintf("vsftpd reuse=%v", reuse), func(t *testing.T) (string, []string) {
			v := peer.StartVsftpd(t, peer.VsftpdOptions{SessionReuse: reuse})
			check(t, peer.NewPKI(t), "anonymous", v.Addr)
			return v.Log, []string{v.Addr}
		})
	}
}
