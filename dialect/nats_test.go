package dialect

import "testing"

func TestNATSGreetings(t *testing.T) {
	for _, test := range []struct {
		name, line, server string
		kind               Kind
		offer              Offer
		bad                bool
	}{
		{name: "required", line: "INFO {\"server_name\":\"mx\",\"tls_required\":true} \r\n", server: "mx", kind: Greeting, offer: Required},
		{name: "available", line: "INFO {\"tls_available\": true , \"server_name\":7}\r\n", kind: Greeting, offer: Offered},
		{name: "both", line: "INFO {\"tls_required\":true,\"tls_available\":true}\r\n", kind: Greeting, offer: Required},
		{name: "neither", line: "info\t{\"tls_required\":false}\n", kind: Greeting},
		{name: "a string", line: "INFO {\"tls_required\":\"true\"}\r\n", kind: Greeting},
		{name: "deeper", line: "INFO {\"a\":{\"tls_required\":true},\"b\":[{\"tls_available\":true}]}\r\n", kind: Greeting},
		{name: "in a string", line: "INFO {\"a\":\"\\\",\\\"tls_required\\\":true\"}\r\n", kind: Greeting},
		// What Go's encoding/json takes for the key, clients written in Go do.
		{name: "another case", line: "INFO {\"TLS_Required\":true}\r\n", kind: Greeting, offer: Required},
		{name: "an escape", line: "INFO {\"tls\\u005frequired\":true}\r\n", kind: Greeting, offer: Required},
		{name: "a letter that folds to s", line: "INFO {\"tl\u017f_required\":true}\r\n", kind: Greeting, offer: Required},
		{name: "an error", line: "-ERR 'maximum connections exceeded'\r\n", kind: No},
		{name: "no object", line: "INFO []\r\n", bad: true},
		{name: "no JSON", line: "INFO {\"a\":1,}\r\n", bad: true},
		{name: "two objects", line: "INFO {} {}\r\n", bad: true},
		{name: "nothing", line: "INFO\r\n", bad: true},
		{name: "another word", line: "+OK\r\n", bad: true},
		{name: "a longer word", line: "INFOX {}\r\n", bad: true},
		{name: "TLS", line: "\x16\x03\x01\n", bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := NATS.Speak(Client, false)
			if test.bad {
				refuses(t, s, []byte(test.line))
				return
			}
			for cut := range test.line {
				if _, n, err := s.Read([]byte(test.line[:cut])); n != 0 || err != nil {
					t.Fatalf("cut at %d: %d, %v", cut, n, err)
				}
			}
			m := readOne(t, s, []byte(test.line))
			if m.Kind != test.kind || m.Offer != test.offer || m.Name != test.server {
				t.Errorf("%+v", m)
			}
		})
	}
}

func TestNATSEdits(t *testing.T) {
	for _, test := range []struct{ name, said, unsaid, offered, required string }{
		{"at the end", `{"a":1, "tls_required":true}`, `{"a":1}`, `{"a":1,"tls_available":true}`, `{"a":1,"tls_required":true}`},
		{"at the start", ` { "tls_required":true , "a":"}" } `, ` { "a":"}" } `, ` { "a":"}","tls_available":true } `, ` { "a":"}","tls_required":true } `},
		{"between", `{"a":1 , "TLS_required":false, "tls_available":true,  "b":2}`, `{"a":1 , "b":2}`, `{"a":1 , "b":2,"tls_available":true}`, `{"a":1 , "b":2,"tls_required":true}`},
		{"alone", `{"tls_required":true}`, `{}`, `{"tls_available":true}`, `{"tls_required":true}`},
		{"empty", `{ }`, `{ }`, `{"tls_available":true }`, `{"tls_required":true }`},
	} {
		t.Run(test.name, func(t *testing.T) {
			for offer, want := range []string{test.unsaid, test.offered, test.required} {
				m := readOne(t, NATS.Speak(Client, false), []byte("INFO "+test.said+"\r\n"))
				front := NATS.Speak(Server, false)
				if got := string(front.Write(nil, m.Offering(Offer(offer)).Unbound())); got != "INFO "+want+"\r\n" {
					t.Errorf("%v: %q, want %q", Offer(offer), got, want)
				}
			}
		})
	}
}

// CI-25: whatever stands where the ClientHello must stand is work, and never heard by a server that
// demands TLS.
func TestNATSRequests(t *testing.T) {
	for _, line := range []string{"CONNECT {}\r\n", "PING\r\n", "PUB a 2\r\n", "\r\n", "x\n"} {
		s := NATS.Speak(Server, false)
		say(s, "INFO {\"tls_required\":true}\r\n")
		m := one(t, s, line)
		if m.Kind != Secret || m.Why != Unknown || s.Pending() {
			t.Errorf("%q is %+v", line, m)
		}
		if said := string(s.Write(nil, m.Reply(No, TLSRequired))); said != "-ERR 'Secure Connection - TLS Required'\r\n" {
			t.Errorf("%q", said)
		}
		refuses(t, s, []byte("PING\r\n")) // the server closes
	}
	refuses(t, NATS.Speak(Server, false), []byte("\x16\x03\x01\n"))
	refuses(t, NATS.Speak(Server, false), []byte("GET / HTTP/1.1\r\n"))
	// A later INFO is edited as the first was: it tells of changes in the cluster.
	s := NATS.Speak(Client, false)
	one(t, s, "INFO {}\r\n")
	if m := one(t, s, "INFO {\"tls_required\":true}\r\n"); m.Kind != Caps || m.Offer != Required {
		t.Errorf("%+v", m)
	}
	// The server's protest after work has begun.
	say(s, "CONNECT {}\r\n")
	if m := one(t, s, "-ERR 'Authorization Violation'\r\n"); m.Kind != No || m.Re != Secret || m.Text != "Authorization Violation" || !s.Settled() {
		t.Errorf("%+v", m)
	}
}

// natsRest lists the members of an INFO that an edit leaves alone.
func natsRest(raw []byte) (rest []string) {
	info, ok := natsInfo(raw)
	if !ok {
		return nil
	}
	for _, m := range info.members {
		if !m.is("tls_required") && !m.is("tls_available") {
			rest = append(rest, string(raw[m.from:m.to]))
		}
	}
	return append(rest, string(raw[info.end:]))
}
