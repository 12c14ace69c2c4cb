//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"starttls/internal/lab"
	"starttls/test/peers/peer"
)

// What mail is handed to, in the order of their table.
const (
	mailGateway = "gateway mx:"
	mailPostfix = "Postfix, dane"
)

// A mailer takes mail for everywhere and delivers it under DANE.
type mailer struct{ name, addr string }

// sinkDomain is where all mail goes: a domain of the lab with TLSA records, so that each delivery is
// verified.
const sinkDomain = "dane-ee.test"

// senders is how many clients hand mail in at once; it is Postfix's own number of deliveries to one
// destination.
const senders = 20

// mailLoads are what is handed in: so many messages of a size, and so many in each session.
var mailLoads = []struct {
	what       string
	size       int
	messages   int
	perSession int
}{
	{"10 kB messages", 10_000, 1500, 25},
	{"10 kB messages, one a session", 10_000, 1000, 1},
	{"1 MB messages", 1_000_000, 150, 25},
}

// measureMail measures messages through the gateway into a sink, verified by DANE, beside Postfix.
func (b *bench) measureMail(ctx context.Context) {
	s := &scope{}
	defer s.close()
	if os.Geteuid() != 0 {
		s.Logf("mail is left out: the lab at ports 25 and 53 needs root")
		return
	}
	var arrived atomic.Int64
	all := b.startMailers(s, func(lab.Message) { arrived.Add(1) })
	for _, m := range all {
		s.check(handIn(m.addr, 1, 1, 100)) // what is looked up once is looked up now
	}
	for arrived.Load() < int64(len(all)) {
		time.Sleep(10 * time.Millisecond)
	}
	for round := range b.counted(ctx) {
		for _, load := range mailLoads {
			for i := range all {
				m := all[(i+round)%len(all)]
				n := load.messages
				if b.quick {
					n /= 5
				}
				begun := time.Now()
				arrived.Store(0)
				s.check(handIn(m.addr, n, load.perSession, load.size))
				for arrived.Load() < int64(n) && ctx.Err() == nil && time.Since(begun) < time.Minute {
					time.Sleep(time.Millisecond)
				}
				took := time.Since(begun)
				if got := arrived.Load(); got != int64(n) {
					s.Fatalf("%s: %d of %d messages have arrived", m.name, got, n)
				}
				b.mail.add(load.what, "1/s", more, m.name, float64(n)/took.Seconds())
			}
		}
	}
}

// startMailers starts the lab, and both on it.
func (b *bench) startMailers(s *scope, arrived func(lab.Message)) []*mailer {
	l, err := lab.Start(lab.Config{
		Net: netip.MustParsePrefix(fmt.Sprintf("127.%d.0.0/16", 26+rand.IntN(200))), Ports: lab.RealPorts, Only: []string{sinkDomain},
		Keep: -1, Delivered: arrived,
	})
	s.check(err)
	s.Cleanup(func() { l.Close() })
	dir := filepath.Join(b.pki.Dir, "sink")
	s.check(os.MkdirAll(dir, 0o755))
	files := l.Files(dir)
	for name, text := range files {
		s.check(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	all := []*mailer{b.startMailGateway(s, l, dir)}
	other, err := startMailPostfix(s, l, dir, files["postfix.cf"])
	if missing(err) {
		s.Logf("%s is left out: %v", mailPostfix, err)
		return all
	}
	s.check(err)
	return append(all, other)
}

func (b *bench) startMailGateway(s *scope, l *lab.Lab, dir string) *mailer {
	cmd := exec.Command(b.build, "gateway", "smtp://127.0.0.1:0?tls=none", "mx:?tls=dane&loopback=yes", "--state", dir,
		"--dns-server", l.Resolver().String(), "--dns-anchors", filepath.Join(dir, "anchor"), "--ca", filepath.Join(dir, "ca.pem"))
	out, err := cmd.StdoutPipe()
	s.check(err)
	log, err := os.Create(filepath.Join(dir, "gateway.log"))
	s.check(err)
	defer log.Close()
	cmd.Stderr = log
	s.check(startLocked(cmd))
	s.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	addr, err := listening(out)
	s.check(err)
	return &mailer{mailGateway, addr}
}

// startMailPostfix starts Postfix as the lab configures it, and the validating resolver that it needs.
func startMailPostfix(s *scope, l *lab.Lab, dir, config string) (m *mailer, err error) {
	defer caught(&err)
	at := l.Resolver().Addr().As4()
	at[3] = 53
	resolver := netip.AddrFrom4(at).String()
	peer.StartUnbound(s, peer.UnboundOptions{Conf: filepath.Join(dir, "unbound.conf"), Listen: resolver + ":53"})
	main := strings.Split(strings.TrimSpace(config), "\n")
	main = append(main, "smtpd_client_connection_count_limit = 0", fmt.Sprintf("initial_destination_concurrency = %d", senders), "smtp_tls_loglevel = 0", "smtpd_tls_loglevel = 0")
	postfix := peer.StartPostfix(s, peer.PostfixOptions{Hostname: "sender.test", Domain: "-", Resolver: resolver, Main: main})
	return &mailer{mailPostfix, postfix.Plain}, nil
}

// handIn hands n messages of a size in, by several clients, so many in each session.
func handIn(addr string, n, perSession, size int) error {
	line := append(bytes.Repeat([]byte("0123456789"), 7), "\r\n"...)
	content := append([]byte("Subject: bench\r\n\r\n"), bytes.Repeat(line, size/len(line)+1)...)
	var next atomic.Int64
	errs := make([]error, min(senders, n))
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			for errs[i] == nil && next.Load() < int64(n) {
				errs[i] = oneSession(addr, perSession, content, func() bool { return next.Add(1) <= int64(n) })
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// oneSession hands messages in as long as there are any, up to some. It costs little: it shares the
// machine with what is measured.
func oneSession(addr string, most int, content []byte, more func() bool) error {
	if !more() {
		return nil
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	t := newTalk(conn)
	if err := answers(t, "", "220", "EHLO client.test\r\n", "250"); err != nil {
		return err
	}
	for {
		if err := answers(t, "MAIL FROM:<a@sender.test>\r\nRCPT TO:<b@"+sinkDomain+">\r\nDATA\r\n", "250 250 354"); err != nil {
			return err
		}
		if _, err := conn.Write(content); err != nil {
			return err
		}
		if err := answers(t, ".\r\n", "250"); err != nil {
			return err
		}
		if most--; most == 0 || !more() {
			return answers(t, "QUIT\r\n", "221")
		}
	}
}

// answers says words and hears answers with certain codes, in turns.
func answers(t *talk, turns ...string) error {
	for i := 0; i < len(turns); i += 2 {
		if err := t.say(turns[i]); err != nil {
			return err
		}
		for code := range strings.FieldsSeq(turns[i+1]) {
			line, err := t.line()
			for err == nil && strings.HasPrefix(line, code+"-") {
				line, err = t.line()
			}
			if err != nil || !strings.HasPrefix(line, code) {
				return fmt.Errorf("%q is answered by %q, %w", turns[i], line, err)
			}
		}
	}
	return nil
}
