package status

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

func TestDayForgetsWhatIsOlder(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	b := &Board{Now: func() time.Time { return now }}
	b.Ended(Session{Route: "mx", Outcome: "tls"})
	now = now.Add(12 * time.Hour)
	b.Ended(Session{Route: "mx", Outcome: "tls"})
	b.Ended(Session{Route: "mx", Outcome: "clear"})
	b.Ended(Session{Route: "other", Outcome: "clear"})
	day := b.Day("mx")
	if len(day) != 2 || day[0].Word != "tls" || day[0].Total != 2 || day[0].Steps[Steps-1] != 1 || day[0].Steps[Steps-1-144] != 1 {
		t.Fatalf("got %+v", day)
	}
	now = now.Add(12*time.Hour + Step)
	if day = b.Day("mx"); len(day) != 2 || day[0].Total != 1 {
		t.Errorf("after a day: %+v", day)
	}
	now = now.Add(1000 * time.Hour)
	if day = b.Day("mx"); len(day) != 0 {
		t.Errorf("long after: %+v", day)
	}
	now = now.Add(-2000 * time.Hour)
	b.Ended(Session{Route: "mx", Outcome: "tls"})
	if day = b.Day("mx"); len(day) != 1 || day[0].Steps[Steps-1] != 1 {
		t.Errorf("a clock that went back: %+v", day)
	}
}

func TestAlarmsAreBounded(t *testing.T) {
	b := &Board{}
	for i := range 3 * maxAlarms {
		b.Alarm(fmt.Sprint(i, strings.Repeat("x", 10_000)))
	}
	all := b.Alarms()
	if len(all) != maxAlarms || !strings.HasPrefix(all[0].Text, "59x") || len(all[0].Text) > 500 {
		t.Errorf("%d alarms, the first %q", len(all), all[0].Text)
	}
}

// TestAnAlarmThatComesAgain is there once, and pushes no other out.
func TestAnAlarmThatComesAgain(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	b := &Board{Now: func() time.Time { return now }}
	b.Alarm("other")
	for range 2 * maxAlarms {
		now = now.Add(time.Minute)
		b.Alarm("again" + strings.Repeat("x", 10_000))
	}
	all := b.Alarms()
	if len(all) != 2 || !all[0].At.Equal(now) || all[1].Text != "other" {
		t.Errorf("got %+v", all)
	}
}

// get asks a board that has one route for a path.
func get(t *testing.T, b *Board, path string, well error) (status int, body string, h http.Header) {
	t.Helper()
	view := func() View {
		return View{Name: "mail.example.org", Started: time.Now().Add(-time.Hour), Routes: []Route{{
			Name: "<mx>", Listen: "smtp://:25", Backend: "smtp://127.0.0.1:2525", Level: "TLS offered", Live: 3,
			Certificates: []Certificate{
				{Names: []string{"mail.example.org"}, From: time.Now().Add(-300 * 24 * time.Hour), Until: time.Now().Add(100 * 24 * time.Hour), TLSA: "3 1 1 " + strings.Repeat("ab", 32)},
				{Names: []string{"old.example.org"}, Until: time.Now().Add(-time.Hour), TLSA: "3 1 1 00"},
			},
		}, {
			Name: "several", Backends: []Backend{{Addr: "imap://10.0.0.1", Live: 1}, {Addr: "imap://10.0.0.2", Down: "<script>421"}},
		}}}
	}
	server := httptest.NewServer(b.Handler(view, func() error { return well }))
	defer server.Close()
	resp, err := http.Get(server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

func TestPage(t *testing.T) {
	b := &Board{}
	b.Ended(Session{Route: "<mx>", Outcome: "tls"})
	b.Alarm(`<script>alert("stripped")</script>`)
	status, body, h := get(t, b, "/", nil)
	for _, want := range []string{
		"&lt;mx&gt;", "3 sessions now", "tls 1", "99 days", `class="bad">expired`, `class="o-tls"`, "&lt;script&gt;", "&lt;script&gt;421", `imap://10.0.0.1</code>: <span class="good">well</span>, 1 session<`, `class="bad">down</span>`, "smtp://127.0.0.1:2525",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if status != 200 || strings.Contains(body, "<script") || strings.Contains(body, "http://") {
		t.Errorf("status %d, or something from elsewhere in\n%s", status, body)
	}
	if !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("headers %v", h)
	}
}

// TestEveryOutcomeHasAColour: those of sessions and those of deliveries.
func TestEveryOutcomeHasAColour(t *testing.T) {
	style, _, _ := strings.Cut(pageText, "</style>")
	for _, word := range []string{
		"tls", "clear", "refused", "broken", "injected", "tls-failed", "backend-failed", "sent", "deferred",
	} {
		if !strings.Contains(strings.ReplaceAll(style, ",", " "), "."+class(word)+" ") {
			t.Errorf("%s has none", word)
		}
	}
}

// TestBarsStayInThePicture: outcomes of a bar that fills it, in thirds that are no whole numbers.
func TestBarsStayInThePicture(t *testing.T) {
	for total := 1; total < 200; total++ {
		day := []Outcome{{Word: "sent"}, {Word: "deferred"}, {Word: "refused"}}
		for i := range day {
			day[i].Steps[0] = (total + i) / len(day)
		}
		if text := string(picture(day)); strings.Contains(text, `"-`) {
			t.Fatalf("of %d: %s", total, text)
		}
	}
}

func TestMetrics(t *testing.T) {
	b := &Board{Set: metrics.NewSet()}
	b.Ended(Session{Route: "mx", Outcome: "tls", TLS: "TLS 1.3", Group: "X25519MLKEM768", In: 10, Out: 20, Took: time.Second})
	b.Ended(Session{Route: "mx", Outcome: "tls", TLS: "TLS 1.2", Group: "X25519", Resumed: true})
	_, body, _ := get(t, b, "/metrics", nil)
	for _, want := range []string{
		`starttls_tls_resumed_total{route="mx"} 1`, `starttls_tls_total{route="mx",version="TLS 1.2",group="X25519"} 1`,
		`starttls_sessions_total{route="mx",outcome="tls"} 2`, `starttls_bytes_total{route="mx",from="server"} 20`,
		`starttls_tls_total{route="mx",version="TLS 1.3",group="X25519MLKEM768"} 1`, `starttls_session_seconds_bucket{route="mx",le="1"} 2`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
}

// TestFamilies: each family is in one piece, below its type.
func TestFamilies(t *testing.T) {
	b := &Board{Set: metrics.NewSet()}
	b.Set.RegisterMetricsWriter(func(w io.Writer) {
		for _, route := range []string{"a", "b"} {
			metrics.WriteGaugeUint64(w, fmt.Sprintf("live{route=%q}", route), 1)
			metrics.WriteCounterUint64(w, fmt.Sprintf("lost_total{route=%q}", route), 2)
		}
	})
	for _, route := range []string{"a", "b"} {
		b.Ended(Session{Route: route, Outcome: "tls", Took: time.Second})
	}
	_, body, _ := get(t, b, "/metrics", nil)
	family, seen, samples := "", map[string]bool{}, 0
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			family, _, _ = strings.Cut(rest, " ")
			if seen[family] {
				t.Errorf("%s comes in several pieces", family)
			}
			seen[family] = true
		} else if samples++; family == "" || !strings.HasPrefix(line, family) {
			t.Errorf("below the type of %q: %s", family, line)
		}
	}
	for _, want := range []string{"# TYPE live gauge\nlive{route=\"a\"} 1\nlive{route=\"b\"} 1\n", "# TYPE lost_total counter\n", "# TYPE starttls_session_seconds histogram\n"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q", want)
		}
	}
	if len(seen) != 5 || samples < 4+4+2 {
		t.Errorf("%d families, %d samples in\n%s", len(seen), samples, body)
	}
}

func TestHealth(t *testing.T) {
	b := &Board{}
	if status, body, _ := get(t, b, "/healthz", nil); status != 200 || body != "ok\n" {
		t.Errorf("got %d %q", status, body)
	}
	if status, body, _ := get(t, b, "/healthz", errors.New("the store is gone")); status != 503 || !strings.Contains(body, "the store is gone") {
		t.Errorf("got %d %q", status, body)
	}
	if status, _, _ := get(t, b, "/nothing", nil); status != 404 {
		t.Errorf("got %d", status)
	}
}

// TestCertificatesNearTheirEnd: one that lives for days is not near it all its life.
func TestCertificatesNearTheirEnd(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now()
	for _, row := range []struct {
		life, left  time.Duration
		text, class string
	}{
		{90 * day, 30 * day, "30 days", "good"}, // due for renewal
		{90 * day, 20 * day, "20 days", "warn"},
		{90 * day, 6 * day, "6 days", "bad"},
		{90 * day, 0, "expired", "bad"},
		{47 * day, 15 * day, "15 days", "good"},
		{47 * day, 11 * day, "11 days", "warn"},
		{47 * day, 3 * day, "3 days", "bad"},
		{6 * day, 2 * day, "2 days", "good"},
		{6 * day, day, "1 days", "warn"},
		{6 * day, 11 * time.Hour, "0 days", "bad"},
		{3650 * day, 22 * day, "22 days", "good"},
		{3650 * day, 20 * day, "20 days", "warn"},
	} {
		c := Certificate{From: now.Add(row.left - row.life), Until: now.Add(row.left)}
		if text, class := c.Left(now); text != row.text || class != row.class {
			t.Errorf("%v of %v left: %s, %s", row.left, row.life, text, class)
		}
	}
}
