package dialect

import (
	"slices"
	"strings"
	"testing"
)

const httpAsk = "OPTIONS * HTTP/1.1\r\nHost: mx.example.test:631\r\nUpgrade: TLS/1.2,TLS/1.0\r\nConnection: Upgrade\r\n\r\n"

func TestHTTPRequests(t *testing.T) {
	get := func(fields string) string { return "GET /a HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n" }
	for _, test := range []struct {
		name, raw string
		kind      Kind
		why       Reason
		said      string // if it is said on as something else
		bad       bool
	}{
		{name: "OPTIONS", raw: httpAsk, kind: Upgrade},
		{name: "GET", raw: get("connection: keep-alive, upgrade\r\nupgrade: tls/1.0\r\n"), kind: Upgrade},
		{name: "no body", raw: get("Upgrade: TLS/1.0\r\nConnection: upgrade\r\nContent-Length: 0\r\n"), kind: Upgrade},
		{name: "a body", raw: get("Upgrade: TLS/1.0\r\nConnection: upgrade\r\nContent-Length: 5\r\n"), kind: Upgrade, why: BadSyntax},
		{name: "a body in chunks", raw: get("Upgrade: TLS/1.0\r\nConnection: upgrade\r\nTransfer-Encoding: chunked\r\n"), kind: Upgrade, why: BadSyntax},
		{name: "bare LF", raw: strings.ReplaceAll(httpAsk, "\r\n", "\n"), kind: Upgrade, why: BadSyntax},
		{name: "a bare CR", raw: get("a: b\rc: d\r\nUpgrade: TLS/1.0\r\nConnection: upgrade\r\n"), kind: Upgrade, why: BadSyntax},
		{name: "a folded line", raw: get("Upgrade:\r\n TLS/1.0\r\nConnection: upgrade\r\n"), kind: Upgrade, why: BadSyntax},
		{name: "a blank before the colon", raw: get("Upgrade : TLS/1.0\r\nConnection: upgrade\r\n"), kind: Upgrade, why: BadSyntax},
		{name: "plain", raw: get(""), kind: Secret},
		{name: "another upgrade", raw: get("Upgrade: h2c\r\nConnection: Upgrade\r\n"), kind: Secret},
		{name: "no Connection", raw: get("Upgrade: TLS/1.0\r\nA: b\r\n"), kind: Secret, said: get("A: b\r\n")},
		{name: "HTTP/1.0", raw: strings.Replace(get("Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n"), "1.1", "1.0", 1), kind: Secret, said: "GET /a HTTP/1.0\r\nHost: x\r\n\r\n"},
		{name: "only so alike", raw: get("Upgrade: xTLS/1.0, h2c\r\nConnection: Upgrade\r\n"), kind: Secret, said: get("upgrade: h2c\r\nConnection: Upgrade\r\n")},
		{name: "HTTP/2", raw: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bad: true},
		{name: "HTTP/0.9", raw: "GET /\r\n", bad: true},
		{name: "SMTP", raw: "EHLO x\r\n", bad: true},
		{name: "lower case", raw: "get / HTTP/1.1\r\n", bad: true},
		{name: "TLS", raw: "\x16\x03\x01", bad: true},
		{name: "an empty line", raw: "\r\n", bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := HTTP.Speak(Server, false)
			if test.bad {
				refuses(t, s, []byte(test.raw))
				return
			}
			for cut := range test.raw {
				if _, n, err := s.Read([]byte(test.raw[:cut])); n != 0 || err != nil {
					t.Fatalf("cut at %d: %d, %v", cut, n, err)
				}
			}
			// CI-25: what is glued to it stays.
			m, n, err := s.Read([]byte(test.raw + get("")))
			if m.Kind != test.kind || m.Why != test.why || n != len(test.raw) || err != nil || !s.Pending() {
				t.Errorf("%+v, %d, %v", m, n, err)
			}
			if test.said == "" {
				test.said = test.raw
			}
			if said := string(HTTP.Speak(Client, false).Write(nil, m)); said != test.said {
				t.Errorf("said on as %q", said)
			}
		})
	}
	t.Run("CI-13 inside TLS the upgrade is an ordinary request", func(t *testing.T) {
		s := HTTP.Speak(Server, true)
		m := one(t, s, httpAsk)
		said := string(HTTP.Speak(Client, false).Write(nil, m))
		if m.Kind != Ask || m.Why != Unknown || said != "OPTIONS * HTTP/1.1\r\nHost: mx.example.test:631\r\n\r\n" {
			t.Errorf("%+v is said on as %q", m, said)
		}
	})
	for host, want := range map[string]string{"A.b-c:80": "A.b-c", "[::1]:80": "[::1]", "[::1]": "[::1]", "a b": "", "x\x00y": "", "": ""} {
		if m := one(t, HTTP.Speak(Server, false), "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); m.Name != want {
			t.Errorf("%q is %q", host, m.Name)
		}
	}
}

func TestHTTPAnswers(t *testing.T) {
	for _, test := range []struct {
		name, raw string
		kind      Kind
		why       Reason
		pending   bool
		bad       bool
	}{
		{name: "101", raw: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.0, HTTP/1.1\r\nConnection: Upgrade\r\n\r\n", kind: Ready},
		{name: "101 to something else", raw: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", bad: true},
		{name: "101 to nothing", raw: "HTTP/1.1 101 Switching Protocols\r\n\r\n", bad: true},
		{name: "100", raw: "HTTP/1.1 100 Continue\r\n\r\n", pending: true},
		{name: "200", raw: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", kind: No},
		{name: "200 in chunks", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhi\r\n0\r\nA: b\r\n\r\n", kind: No},
		{name: "204", raw: "HTTP/1.1 204 No Content\r\n\r\n", kind: No},
		{name: "426", raw: "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", kind: No, why: TLSRequired},
		{name: "400 and close", raw: "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", kind: Bye},
		{name: "503", raw: "HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n", kind: No, why: TLSUnavailable},
		{name: "200 to the end of the connection", raw: "HTTP/1.1 200 OK\r\n\r\n", bad: true},
		{name: "a chunk of another size", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nhi\r\n", bad: true},
		{name: "no size", raw: "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", bad: true},
		{name: "a request", raw: httpAsk, bad: true},
		{name: "SMTP", raw: "220 x\r\n", bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := HTTP.Speak(Client, false)
			if said := string(s.Write(nil, Message{Kind: Upgrade, Name: "x"})); said != "OPTIONS * HTTP/1.1\r\nHost: x\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n\r\n" {
				t.Fatalf("%q", said)
			}
			if test.bad {
				refuses(t, s, []byte(test.raw))
				return
			}
			for cut := range test.raw {
				if _, n, err := s.Read([]byte(test.raw[:cut])); n != 0 || err != nil {
					t.Fatalf("cut at %d: %d, %v", cut, n, err)
				}
			}
			m, n, err := s.Read([]byte(test.raw + "HTTP/1.1 200 OK\r\n\r\n"))
			if m.Kind != test.kind || m.Why != test.why || m.Re != Upgrade || n != len(test.raw) || err != nil || s.Pending() != test.pending {
				t.Errorf("%+v, %d, %v", m, n, err)
			}
		})
	}
	refuses(t, HTTP.Speak(Client, false), []byte("HTTP/1.1 200 OK\r\n\r\n")) // to no request
	s := HTTP.Speak(Client, true)
	if m := one(t, s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"); m.Kind != Caps || m.Re != Upgrade || s.Settled() {
		t.Errorf("%+v", m) // RFC 2817 §3.3: to the request that was said in the clear
	}
	say(s, "GET / HTTP/1.1\r\n\r\n")
	if m, n, _ := s.Read([]byte("HTTP/1.1 200 OK\r\n\r\nhi")); m.Kind != Other || m.Re != Secret || n != 19 || !s.Settled() {
		t.Errorf("%+v", m)
	}
}

func TestHTTPRefusals(t *testing.T) {
	for _, test := range []struct {
		name, raw string
		why       Reason
		want      []string
		closed    bool
	}{
		{"RFC 2817 §4.2", "GET / HTTP/1.1\r\n\r\n", TLSRequired, []string{"HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.0, HTTP/1.1\r\nConnection: Upgrade\r\n", "\r\n\r\nThis server"}, false},
		{"HEAD", "HEAD / HTTP/1.1\r\n\r\n", TLSRequired, []string{"426", "Content-Length: 48\r\n\r\n"}, false},
		{"a body", "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", TLSRequired, []string{"426", "Connection: Upgrade, close\r\n"}, true},
		{"no TLS here", httpAsk, Unknown, []string{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}, false},
		{"no backend", httpAsk, Unavailable, []string{"502", "Connection: close\r\n"}, true},
		{"a bad upgrade", strings.Replace(httpAsk, "Host", "Content-Length: 1\r\nHost", 1), BadSyntax, []string{"400", "close\r\n"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := HTTP.Speak(Server, false)
			said := string(s.Write(nil, one(t, s, test.raw).Reply(No, test.why)))
			for _, part := range test.want {
				if !strings.Contains(said, part) {
					t.Errorf("%q has no %q", said, part)
				}
			}
			if strings.HasPrefix(test.raw, "HEAD") && !strings.HasSuffix(said, "\r\n\r\n") {
				t.Errorf("%q has a body", said)
			}
			if s.Pending() {
				t.Error("pending")
			}
			if test.closed {
				refuses(t, s, []byte(httpAsk))
			} else if m := one(t, s, httpAsk); m.Kind != Upgrade || m.Why != Unknown {
				t.Errorf("then %+v", m)
			}
		})
	}
	s := HTTP.Speak(Server, false)
	if said := string(s.Write(nil, one(t, s, httpAsk).Reply(Ready, Unknown))); said != "HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.2, HTTP/1.1\r\nConnection: Upgrade\r\n\r\n" {
		t.Errorf("%q", said)
	}
}

// httpStripped checks that out is the request raw without what asks for TLS.
func httpStripped(t *testing.T, raw, out []byte) {
	t.Helper()
	was, _ := cutHead(raw)
	is, err := cutHead(out)
	rest := func(h httpHead, raw []byte) []string {
		rest := []string{h.first}
		for _, f := range h.fields {
			if f.name != "upgrade" && f.name != "connection" {
				rest = append(rest, string(raw[f.from:f.to]))
			}
		}
		return rest
	}
	if err != nil || is.n != len(out) || is.asksTLS() || !slices.Equal(rest(was, raw), rest(is, out)) {
		t.Fatalf("strip: %q said on as %q (%v)", raw, out, err)
	}
}
