package relay

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"starttls"
)

// FuzzEnvelope: whatever a client says, what is taken can be said again without being more than it was.
func FuzzEnvelope(f *testing.F) {
	for _, s := range []string{
		"FROM:<a@b.test>", "FROM:<> SIZE=1 BODY=8BITMIME SMTPUTF8", "TO:<\"a>b\\\"\"@[IPv6:2001:db8::1]>", "TO:<@r:a@b>", "to: <ä@ü>  X=y",
	} {
		f.Add(s)
	}
	s := &session{Relay: New(Config{Front: Front{Level: starttls.May}}), secured: true}
	f.Fuzz(func(t *testing.T, arg string) {
		if strings.ContainsAny(arg, "\r\n\x00") {
			return // no such line is read
		}
		e, no := s.parseMail(arg)
		if no == nil {
			h := &hop{offers: map[string]string{"SIZE": "", "8BITMIME": "", "SMTPUTF8": "", "REQUIRETLS": ""}}
			said := h.mailFrom(e)
			if again, no := s.parseMail(strings.TrimPrefix(said, "MAIL ")); no != nil || *again != *e {
				t.Fatalf("%q is said again as %q: %+v", arg, said, no)
			}
		}
		s.env = &envelope{utf8: true}
		r, no := s.parseRcpt(arg)
		if no != nil {
			return
		}
		again, no := s.parseRcpt("TO:<" + r.addr + ">")
		if no != nil || again.addr != r.addr || again.next != r.next || r.next == "" || strings.ContainsAny(r.next, " \t<>") {
			t.Fatalf("%q: %+v, again %+v", arg, r, again)
		}
	})
}

// FuzzReply: whatever a next hop says, what is passed on is one reply and can be read as that.
func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 2.0.0 b\r\n", "554-5.7.1 x\n554 y\n", "421 \x00\x1b[0m\xff\r\n", "250\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := readReply(bufio.NewReader(bytes.NewReader(in)))
		if err != nil || r.code == 334 {
			return
		}
		out := r.passedOn().append(nil)
		again, err := readReply(bufio.NewReader(bytes.NewReader(out)))
		if err != nil || len(again.lines) != len(r.lines) || bytes.Count(out, []byte("\r\n")) != len(r.lines) || bytes.Count(out, []byte("\n")) != len(r.lines) {
			t.Fatalf("%q is passed on as %q: %v", in, out, err)
		}
	})
}
