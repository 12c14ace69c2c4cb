//go:build linux

package faults

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// grown is how much more memory a program may have for twenty sessions with a peer that reads nothing.
const grown = 64 << 20

// TestASlowReader on either leg, while the other sends for all it is worth: what is on the way is bounded,
// sessions of others go on, and when nothing has moved for as long as the route allows, it is over.
func TestASlowReader(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	newBackend(t, dir+"/back")
	p := startGateway(t, dir, route("slow", "back", `idle = "5s"`)+route("a", "back"))
	before := p.rests()
	all := beginOthers(t, 3, p.path("a"))
	had := p.memory()
	var slow []net.Conn
	for i := range 20 {
		sender := []string{"flood", "deaf"}[i%2]
		conn, err := dial("unix", p.path("slow"), sender)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		slow = append(slow, conn)
	}
	var pushes sync.WaitGroup
	for i, conn := range slow {
		if i%2 == 0 {
			continue // the backend sends, and nobody reads
		}
		pushes.Go(func() {
			if n := push(conn, time.Second); n >= much {
				t.Errorf("%d bytes were taken for a peer that reads none", n)
			}
		})
	}
	pushes.Wait()
	all.undisturbed(t)
	if more := p.memory() - had; more > grown {
		t.Errorf("%d MB more", more>>20)
	}
	p.until("their end", func() bool { return p.lines("msg=session", "route=slow", "idle for too long") == len(slow) })
	for _, m := range regexp.MustCompile(`route=slow .* in=(\d+) out=(\d+)`).FindAllStringSubmatch(p.text("err"), -1) {
		for _, n := range m[1:] {
			if n, _ := strconv.ParseInt(n, 10, 64); n >= much {
				t.Errorf("%d bytes for a peer that reads none", n)
			}
		}
	}
	all.undisturbed(t)
	all.end(t)
	p.clean(before)
}

// TestASlowReaderBeforeTLS says hello again and again and hears no answer: it is over when TLS must have
// begun.
func TestASlowReaderBeforeTLS(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	newBackend(t, dir+"/back")
	p := startGateway(t, dir, route("slow", "back", `timeout = "3s"`)+route("a", "back"))
	before := p.rests()
	all := beginOthers(t, 3, p.path("a"))
	conn, err := net.Dial("unix", p.path("slow"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hello := []byte("EHLO client.test\r\n")
	for err == nil {
		_, err = conn.Write(hello)
	}
	p.logged("msg=session", "route=slow")
	all.undisturbed(t)
	all.end(t)
	p.clean(before)
}

// TestASlowReaderDoesNotKeepTheProgram: it ends within the grace, whoever still waits.
func TestASlowReaderDoesNotKeepTheProgram(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	newBackend(t, dir+"/back")
	p := startGateway(t, dir, `grace = "1s"`+"\n"+route("slow", "back"))
	for i := range 6 {
		conn, err := dial("unix", p.path("slow"), []string{"flood", "deaf"}[i%2])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 1 {
			push(conn, time.Second)
		}
	}
	p.signal(syscall.SIGTERM)
	select {
	case <-p.gone:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 || p.lines("sessions were broken off", "sessions=6") != 1 {
		t.Errorf("it ends with %d", code)
	}
}

// much is more than what any path between two peers holds.
const much = 64 << 20

// push writes for as long as somebody takes it within a limit, and returns how much that was.
func push(conn net.Conn, limit time.Duration) (n int) {
	for block := make([]byte, 64<<10); n < much; {
		conn.SetWriteDeadline(time.Now().Add(limit))
		k, err := conn.Write(block)
		if n += k; err != nil {
			break
		}
	}
	return n
}

// TestAHoarderIsFound by both measures.
func TestAHoarderIsFound(t *testing.T) {
	t.Parallel()
	p := prepare(t, folder(t), folder(t)+"/s")
	p.cmd.Env = append(p.cmd.Env, asProgram+"=hoarder")
	p.start()
	var conn net.Conn
	p.until("the hoarder", func() (ok bool) {
		var err error
		conn, err = net.Dial("unix", p.cmd.Args[1])
		return err == nil
	})
	defer conn.Close()
	had := p.memory()
	if n := push(conn, patience); n < much {
		t.Errorf("%d bytes were taken, and no more", n)
	}
	if err := await(func() bool { return p.memory()-had > grown }); err != nil {
		t.Error(fmt.Errorf("%d MB more: %w", (p.memory()-had)>>20, err))
	}
}
