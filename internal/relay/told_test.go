package relay

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starttls/resolver"
	"starttls/tlsrpt"
)

// reporting is a resolver that knows who asks for reports.
type reporting map[string][]string

func (r reporting) Lookup(_ context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	return &resolver.Answer{Name: name, Type: t, TXT: r[name]}, nil
}

// TestCollector: a session with a domain that asks for reports is a datagram, and others are none.
func TestCollector(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "collectd.sock")
	ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	const record = "v=TLSRPTv1; rua=mailto:r@example.org"
	c := &Collector{Socket: socket, Resolver: reporting{
		"_smtp._tls.example.org": {"something else", record},
		"_smtp._tls.two.test":    {record, record}, // T04
	}}
	go c.Run(t.Context())
	for _, domain := range []string{"none.test", "two.test", "example.org"} {
		c.Add(tlsrpt.Session{Domain: domain, Outcomes: []tlsrpt.Outcome{{Policy: tlsrpt.Policy{Type: tlsrpt.NoPolicy, Domain: domain}}}})
	}
	ln.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, tlsrpt.MaxDatagram)
	n, err := ln.Read(buf)
	want := `{"dpv":"1","d":"example.org","pr":"` + record + `","policies":[{"policy-type":9,"policy-domain":"example.org","t":0,"f":0}]}`
	if err != nil || string(buf[:n]) != want {
		t.Errorf("got  %s, %v\nwant %s", buf[:n], err, want)
	}
}

// TestCollectorAway: a collector that is not there costs nothing but the counts.
func TestCollectorAway(t *testing.T) {
	log := &lines{}
	c := &Collector{Socket: filepath.Join(t.TempDir(), "nowhere"), Resolver: reporting{"_smtp._tls.example.org": {"v=TLSRPTv1; rua=mailto:a@b.test"}}, Log: logTo(log)}
	for range 2 * maxWaiting { // nobody takes them
		c.Add(tlsrpt.Session{Domain: "example.org", Outcomes: []tlsrpt.Outcome{{Policy: tlsrpt.Policy{Type: tlsrpt.NoPolicy}}}})
	}
	go c.Run(t.Context())
	for !strings.Contains(log.String(), "not handed to the collector") {
		time.Sleep(time.Millisecond)
	}
}

// TestHook: an alarm is told once, by both ways, as JSON; the same again only after a while.
func TestHook(t *testing.T) {
	told := make(chan Alarm, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var a Alarm
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			t.Error(err)
		}
		told <- a
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "alarms")
	log := &lines{}
	h := &Hook{URL: server.URL, Command: "cat >> " + file + "; echo $ALARM >> " + file, Client: server.Client(), Log: logTo(log)}
	go h.Run(t.Context())
	now := time.Now()
	for i, a := range []Alarm{
		{Kind: "stripped", Host: "mx1.test", Time: now}, {Kind: "stripped", Host: "mx1.test", Time: now.Add(time.Minute)},
		{Kind: "broken", Host: "mx1.test", Time: now}, {Kind: "stripped", Host: "mx1.test", Time: now.Add(time.Hour)},
	} {
		a.ID = string(rune('a' + i))
		h.Add(a)
	}
	for _, want := range []string{"a", "c", "d"} {
		if got := <-told; got.ID != want {
			t.Errorf("told %+v, want %s", got, want)
		}
	}
	if text, _ := os.ReadFile(file); strings.Count(string(text), "}\nstripped\n") != 2 {
		t.Errorf("the command was given %s", text)
	}
	for !strings.Contains(log.String(), "answered 500") {
		time.Sleep(time.Millisecond)
	}
}
