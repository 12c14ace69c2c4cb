//go:build linux

package faults

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSixtyFourDescriptors and more clients than that: sessions go on, nothing spins, the log says so and
// is not filled, a reload that cannot read its file changes nothing, nor does a new
// instance that cannot be started, and when clients have left all is as
// before.
func TestSixtyFourDescriptors(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	newBackend(t, dir+"/back")
	p := startGateway(t, dir, route("a", "back"), func(p *program) { p.cmd.Env = append(p.cmd.Env, descriptors+"=64") })
	before := p.rests()
	all := beginOthers(t, 3, p.path("a"))
	begun := time.Now()
	var crowd []net.Conn
	for range 100 {
		conn, err := net.Dial("unix", p.path("a"))
		if err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, conn)
	}
	p.logged("level=ERROR", "accept failed", "too many open files")
	p.signal(syscall.SIGHUP)
	p.logged("level=ERROR", "the one before stays in force", "too many open files")
	p.signal(syscall.SIGUSR2)
	p.logged("level=ERROR", "no new instance, this one goes on", "too many open files")
	for range 20 {
		all.undisturbed(t)
	}
	// Who is in has no descriptor for a backend, and is told to come again.
	if err := starved(crowd[0]); err == nil || !strings.Contains(err.Error(), `"4`) {
		t.Errorf("a client without a backend: %v", err)
	}
	p.logged("outcome=backend-failed", "too many open files")

	for _, conn := range crowd {
		conn.Close()
	}
	var next others
	p.until("a place", func() bool {
		conn, err := dial("unix", p.path("a"), "echo")
		if err == nil {
			next = append(next, begin(conn))
		}
		return err == nil
	})
	next.undisturbed(t)
	next.end(t)
	if n, most := p.lines("accept failed"), 2+2*int(time.Since(begun)/(10*time.Second)); n > most { // of two listeners
		t.Errorf("%d lines on it in %v", n, time.Since(begun))
	}
	all.end(t)
	p.clean(before)
}

// starved goes the way of a client that is in already to where the backend is needed.
func starved(raw net.Conn) error {
	raw.SetDeadline(time.Now().Add(patience))
	conn, err := upgrade(raw, ours)
	if err != nil {
		return err
	}
	return ask(conn, "EHLO client.test", "250 ")
}
