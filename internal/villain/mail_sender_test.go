package villain

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	netsmtp "net/smtp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"starttls/dialect"
	"starttls/internal/finding"
	"starttls/internal/lab"
	"starttls/internal/policy"
	"starttls/internal/relay"
	"starttls/mtasts"
	"starttls/resolver"
)

// openLab starts a lab of the domains of MailDomains.
func openLab(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.Start(lab.Config{Only: MailDomains()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// rightSender is our own: it returns what sends a message to a domain by DANE and MTA-STS.
func rightSender(t *testing.T, l *lab.Lab) func(domain string) {
	t.Helper()
	names := &resolver.Validator{Servers: []string{l.Resolver().String()}, Anchors: l.Anchor(), Probe: "test"}
	sts := &mtasts.Client{Resolver: names, Roots: l.Roots(), Dial: l.Dial, Allow: func(netip.Addr) bool { return true }}
	planner := &relay.Planner{Gatherer: &policy.Gatherer{Resolver: names, STS: sts}}
	r := relay.New(relay.Config{Name: "sender.test", Dialect: &dialect.SMTP, Dial: l.Dial, Plan: planner.Plan,
		TLS: &tls.Config{RootCAs: l.Roots()}})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		<-done
		r.Drain(ctx)
	})
	return func(domain string) {
		netsmtp.SendMail(ln.Addr().String(), nil, "a@sender.test", []string{"b@" + domain}, []byte("hello\r\n"))
	}
}

// naively sends a message as of old: it takes any answer of the DNS and any certificate, throws away what
// stands behind a go-ahead, and does without TLS if that fails or it is not to try.
func naively(t *testing.T, l *lab.Lab, domain string, upgrade bool) {
	ask := func(name string, qtype uint16) []dns.RR {
		m := new(dns.Msg).SetQuestion(name+".", qtype)
		answer, err := dns.Exchange(m, l.Resolver().String())
		if err != nil {
			t.Error(err)
			return nil
		}
		return answer.Answer
	}
	host := domain
	if mx := ask(domain, dns.TypeMX); len(mx) > 0 {
		host = strings.TrimSuffix(mx[0].(*dns.MX).Mx, ".")
	}
	addr := ask(host, dns.TypeA)[0].(*dns.A).A.String()
	for _, withTLS := range []bool{upgrade, false} {
		conn, err := l.Dial(t.Context(), "tcp", net.JoinHostPort(addr, "25"))
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if c, err := netsmtp.NewClient(conn, host); err == nil && sent(c, domain, withTLS) {
			return
		}
	}
}

// sent sends a message over a connection, with TLS if that is wanted and offered.
func sent(c *netsmtp.Client, domain string, withTLS bool) bool {
	if offered, _ := c.Extension("STARTTLS"); withTLS && offered {
		if c.StartTLS(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10}) != nil {
			return false
		}
	}
	if c.Mail("a@sender.test") != nil || c.Rcpt("b@"+domain) != nil {
		return false
	}
	w, err := c.Data()
	if err != nil {
		return false
	}
	_, err = w.Write([]byte("hello\r\n"))
	return err == nil && w.Close() == nil
}

// sendAll sends to domains, some at the same time.
func sendAll(domains []string, send func(domain string)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, domain := range domains {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			send(domain)
		})
	}
	all.Wait()
}

// TestRightSender: our own gateway is told to be right at every domain.
func TestRightSender(t *testing.T) {
	l := openLab(t)
	s := Watch(l)
	sendAll(MailDomains(), rightSender(t, l))
	for service, f := range s.Result().All {
		if f.Verdict != finding.Good {
			t.Errorf("%s: %s is %s: %s", service.URL, f.ID, f.Verdict, f.Evidence)
		}
	}
}

// TestSendersWithOneFlaw: senders that are right but for one thing are told that one, at each of its
// domains, and no other.
func TestSendersWithOneFlaw(t *testing.T) {
	for _, c := range mailCases {
		want := finding.Insufficient
		if c.id == "client.injected" { // who throws the answer away is safe from it
			want = finding.Sufficient
		}
		t.Run(c.id+"/"+c.control, func(t *testing.T) {
			t.Parallel()
			l := openLab(t)
			s := Watch(l)
			right := rightSender(t, l)
			domains := c.withControls()
			sendAll(domains, func(domain string) {
				switch flawed := slices.Contains(c.domains, strings.TrimSuffix(domain, top)); {
				case !flawed:
					right(domain)
				case c.id == "client.delivers":
					smtpless(t, l, domain)
				default:
					naively(t, l, domain, c.id != "client.honest")
				}
			})
			for service, f := range s.Result().All {
				domain := strings.TrimPrefix(service.URL, "mx:")
				flawed := slices.Contains(c.domains, strings.TrimSuffix(domain, top))
				switch {
				case !slices.Contains(domains, domain):
				case flawed && f.Verdict != want:
					t.Errorf("%s is %s, want %s: %s", f.ID, f.Verdict, want, f.Evidence)
				case !flawed && f.Verdict != finding.Good:
					t.Errorf("%s is %s: %s", f.ID, f.Verdict, f.Evidence)
				}
			}
		})
	}
}

// withControls returns the domains of a case, and those by which is known that a sender sends.
func (c mailCase) withControls() (all []string) {
	for _, name := range append([]string{"tls", "dane-ee", "sts-enforce"}, c.domains...) {
		if domain := name + top; !slices.Contains(all, domain) {
			all = append(all, domain)
		}
	}
	return all
}

// smtpless looks a domain up and sends nothing.
func smtpless(t *testing.T, l *lab.Lab, domain string) {
	if _, err := dns.Exchange(new(dns.Msg).SetQuestion(domain+".", dns.TypeMX), l.Resolver().String()); err != nil {
		t.Error(err)
	}
}

// TestNothingFollowsFromASenderThatSendsNothing: a resolver that asks, or a sender whose port 25 is shut,
// is not praised.
func TestNothingFollowsFromASenderThatSendsNothing(t *testing.T) {
	l := openLab(t)
	s := Watch(l)
	if r := s.Result(); r.Reached || r.Verdict != finding.NotTestable {
		t.Errorf("nobody was there: %s", r.Verdict)
	}
	sendAll(MailDomains(), func(domain string) { smtpless(t, l, domain) })
	r := s.Result()
	for _, f := range r.All {
		if f.Verdict != finding.NotTestable {
			t.Errorf("%s is %s: %s", f.ID, f.Verdict, f.Evidence)
		}
	}
	if domains, open, _ := s.Progress(); domains != len(MailDomains()) || open != 0 {
		t.Errorf("%d domains were asked for, %d connections are open", domains, open)
	}
}

// TestMailCasesAreTheLabs: what a case wants of its domains is what the lab says of them.
func TestMailCasesAreTheLabs(t *testing.T) {
	all := map[string]lab.Domain{}
	for _, d := range lab.List() {
		all[d.Name] = d
	}
	for _, c := range mailCases {
		for _, name := range append([]string{c.control}, c.domains...) {
			d, known := all[name+top]
			delivers := name == c.control || c.id == "client.honest" || c.id == "client.delivers"
			if !known || d.Slow || (d.Outcome.Reply == "") != delivers || d.Outcome.Clear || d.Outcome.Deferrable {
				t.Errorf("%s: %s: %s", c.id, name, d.Outcome)
			}
		}
	}
}

func TestSummaryHasTheGravest(t *testing.T) {
	l := openLab(t)
	s := Watch(l)
	right := rightSender(t, l)
	sendAll(MailDomains(), func(domain string) {
		if domain == "dane-rolled.test" {
			naively(t, l, domain, true)
			return
		}
		right(domain)
	})
	r := Summary(s.Result())
	if len(r.Services) != 1 || r.Verdict != finding.Insufficient {
		t.Fatalf("%+v", r)
	}
	for _, f := range r.Services[0].Findings {
		if want := f.ID == "client.dane-host"; want != (f.Verdict == finding.Insufficient) || want != strings.Contains(f.Evidence, "dane-rolled") {
			t.Errorf("%s is %s: %s", f.ID, f.Verdict, f.Evidence)
		}
	}
}
