package dialect

import (
	"bytes"
	"testing"
)

const (
	amqpPlain = "AMQP\x00\x01\x00\x00"
	amqpOld   = "AMQP\x00\x00\x09\x01" // 0-9-1
)

func TestAMQPRequests(t *testing.T) {
	for name, row := range map[string]struct {
		raw     string
		inside  bool
		kind    Kind
		why     Reason
		pending bool
	}{
		"TLS":                 {raw: amqpTLS, kind: Upgrade, pending: true},
		"TLS inside":          {raw: amqpTLS, inside: true, kind: Upgrade, why: AlreadyTLS, pending: true},
		"TLS 2.0":             {raw: "AMQP\x02\x02\x00\x00", kind: Upgrade, why: BadSyntax, pending: true},
		"SASL":                {raw: amqpSASL, kind: Secret},
		"SASL inside":         {raw: amqpSASL, inside: true, kind: Secret},
		"AMQP 1.0":            {raw: amqpPlain, kind: Secret},
		"AMQP 0-9-1":          {raw: amqpOld, kind: Secret},
		"AMQP 0-10":           {raw: "AMQP\x01\x01\x00\x0a", kind: Secret},
		"a protocol of no id": {raw: "AMQP\xff\xff\xff\xff", kind: Secret},
	} {
		s := AMQP.Speak(Server, row.inside)
		m := readOne(t, s, []byte(row.raw))
		if m.Kind != row.kind || m.Why != row.why || s.Pending() != row.pending || s.Settled() == row.pending {
			t.Errorf("%s is %v (%v), pending %v, settled %v", name, m.Kind, m.Why, s.Pending(), s.Settled())
		}
		for cut := range row.raw {
			if m, n, err := AMQP.Speak(Server, row.inside).Read([]byte(row.raw[:cut])); n != 0 || err != nil {
				t.Errorf("%s cut at %d: %v, %v", name, cut, m, err)
			}
		}
	}
	for name, raw := range map[string]string{
		"TLS at once": "\x16\x03\x01\x02\x00", "HTTP": "GET / HTTP/1.1\r\n", "lower case": "amqp", "MQTT": "\x10\x0e\x00\x04MQTT",
	} {
		t.Run(name, func(t *testing.T) { refuses(t, AMQP.Speak(Server, false), []byte(raw)) })
	}
}

func TestAMQPReplies(t *testing.T) {
	for name, row := range map[string]struct {
		raw  string
		kind Kind
		text string
	}{
		"ready":       {amqpTLS, Ready, ""},
		"SASL":        {amqpSASL, No, "AMQP 1.0.0, protocol 3"},
		"AMQP":        {amqpPlain, No, "AMQP 1.0.0, protocol 0"},
		"0-9-1":       {amqpOld, No, "AMQP 0.9.1, protocol 0"},
		"another TLS": {"AMQP\x02\x01\x00\x01", No, "AMQP 1.0.1, protocol 2"},
	} {
		s := AMQP.Speak(Client, false)
		s.Write(nil, Message{Kind: Upgrade})
		m := readOne(t, s, []byte(row.raw))
		if m.Kind != row.kind || m.Re != Upgrade || m.Text != row.text || s.Pending() || s.Settled() {
			t.Errorf("%s is %+v", name, m)
		}
		refuses(t, s, []byte(amqpSASL)) // nothing comes behind either
	}
	t.Run("before the question", func(t *testing.T) { refuses(t, AMQP.Speak(Client, false), []byte(amqpTLS)) })
	asked := AMQP.Speak(Client, false)
	asked.Write(nil, Message{Kind: Upgrade})
	t.Run("0-9-1 frames", func(t *testing.T) { refuses(t, asked, []byte("\x01\x00\x00\x00\x00\x00\x05")) })
}

// CI-27: a header behind the TLS header is none.
func TestAMQPInjection(t *testing.T) {
	s := AMQP.Speak(Server, false)
	if m, n, err := s.Read([]byte(amqpTLS + amqpSASL)); m.Kind != Upgrade || n != amqpHeader || err != nil {
		t.Fatal(m.Kind, n, err)
	}
	refuses(t, s, []byte(amqpSASL))
	s.Write(nil, Message{Kind: Ready, Re: Upgrade})
	refuses(t, s, []byte(amqpSASL))
	if s.Settled() || s.Pending() {
		t.Error("taken for the work")
	}
}

func TestAMQPRefusals(t *testing.T) {
	for name, row := range map[string]struct {
		raw    string
		inside bool
		why    Reason
		want   string
	}{
		"SASL in the clear":    {raw: amqpSASL, why: TLSRequired, want: amqpTLS},
		"0-9-1 in the clear":   {raw: amqpOld, why: TLSRequired, want: amqpTLS},
		"TLS 2.0":              {raw: "AMQP\x02\x02\x00\x00", why: BadSyntax, want: amqpTLS},
		"no TLS here":          {raw: amqpTLS, why: Unknown, want: amqpSASL},
		"TLS inside":           {raw: amqpTLS, inside: true, why: AlreadyTLS, want: amqpSASL},
		"no server":            {raw: amqpSASL, inside: true, why: Unavailable},
		"no server for TLS":    {raw: amqpTLS, why: Unavailable},
		"too many connections": {raw: amqpSASL, why: TooMuch},
	} {
		g := &amqp{inside: row.inside}
		s := speech{g, Server}
		m := readOne(t, s, []byte(row.raw))
		if got := s.Write(nil, m.Reply(No, row.why)); !bytes.Equal(got, []byte(row.want)) || !g.over() {
			t.Errorf("%s: %q, want %q; over %v", name, got, row.want, g.over())
		}
	}
}
