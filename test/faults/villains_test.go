//go:build linux

package faults

import (
	"io"
	"net"
	"testing"
	"time"
)

// villains are programs with a flaw: what the test's binary is by these names.
var villains = map[string]func(path string){
	"hoarder": hoard,
}

// hoard takes whatever comes, keeps all of it, and passes none on.
func hoard(path string) {
	ln, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go io.ReadAll(conn)
	}
}

// TestADisturbedSessionIsFound: whose bytes are other ones, and whose connection ends.
func TestADisturbedSessionIsFound(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"a wrong byte": func(conn net.Conn) {
			buf := make([]byte, 4096)
			for at := 0; ; {
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				if at += n; at > 20_000 {
					buf[n-1]++
				}
				conn.Write(buf[:n])
			}
		},
		"the end": func(conn net.Conn) { io.CopyN(conn, conn, 20_000); conn.Close() },
	} {
		here, there := pair(t)
		go serve(there)
		s := begin(here)
		if err := await(func() bool { return s.goesOn() != nil }); err != nil {
			t.Errorf("%s is not found", name)
		}
		if s.end() == nil {
			t.Errorf("%s is not found in the end", name)
		}
	}
}

// pair returns the two ends of a connection.
func pair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	ln, err := net.Listen("unix", folder(t)+"/pair")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if here, err = net.Dial("unix", ln.Addr().String()); err == nil {
		there, err = ln.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

// TestALeakIsFound: one session that is still there.
func TestALeakIsFound(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	newBackend(t, dir+"/back")
	p := startGateway(t, dir, route("a", "back"))
	before := p.rests()
	all := beginOthers(t, 1, p.path("a"))
	if err := p.leaked(before, 100*time.Millisecond); err == nil {
		t.Error("not found")
	}
	all.end(t)
	p.clean(before)
}
