package peers

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/smtp"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"starttls/dialect"
	"starttls/internal/lab"
	"starttls/internal/policy"
	"starttls/internal/relay"
	"starttls/mtasts"
	"starttls/resolver"
	"starttls/test/peers/peer"
)

// startRelay starts a lab and a relay into it, and returns where that takes mail.
func startRelay(t *testing.T, d *dialect.Dialect) (*lab.Lab, string) {
	t.Helper()
	l, err := lab.Start(lab.Config{Net: netip.MustParsePrefix(fmt.Sprintf("127.%d.0.0/16", 26+rand.IntN(200))), Keep: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	names := &resolver.Validator{Servers: []string{l.Resolver().String()}, Anchors: l.Anchor()}
	plans := &relay.Planner{Gatherer: &policy.Gatherer{Resolver: names, STS: &mtasts.Client{
		Resolver: names, Roots: l.Roots(), Dial: l.Dial, Allow: func(netip.Addr) bool { return true },
	}}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := relay.New(relay.Config{
		Name: "relay.test", Dialect: d, Dial: l.Dial, Plan: plans.Plan, Again: plans.Again,
		TLS: &tls.Config{RootCAs: l.Roots(), ClientSessionCache: tls.NewLRUClientSessionCache(0)},
	})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- r.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		<-served
		now, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		r.Drain(now)
	})
	return l, ln.Addr().String()
}

// messages is how many there are in a run, over all domains: a few, or what STARTTLS_SOAK says.
func messages(t *testing.T, domains int) int {
	t.Helper()
	n := domains
	if word := os.Getenv("STARTTLS_SOAK"); word != "" {
		if _, err := fmt.Sscan(word, &n); err != nil {
			t.Fatalf("STARTTLS_SOAK=%s: meant is a number of messages", word)
		}
	}
	return n
}

// handIn gives n messages to a server, one after the other over the domains, in a few sessions.
func handIn(t *testing.T, addr string, domains []lab.Domain, n int) map[string]int {
	t.Helper()
	given := map[string]int{}
	var c *smtp.Client
	for i := range n {
		d := domains[i%len(domains)].Name
		given[d]++
		if i%100 == 0 {
			if c != nil {
				c.Quit()
			}
			var err error
			if c, err = smtp.Dial(addr); err != nil {
				t.Fatal(err)
			}
		}
		if err := send(c, "sender@sender.test", fmt.Sprintf("m%d@%s", i, d)); err != nil {
			t.Fatalf("%s: %v", d, err)
		}
	}
	c.Quit()
	return given
}

func send(c *smtp.Client, from, to string) error {
	if err := c.Mail(from); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "From: %s\r\nTo: %s\r\nSubject: a run\r\n\r\nhello\r\n", from, to); err != nil {
		return err
	}
	return w.Close()
}

// quickOnes are the domains whose outcome is known at once.
func quickOnes(l *lab.Lab) (all []lab.Domain) {
	for _, d := range l.Domains() {
		if !d.Slow {
			all = append(all, d)
		}
	}
	return all
}

// A ledger says what a server has made of one message: "sent", "deferred", "bounced", and the words in
// which it says why; "" while it does not know.
type ledger func(rcpt string) (status, words string)

// settled waits until a server knows of every message, and holds that against the lab: each is where it
// belongs or waits, for the right reason, and none has arrived twice.
func settled(t *testing.T, l *lab.Lab, domains []lab.Domain, given map[string]int, n int, read func() ledger) {
	t.Helper()
	end := time.Now().Add(2*limit + time.Duration(n)*150*time.Millisecond)
	var book ledger
	for missing := n; missing > 0; {
		book, missing = read(), 0
		for i := range n {
			if status, _ := book(fmt.Sprintf("m%d@%s", i, domains[i%len(domains)].Name)); status == "" {
				missing++
			}
		}
		if time.Now().After(end) {
			t.Fatalf("of %d messages nothing is known of %d", n, missing)
		}
		if missing > 0 {
			time.Sleep(200 * time.Millisecond)
		}
	}
	for i := range n {
		d := domains[i%len(domains)]
		status, words := book(fmt.Sprintf("m%d@%s", i, d.Name))
		want := map[byte]string{0: "sent", '4': "deferred", '5': "bounced"}[firstByte(d.Outcome.Reply)]
		switch {
		case d.Outcome.Deferrable && status == "deferred":
		case status != want:
			t.Errorf("m%d@%s: %s, want %s (%s): %s", i, d.Name, status, want, d.Outcome, words)
		case !strings.Contains(words, strings.TrimPrefix(d.Outcome.Reply, "4")): // the code, whichever way it is told
			t.Errorf("m%d@%s: want %s: %s", i, d.Name, d.Outcome, words)
		}
	}
	for _, d := range domains {
		want := 0
		if d.Outcome.Reply == "" {
			want = given[d.Name]
		}
		if got := l.Count(d.Name); got != want && d.Outcome.Host != "mx.evil.test" && !(d.Outcome.Deferrable && got == 0) {
			t.Errorf("%s: %d messages arrived, want %d", d.Name, got, want)
		}
	}
}

func firstByte(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}

// TestRelayPostfix has a real Postfix hand its mail for all domains of the lab to the relay, as its
// relayhost and as its LMTP transport.
func TestRelayPostfix(t *testing.T) {
	for name, row := range map[string]struct {
		dialect *dialect.Dialect
		line    string
	}{
		"relayhost": {&dialect.SMTP, "relayhost = [127.0.0.1]:%s"},
		"lmtp":      {&dialect.LMTP, "default_transport = lmtp:inet:127.0.0.1:%s"},
	} {
		t.Run(name, func(t *testing.T) {
			l, addr := startRelay(t, row.dialect)
			_, port, _ := net.SplitHostPort(addr)
			postfix := peer.StartPostfix(t, peer.PostfixOptions{Hostname: "sender.test", Domain: "-", Main: []string{
				fmt.Sprintf(row.line, port), "smtp_tls_security_level = may", "bounce_queue_lifetime = 0", "minimal_backoff_time = 1h", "queue_run_delay = 1h",
			}})
			domains := quickOnes(l)
			n := messages(t, len(domains))
			given := handIn(t, postfix.Plain, domains, n)
			settled(t, l, domains, given, n, func() ledger { return postfixLedger(t, postfix.Log) })
		})
	}
}

// TestRelayPostfixPassesFailingDomain: a message to a domain whose TLS falls short and to one that is well,
// which Postfix names in this order each time. The second gets it when Postfix tries again.
func TestRelayPostfixPassesFailingDomain(t *testing.T) {
	l, addr := startRelay(t, &dialect.SMTP)
	postfix := peer.StartPostfix(t, peer.PostfixOptions{Hostname: "sender.test", Domain: "-", Main: []string{
		"relayhost = [127.0.0.1]:" + addr[strings.LastIndexByte(addr, ':')+1:], "minimal_backoff_time = 1h", "queue_run_delay = 1h",
	}})
	const fails, well = "z@dane-rolled.test", "y@sts-enforce.test"
	if err := smtp.SendMail(postfix.Plain, nil, "a@sender.test", []string{fails, well}, []byte("Subject: two\r\n\r\nhello\r\n")); err != nil {
		t.Fatal(err)
	}
	// The log, once it has so many lines on each of the two.
	tried := func(times int) (log string) {
		for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			text, err := os.ReadFile(postfix.Log)
			if err != nil {
				t.Fatal(err)
			}
			log = string(text)
			if strings.Count(log, " to=<"+fails+">") >= times && strings.Count(log, " to=<"+well+">") >= times {
				return log
			}
		}
		t.Fatalf("not tried %d times:\n%s", times, log)
		return ""
	}
	if log := tried(1); !strings.Contains(log, "452 4.5.3") || l.Count("sts-enforce.test") != 0 {
		t.Errorf("the second was not put off:\n%s", log)
	}
	postfix.Flush(t)
	if log := tried(2); l.Count("sts-enforce.test") != 1 || l.Count("dane-rolled.test") != 0 {
		t.Errorf("%d and %d messages arrived:\n%s", l.Count("sts-enforce.test"), l.Count("dane-rolled.test"), log)
	}
}

// postfixLedger reads Postfix's log.
func postfixLedger(t *testing.T, file string) ledger {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for line := range strings.SplitSeq(string(text), "\n") {
		if _, rest, ok := strings.Cut(line, " to=<"); ok && strings.Contains(line, "status=") {
			rcpt, _, _ := strings.Cut(rest, ">")
			lines[rcpt] = line
		}
	}
	return func(rcpt string) (status, words string) {
		line := lines[rcpt]
		_, status, _ = strings.Cut(line, "status=")
		status, _, _ = strings.Cut(status, " ")
		return status, line
	}
}

// TestRelayExim has a real Exim do the same.
func TestRelayExim(t *testing.T) {
	l, addr := startRelay(t, &dialect.SMTP)
	exim := peer.StartExim(t, peer.EximOptions{Domain: "-", Relay: addr, Retry: "F,1d,1d", Main: []string{"smtp_accept_max_per_connection = 200", "queue_run_in_order"}})
	domains := quickOnes(l)
	n := min(messages(t, len(domains)), 3000) // it takes its time for each
	given := handIn(t, exim.Plain, domains, n)
	settled(t, l, domains, given, n, func() ledger { return eximLedger(t, exim.Log) })
}

// eximLedger reads Exim's main log.
func eximLedger(t *testing.T, file string) ledger {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	type entry struct{ status, line string }
	lines := map[string]entry{}
	for line := range strings.SplitSeq(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 5 || strings.Contains(line, "retry time not reached") {
			continue
		}
		status := map[string]string{"=>": "sent", "->": "sent", "==": "deferred", "**": "bounced"}[fields[3]]
		if status != "" {
			lines[strings.TrimSuffix(fields[4], ":")] = entry{status, line}
		}
	}
	return func(rcpt string) (status, words string) { return lines[rcpt].status, lines[rcpt].line }
}

// TestRelaySendmail has a real sendmail do the same, a run of it for each message.
func TestRelaySendmail(t *testing.T) {
	l, addr := startRelay(t, &dialect.SMTP)
	sendmail := peer.NewSendmailClient(t, addr)
	domains := quickOnes(l)
	n := min(messages(t, len(domains)), 1000) // each is a program that starts
	given := map[string]int{}
	var mu sync.Mutex
	said := map[string]string{}
	var next atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				d := domains[int(i)%len(domains)].Name
				to := fmt.Sprintf("m%d@%s", i, d)
				out := sendmail.Send(t, 2*limit, "sender@sender.test", to, "Subject: a run\n\nhello\n")
				mu.Lock()
				given[d]++
				said[to] = out
				mu.Unlock()
			}
		})
	}
	all.Wait()
	settled(t, l, domains, given, n, func() ledger {
		return func(rcpt string) (status, words string) { return sendmailSays(rcpt, said[rcpt]), said[rcpt] }
	})
}

// sendmailSays reads what sendmail has made of a recipient.
func sendmailSays(rcpt, out string) string {
	switch {
	case strings.Contains(out, rcpt+"... Sent"):
		return "sent"
	case strings.Contains(out, rcpt+"... Deferred"):
		return "deferred"
	}
	return "bounced"
}

// TestRelayOpenSMTPD has a real OpenSMTPD do the same.
func TestRelayOpenSMTPD(t *testing.T) {
	l, addr := startRelay(t, &dialect.SMTP)
	server := peer.StartOpenSMTPD(t, addr)
	domains := quickOnes(l)
	n := messages(t, len(domains))
	given := handIn(t, server.Plain, domains, n)
	settled(t, l, domains, given, n, func() ledger { return opensmtpdLedger(t, server.Log) })
}

// opensmtpdLedger reads OpenSMTPD's log.
func opensmtpdLedger(t *testing.T, file string) ledger {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for line := range strings.SplitSeq(string(text), "\n") {
		if _, rest, ok := strings.Cut(line, " to=<"); ok && strings.Contains(line, " mta delivery ") {
			rcpt, _, _ := strings.Cut(rest, ">")
			lines[rcpt] = line
		}
	}
	return func(rcpt string) (status, words string) {
		_, result, _ := strings.Cut(lines[rcpt], `result="`)
		result, _, _ = strings.Cut(result, `"`)
		return map[string]string{"Ok": "sent", "TempFail": "deferred", "PermFail": "bounced"}[result], lines[rcpt]
	}
}
