package peers

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"starttls/internal/lab"
	"starttls/test/peers/peer"
)

// tally counts what arrives, by recipient.
type tally struct {
	mu  sync.Mutex
	got map[string]int
	sum int
}

func (c *tally) delivered(m lab.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, to := range m.To {
		c.got[to]++
		c.sum++
	}
}

// state returns how many recipients have something, and how many messages came in all.
func (c *tally) state() (recipients, messages int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got), c.sum
}

// TestRelayKilled kills the program, without a word, several times while a real Postfix hands mail to it.
// Nothing is lost, and nothing has arrived twice but what was on its way when it was killed.
func TestRelayKilled(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("ports 25 and 53 need root")
	}
	c := &tally{got: map[string]int{}}
	l, err := lab.Start(lab.Config{
		Net:   netip.MustParsePrefix(fmt.Sprintf("127.%d.0.0/16", 26+rand.IntN(200))),
		Ports: lab.RealPorts, Only: []string{"dane-ee.test"}, Delivered: c.delivered,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	dir := t.TempDir()
	for name, text := range l.Files(dir) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(listen string) (*exec.Cmd, string) { return runRelay(t, l, dir, listen) }
	cmd, addr := run("127.0.0.1:0")
	postfix := peer.StartPostfix(t, peer.PostfixOptions{Hostname: "sender.test", Domain: "-", Main: []string{
		"relayhost = [127.0.0.1]:" + addr[strings.LastIndexByte(addr, ':')+1:],
		"minimal_backoff_time = 1s", "maximal_backoff_time = 1s", "queue_run_delay = 1s", "transport_retry_time = 1s",
	}})
	const n, kills, inFlight = 400, 4, 20 // Postfix's default_destination_concurrency_limit
	domains := []lab.Domain{{Name: "dane-ee.test"}}
	handIn(t, postfix.Plain, domains, n)
	end := time.Now().Add(4 * limit)
	for kill := 1; kill <= kills; kill++ {
		for recipients := 0; recipients < n*kill/(kills+1); recipients, _ = c.state() {
			if time.Now().After(end) {
				t.Fatalf("only %d messages have arrived", recipients)
			}
			time.Sleep(time.Millisecond)
		}
		cmd.Process.Kill()
		cmd.Wait()
		cmd, _ = run(addr)
	}
	for recipients := 0; recipients < n; recipients, _ = c.state() {
		if time.Now().After(end) {
			t.Fatalf("lost: of %d messages %d have arrived\n%s", n, recipients, postfix.Queue(t))
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, messages := c.state(); messages > n+kills*inFlight {
		t.Errorf("%d messages for %d: more twice than were on their way", messages, n)
	}
}

// runRelay starts the program, which ends with the test, and returns where it listens.
func runRelay(t *testing.T, l *lab.Lab, dir, listen string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(program, "gateway", "smtp://"+listen+"?tls=none", "mx:?loopback=yes", "--state", dir,
		"--dns-server", l.Resolver().String(), "--dns-anchors", filepath.Join(dir, "anchor"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	_, addr, _ := strings.Cut(line, "smtp://")
	addr, _, _ = strings.Cut(addr, " ")
	if err != nil || addr == "" {
		t.Fatalf("the program says %q, %v", line, err)
	}
	return cmd, addr
}
