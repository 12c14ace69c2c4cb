//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"starttls/internal/lab"
	"starttls/internal/zone"
	"starttls/test/peers/peer"
)

// The policy maps, in the order of their table.
const (
	policyServe = "policy serve"
	stsResolver = "postfix-mta-sts-resolver"
)

// A policyMap is one of them, running.
type policyMap struct {
	name, addr string
	groups     []int // processes that work for it
}

func (m *policyMap) cpu() (used time.Duration) {
	for _, group := range m.groups {
		used += cpuTime(group)
	}
	return used
}

// askers is how many connections ask at once: Postfix has one for each process that delivers, 100 at most
// by default.
const askers = 64

// kept are domains of the lab with a policy that both keep.
var kept = []string{"sts-enforce.test", "sts-wildcard.test", "sts-second.test", "sts-name.test", "sts-expired.test", "sts-no-tls.test"}

// A load is how questions are asked.
type load struct {
	what   string
	conns  int
	atOnce int // questions on one connection before the first answer
	key    func() string
}

// measurePolicy measures what answers Postfix which TLS a delivery must demand, on the lab.
func (b *bench) measurePolicy(ctx context.Context) {
	s := &scope{}
	defer s.close()
	if os.Geteuid() != 0 {
		s.Logf("policy maps are left out: the lab at ports 53 and 443 needs root")
		return
	}
	all := b.startMaps(ctx, s)
	for _, m := range all { // fill what is kept
		for _, key := range kept {
			answer, err := m.askOnce(key)
			s.check(err)
			if !strings.HasPrefix(answer, "OK secure match=") {
				s.Fatalf("%s says %q of %s", m.name, answer, key)
			}
		}
	}
	var fresh atomic.Int64
	oneOf := func() string { return kept[rand.IntN(len(kept))] }
	loads := []load{
		{"lookups, kept", askers, 1, oneOf},
		{"lookups, kept, one connection", 1, 1, oneOf},
		{"lookups, kept, 16 questions at once", askers, 16, oneOf},
		{"lookups, cold", askers, 1, func() string { return fmt.Sprintf("d%d.cold.test", fresh.Add(1)) }},
	}
	for round := range b.counted(ctx) {
		for _, load := range loads {
			for i := range all {
				m := all[(i+round)%len(all)]
				n, took, used := b.lookups(ctx, s, m, load)
				b.maps.add(load.what, "1/s", more, m.name, float64(n)/took.Seconds())
				b.maps.add(load.what+", CPU", "µs each", less, m.name, float64(used.Microseconds())/float64(n))
			}
		}
	}
}

// startMaps starts the lab, and both maps on it.
func (b *bench) startMaps(ctx context.Context, s *scope) (all []*policyMap) {
	l, err := lab.Start(lab.Config{
		Net: netip.MustParsePrefix(fmt.Sprintf("127.%d.0.0/16", 26+rand.IntN(200))), Ports: lab.RealPorts, Only: kept,
	})
	s.check(err)
	s.Cleanup(func() { l.Close() })
	// Any name in it is a domain for mail without a policy.
	s.check(l.Zones().Set(zone.Config{Origin: "cold.test", Text: "* MX 10 mx.sts-enforce.test."}))
	dir := filepath.Join(b.pki.Dir, "lab")
	s.check(os.MkdirAll(dir, 0o755))
	for name, text := range l.Files(dir) {
		s.check(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	all = append(all, b.startPolicyServe(s, l, dir))

	other, err := startSTSResolver(s, l, dir)
	if missing(err) {
		s.Logf("%s is left out: %v", stsResolver, err)
		return all
	}
	s.check(err)
	return append(all, other)
}

// startSTSResolver starts it with Unbound, which validates for it.
func startSTSResolver(s *scope, l *lab.Lab, dir string) (m *policyMap, err error) {
	defer caught(&err)
	at := l.Resolver().Addr().As4()
	at[3] = 53
	resolver := netip.AddrFrom4(at).String()
	unbound := peer.StartUnbound(s, peer.UnboundOptions{Conf: filepath.Join(dir, "unbound.conf"), Listen: resolver + ":53"})
	sts := peer.StartMTASTS(s, peer.MTASTSOptions{Resolver: resolver, CAFile: filepath.Join(dir, "ca.pem")})
	return &policyMap{stsResolver, sts.Addr, []int{sts.PID, unbound.PID}}, nil
}

func (b *bench) startPolicyServe(s *scope, l *lab.Lab, dir string) *policyMap {
	cmd := exec.Command(b.build, "policy", "serve", "--listen", "inet:127.0.0.1:0", "--postfix", "3.7", "--state", b.pki.Dir,
		"--dns-server", l.Resolver().String(), "--dns-anchors", filepath.Join(dir, "anchor"), "--dns-probe", "test", "--ca", filepath.Join(dir, "ca.pem"), "--private-policy-hosts")
	log, err := os.CreateTemp(b.pki.Dir, "policy-*.log")
	s.check(err)
	defer log.Close()
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	s.check(err)
	s.check(startLocked(cmd))
	s.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		kill.Stop()
	})
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	s.check(err)
	go io.Copy(io.Discard, lines)
	_, rest, _ := strings.Cut(line, "inet:")
	addr, _, _ := strings.Cut(rest, " ")
	return &policyMap{policyServe, addr, []int{cmd.Process.Pid}}
}

// lookups asks for a time, and returns how many questions were answered, in what time, and the CPU time of
// who answered. One loop asks on all connections, so that it costs little: it shares the machine with who
// answers.
func (b *bench) lookups(ctx context.Context, s *scope, m *policyMap, l load) (done int, took, used time.Duration) {
	var all []*asker
	for range l.conns {
		a, err := m.dial()
		s.check(err)
		defer a.Close()
		all = append(all, a)
	}
	used, begun := m.cpu(), time.Now()
	for time.Since(begun) < b.size.sessions && ctx.Err() == nil {
		for _, a := range all {
			s.check(a.say(l.atOnce, l.key))
		}
		for _, a := range all {
			s.check(a.hear(l.atOnce))
		}
		done += l.conns * l.atOnce
	}
	return max(1, done), time.Since(begun), m.cpu() - used
}

// An asker is one connection that asks.
type asker struct {
	net.Conn
	r   *bufio.Reader
	out []byte
}

func (m *policyMap) dial() (*asker, error) {
	conn, err := net.DialTimeout("tcp4", m.addr, talkLimit)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(2 * talkLimit))
	return &asker{Conn: conn, r: bufio.NewReader(conn)}, nil
}

func (m *policyMap) askOnce(key string) (string, error) {
	a, err := m.dial()
	if err != nil {
		return "", err
	}
	defer a.Close()
	if err := a.say(1, func() string { return key }); err != nil {
		return "", err
	}
	answer, err := a.answer()
	return string(answer), err
}

// hear hears some answers.
func (a *asker) hear(n int) error {
	for range n {
		answer, err := a.answer()
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(answer, []byte("OK ")) && !bytes.HasPrefix(answer, []byte("NOTFOUND ")) {
			return fmt.Errorf("the answer is %q", answer)
		}
	}
	return nil
}

// say asks some questions at once.
func (a *asker) say(n int, key func() string) error {
	const table = "postfix "
	a.out = a.out[:0]
	for range n {
		k := key()
		a.out = strconv.AppendInt(a.out, int64(len(table)+len(k)), 10)
		a.out = append(append(append(append(a.out, ':'), table...), k...), ',')
	}
	_, err := a.Write(a.out)
	return err
}

// answer returns an answer without its frame, good until the next.
func (a *asker) answer() ([]byte, error) {
	size, err := a.r.ReadSlice(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(string(size[:len(size)-1]))
	if err != nil {
		return nil, err
	}
	answer, err := a.r.Peek(n + 1)
	if err != nil {
		return nil, err
	}
	a.r.Discard(n + 1)
	return answer[:n], nil
}

// mapNotes is what one must know to read the table of policy maps.
var mapNotes = fmt.Sprintf(`
- Domains of the lab, its DNS and policy hosts in this program. %d connections ask at once, each the next
  question when it has the answer to the one before, as Postfix does, by TCP on loopback: there the kernel's
  part is greater than that of policy serve. With 16 questions in one segment the programs show more.
- Kept: domains with an MTA-STS policy in force, asked for before. postfix-mta-sts-resolver keeps the
  policy, and looks at each question whether it is still good; policy serve keeps the answer.
- Cold: domains that nobody has asked for, with one MX host and no policy. postfix-mta-sts-resolver asks
  the DNS one question, and Unbound, whose CPU time is counted with it, validates; policy serve asks for MX,
  for the MTA-STS record and, once, for the host's addresses and TLSA records, and validates itself.
`, askers)
