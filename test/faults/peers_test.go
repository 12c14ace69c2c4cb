//go:build linux

package faults

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// TestABackendIsKilled: its sessions end, who comes meanwhile is told to come again, and is served when it
// is there again. Of two that do the same, the other takes over.
func TestABackendIsKilled(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	hit := newBackend(t, dir+"/back-1")
	newBackend(t, dir+"/back-2")
	p := startGateway(t, dir, route("alone", "back-1")+route("well", "back-2")+
		"[[route]]\nname = \"several\"\nlisten = \"smtp+unix:DIR/several?tls=encrypt\"\n"+
		"backend = [\"smtp+unix:DIR/back-1\", \"smtp+unix:DIR/back-2\"]\nhealth = { interval = \"50ms\" }\n")
	before := p.rests()
	all := beginOthers(t, 3, p.path("well"))
	hits := append(beginOthers(t, 2, p.path("alone")), beginOthers(t, 2, p.path("several"))...)
	hit.kill()
	for _, s := range hits {
		select {
		case <-s.ended:
			s.Close()
		case <-time.After(patience):
			t.Error("a session goes on without its backend")
		}
	}
	if _, err := dial("unix", p.path("alone"), "echo"); err == nil || !strings.Contains(err.Error(), `"4`) {
		t.Errorf("who comes meanwhile: %v", err)
	}
	p.logged("outcome=backend-failed", "route=alone")
	p.logged("backend is down", "back-1")
	all = append(all, beginOthers(t, 2, p.path("several"))...)
	all.undisturbed(t)

	hit.start()
	p.logged("backend is well again", "back-1")
	again := beginOthers(t, 1, p.path("alone"))
	again.undisturbed(t)
	again.end(t)
	all.end(t)
	p.clean(before)
}

// TestTheTableIsFull: who is one too many is told so in the protocol, those who are in notice nothing, and
// a place that is free is given to the next.
func TestTheTableIsFull(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	newBackend(t, dir+"/back")
	p := startGateway(t, dir, route("a", "back", "max-connections = 6"))
	before := p.rests()
	all := beginOthers(t, 3, p.path("a"))
	var halfOpen []net.Conn
	for range 3 {
		conn, err := greeted(p.path("a"), "220 ")
		if err != nil {
			t.Fatal(err)
		}
		halfOpen = append(halfOpen, conn)
	}
	for range 20 {
		conn, err := greeted(p.path("a"), "421 4.7.0 Too many connections")
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	all.undisturbed(t)
	for _, conn := range halfOpen {
		conn.Close()
	}
	p.until("a place", func() bool {
		conn, err := greeted(p.path("a"), "220 ")
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	all.undisturbed(t)
	all.end(t)
	p.clean(before)
}

// greeted comes and hears the first line, which must begin so.
func greeted(path, want string) (net.Conn, error) {
	conn, err := net.DialTimeout("unix", path, patience)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if !strings.HasPrefix(line, want) {
		conn.Close()
		return nil, fmt.Errorf("greeted with %q, %v", line, err)
	}
	return conn, nil
}
