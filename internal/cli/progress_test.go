package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"starttls/internal/finding"
	"starttls/internal/report"
)

// TestWaitingIsTold: where there is no terminal, a line now and then says what is waited for, and none says it twice.
func TestWaitingIsTold(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(streams{err: &b})
	p.step()
	for n := 1; n <= 20; n++ {
		p.waiting("slow.test", n)
	}
	if got := b.String(); got != "starttls: 1 done, 10 s for slow.test\nstarttls: 1 done, 20 s for slow.test\n" {
		t.Errorf("policy says %q", got)
	}
	b.Reset()
	c := newCheckProgress(&b, 1)
	c.begun("slow.test")
	c.begun("other.test")
	if c.wait(); b.Len() > 0 {
		t.Errorf("check says %q at once", &b)
	}
	c.told, c.open[0].from = c.told.Add(-time.Hour), c.open[0].from.Add(-time.Hour)
	c.wait()
	c.wait()
	if got := b.String(); !strings.HasPrefix(got, "starttls: 0 done, 360") || strings.Count(got, "for slow.test\n") != 1 {
		t.Errorf("check says %q", got)
	}
	b.Reset()
	c.told = c.told.Add(-time.Hour)
	c.done(&finding.Result{Target: "slow.test"})
	if c.wait(); !strings.Contains(b.String(), "1 done") || !strings.Contains(b.String(), "other.test") {
		t.Errorf("check says %q of the one that is left", &b)
	}
}

// TestWhatIsFoundComesUnderAHeading: findings of a domain too, which are about no service.
func TestWhatIsFoundComesUnderAHeading(t *testing.T) {
	var b bytes.Buffer
	w := &watcher{text: report.Text{W: &b}, flush: func() error { return nil }, target: "example.org"}
	w.found(nil, finding.New("mail.mx", finding.Insufficient, "gone"))
	w.found(&finding.Service{URL: "smtp://mx.example.org:25", Address: "192.0.2.1:25"}, finding.New("clear.offer", finding.Good, ""))
	if got := b.String(); !strings.HasPrefix(got, "\nexample.org as a whole\n  BAD") || !strings.HasSuffix(got, "\n\nsmtp://mx.example.org:25 at 192.0.2.1:25\n") {
		t.Errorf("%q", got)
	}
}
