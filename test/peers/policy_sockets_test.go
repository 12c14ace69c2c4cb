package peers

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

// The service manager opens the sockets, and names one that is for the other protocol.
func TestPolicyServeTakesSockets(t *testing.T) {
	t.Parallel()
	peer.Need(t, "postconf")
	var files []*os.File
	var at []string
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		file, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		at, files = append(at, ln.Addr().String()), append(files, file)
		ln.Close() // the copy goes on
	}
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", program, "policy", "serve", "--lab", "--state", t.TempDir())
	cmd.Env = []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=policy:tcp-table"}
	cmd.ExtraFiles = files
	g := launched(t, cmd)
	g.wait("a line about DNS", func() bool { return strings.Contains(g.out.String(), "DNSSEC works\n") })
	contains(t, g.out.String(), "(says postconf)")
	asksPolicy(t, "socketmap:inet:"+at[0]+":postfix", "dane-ee.test", "dane-only\n")
	asksPolicy(t, "tcp:"+at[1], "dane-ee.test", "dane-only\n")
	asksPolicy(t, "tcp:"+at[1], "tls.test", "")
}
