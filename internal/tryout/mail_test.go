package tryout

import (
	"fmt"
	"strings"
	"testing"
)

const ehlo = "250-try.test\n250-PIPELINING\n250-8BITMIME\n250-SIZE 26214400\n250-ENHANCEDSTATUSCODES\n250-SMTPUTF8\n250 AUTH PLAIN LOGIN\n"

var smtpTalks = []talk{
	{"smtp", "a message", "EHLO me\nMAIL FROM:<a@x> SIZE=20 BODY=8BITMIME\nRCPT TO:<b@y>\nDATA\nSubject: =?utf-8?q?h=C3=AB?=\n\n..dot\n.\nQUIT\n",
		"220 try.test ESMTP…\n" + ehlo + "250 2.1.0…\n250 2.1.5…\n354 …\n250 2.0.0 Taken, 38 bytes\n221 2.0.0 Bye",
		"message from <a@x> to <b@y>, 38 bytes, subject hë\n"},
	{"smtp", "bounce without header to two", "HELO me\nmail from:<>\nrcpt to:<b@y>\nRCPT TO: <\"a>b\"@y>\nDATA\n.\nQUIT\n",
		"220 …\n250 try.test\n250 …\n250 …\n250 …\n354 …\n250 2.0.0 Taken, 0 bytes\n221 …",
		"message from <> to <b@y> and others, 0 bytes, subject (none)\n"},
	{"smtp", "logins", "EHLO me\nAUTH PLAIN AGpvZQBzZWNyZXQ=\nAUTH PLAIN AGpvZQBzZWNyZXQ=\n",
		"220 …\n" + ehlo + "235 …\n503 …", "joe logged in\n"},
	{"smtp", "login in steps", "EHLO me\nAUTH PLAIN\nAGpvZQBzZWNyZXQ=\n",
		"220 …\n" + ehlo + "334 \n235 …", "joe logged in\n"},
	{"smtp", "the other login", "EHLO me\nAUTH LOGIN\n*\nAUTH LOGIN\nam9l\nc2VjcmV0\n",
		"220 …\n" + ehlo + "334 VXNlcm5hbWU6\n501 …\n334 VXNlcm5hbWU6\n334 UGFzc3dvcmQ6\n235 …", "joe logged in\n"},
	{"smtp", "no such login", "AUTH PLAIN x\nHELO me\nAUTH CRAM-MD5\nAUTH PLAIN !\nAUTH PLAIN =\nAUTH PLAIN am9l\n",
		"220 …\n503 …\n250 …\n504 …\n501 …\n501 …\n501 …", ""},
	{"smtp", "out of order", "MAIL FROM:<a@x>\nRCPT TO:<b@y>\nDATA\nEHLO\nHELO me\nDATA\nRCPT TO:<b@y>\nMAIL FROM:<a@x>\nMAIL FROM:<a@x>\nDATA\nRSET\nRCPT TO:<b@y>\n",
		"220 …\n503 …\n503 …\n503 …\n501 …\n250 …\n503 …\n503 …\n250 …\n503 …\n503 …\n250 …\n503 …", ""},
	{"smtp", "hello ends a transaction", "HELO me\nMAIL FROM:<a@x>\nHELO me\nMAIL FROM:<c@x>\n",
		"220 …\n250 …\n250 …\n250 …\n250 2.1.0…", ""},
	{"smtp", "arguments", "HELO me\nMAIL FROM:a@x\nMAIL TO:<a@x>\nMAIL FROM:<a@x>y\nMAIL FROM:<a@x> X=1\nMAIL FROM:<a@x> SIZE=99999999\nMAIL\nMAIL FROM:<a@x>\nRCPT TO:<>\nRCPT TO:<b@y> X=1\nNOOP\nVRFY b\nEXPN b\nBDAT 1\n\n",
		"220 …\n250 …\n501 …\n501 …\n501 …\n555 …\n552 …\n501 …\n250 …\n501 …\n555 …\n250 …\n252 …\n500 …\n500 …\n500 …", ""},
	{"lmtp", "an answer for each", "HELO me\nEHLO me\nLHLO me\nMAIL FROM:<a@x>\nRCPT TO:<b@y>\nRCPT TO:<c@y>\nDATA\n\nx\n.\nDATA\nQUIT\n",
		"220 try.test LMTP…\n500 …\n500 …\n" + ehlo + "250 …\n250 …\n250 …\n354 …\n250 2.0.0 Taken…\n250 2.0.0 Taken…\n503 …\n221 …",
		"message from <a@x> to <b@y> and others, 5 bytes, subject (none)\n"},
}

var pop3Talks = []talk{
	{"pop3", "the obvious", "CAPA\nUSER joe\nPASS secret\nSTAT\nLIST\nLIST 1\nUIDL\nTOP 1 0\nDELE 1\nSTAT\nLIST\nRETR 1\nRSET\nNOOP\nSTLS\nQUIT\n",
		"+OK try.test starttls try-out server <1.1@starttls.test>\n+OK CAPA\nUIDL\nUSER\nSASL PLAIN\nTOP\nPIPELINING\nRESP-CODES\nIMPLEMENTATION starttls\n.\n" +
			"+OK And…\n+OK Welcome\n+OK 1 412\n+OK One…\n1 412\n.\n+OK 1 412\n+OK One…\n1 welcome\n.\n+OK Here…\n" + strings.ReplaceAll(welcomeHead, "\r\n", "\n") + ".\n" +
			"+OK Deleted…\n+OK 0 0\n+OK Nothing\n.\n-ERR …\n+OK\n+OK\n-ERR …\n+OK Bye", "joe logged in\n"},
	{"pop3", "logins", "AUTH\nPASS x\nUSER joe\nNOOP\nPASS x\nAUTH PLAIN\nAGpvZQBzZWNyZXQ=\nAPOP x y\n",
		"+OK …\n+OK Mechanisms\nPLAIN\n.\n-ERR …\n+OK …\n-ERR …\n-ERR …\n+ \n+OK Welcome\n-ERR …", "joe logged in\n"},
	{"pop3", "login at once", "AUTH PLAIN AGpvZQBzZWNyZXQ=\nUIDL 1\nLIST 2\nTOP 1\nTOP 1 -1\n",
		"+OK …\n+OK Welcome\n+OK 1 welcome\n-ERR …\n-ERR …\n-ERR …", "joe logged in\n"},
	{"pop3", "digest", "APOP joe\nAPOP joe 0123\nQUIT\n", "+OK …\n-ERR …\n+OK …\n+OK Bye", "joe logged in\n"},
}

// Only CRLF, dot, CRLF ends a message: with anything less, one message could hide another.
func TestOnlyTheStrictDotEndsAMessage(t *testing.T) {
	for _, dot := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r\n", "\r.\r", "\r\n.\r.\r\n", "\r\n.\r\r\n"} {
		s, _ := newServer(t, "smtp")
		smuggled := "MAIL FROM:<evil@x>\r\n"
		heard := converse(t, s, "HELO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nx"+dot+smuggled+"\r\n.\r\nQUIT\r\n")
		kept := s.Messages()
		if len(kept) != 1 || !strings.Contains(string(kept[0].Data), smuggled) || strings.Count(heard, "\r\n") != 7 {
			t.Errorf("%q: %d messages, heard %q", dot, len(kept), heard)
		}
	}
}

func TestMessagesAreKeptAsSent(t *testing.T) {
	long := strings.Repeat("x", lineLimit-1) // then CR and LF fall into two pieces
	for said, want := range map[string]string{
		"":                         "",
		"..\r\n":                   ".\r\n",
		".x\r\n":                   "x\r\n",
		"a\n..b\r\n":               "a\n..b\r\n",
		long + "\r\n..y\r\n":       long + "\r\n.y\r\n",
		long + "yyy\r\n":           long + "yyy\r\n",
		"S: a\r\n\r\n\x00\xff\r\n": "S: a\r\n\r\n\x00\xff\r\n",
	} {
		s, _ := newServer(t, "smtp")
		converse(t, s, "HELO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n"+said+".\r\nQUIT\r\n")
		if kept := s.Messages(); len(kept) != 1 || string(kept[0].Data) != want {
			t.Errorf("%.20q: kept %.60q", said, kept)
		}
	}
}

func TestOnlyTheLastMessagesAreKept(t *testing.T) {
	s, _ := newServer(t, "smtp")
	for i := range 150 {
		s.keep(Message{From: fmt.Sprint(i), To: []string{"x"}})
	}
	if kept := s.Messages(); len(kept) != keptMessages || kept[0].From != "50" || kept[99].From != "149" {
		t.Errorf("%d kept, the first is %s", len(kept), kept[0].From)
	}
	for range 5 {
		s.keep(Message{From: "large", To: []string{"x"}, Data: make([]byte, 20<<20)})
	}
	if kept := s.Messages(); len(kept) != 3 || s.box.size != 60<<20 {
		t.Errorf("%d kept of %d bytes", len(kept), s.box.size)
	}
}

func TestTooLargeMessagesAreRefused(t *testing.T) {
	s, _ := newServer(t, "smtp")
	begin := "HELO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n"
	large := strings.Repeat(strings.Repeat("x", 8190)+"\r\n", messageLimit/8192)
	if heard := converse(t, s, begin+large+".\r\nQUIT\r\n"); !strings.Contains(heard, "\r\n250 2.0.0 Taken") {
		t.Errorf("25 MiB: %q", heard)
	}
	if heard := converse(t, s, begin+large+"x\r\n.\r\nQUIT\r\n"); !strings.Contains(heard, "\r\n552 5.3.4") || !strings.Contains(heard, "\r\n221") {
		t.Errorf("more: %q", heard)
	}
	if heard := converse(t, s, begin+large+large+large); !strings.HasSuffix(heard, "\r\n354 Go on, and end with a lone dot\r\n") {
		t.Errorf("without end: %q", heard)
	}
	if n := len(s.Messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestRecipientsAreBounded(t *testing.T) {
	s, _ := newServer(t, "smtp")
	heard := converse(t, s, "HELO me\r\nMAIL FROM:<a@x>\r\n"+strings.Repeat("RCPT TO:<b@y>\r\n", smtpRecipients+1))
	if strings.Count(heard, "250 2.1.5") != smtpRecipients || strings.Count(heard, "452 4.5.3") != 1 {
		t.Errorf("%q", heard)
	}
}

const imapGreeting = "* OK [" + imapCaps + "] try.test starttls try-out server\n"

var imapTalks = []talk{
	{"imap", "the obvious", "a CAPABILITY\nb LOGIN joe secret\nc LIST \"\" *\nd SELECT INBOX\ne UID FETCH 1 (FLAGS RFC822.SIZE)\nf LOGOUT\n",
		imapGreeting + "* " + imapCaps + "\na OK Done\nb OK [CAPABILITY…\n* LIST (\\HasNoChildren) \"/\" INBOX\nc OK Done\n" +
			"* FLAGS (\\Seen)\n* 1 EXISTS\n* 0 RECENT\n* OK [UNSEEN 1]…\n* OK [UIDVALIDITY 1]…\n* OK [UIDNEXT 2]…\n* OK [PERMANENTFLAGS ()]…\nd OK [READ-ONLY] Selected\n" +
			"* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 412)\ne OK Done\n* BYE Bye\nf OK Done",
		"joe logged in\n"},
	{"imap", "literals", "a LOGIN {3}\njoe {6+}\nsecret\nb LOGIN x y\n",
		imapGreeting + "+ Go on\na OK …\nb BAD Not again", "joe logged in\n"},
	{"imap", "strange names", "a LOGIN \"j \\\"(o\\\\e\" \"\"\n", imapGreeting + "a OK …", "j \"(o\\e logged in\n"},
	{"imap", "sasl at once", "a AUTHENTICATE PLAIN AGpvZQBzZWNyZXQ=\n", imapGreeting + "a OK …", "joe logged in\n"},
	{"imap", "sasl in steps", "a AUTHENTICATE X\na AUTHENTICATE PLAIN\n*\nb AUTHENTICATE PLAIN\nAGpvZQBzZWNyZXQ=\n",
		imapGreeting + "a NO …\n+ \na BAD …\n+ \nb OK …", "joe logged in\n"},
	{"imap", "out of order", "a LIST \"\" *\nb SELECT INBOX\nc FETCH 1 FLAGS\nd LOGIN joe\ne XYZZY\nf\n\ng \"x\nh ID NIL\n",
		imapGreeting + "a BAD Not now\nb BAD Not now\nc BAD Not now\nd BAD Not understood\ne BAD Command not known\n* BAD …\n* BAD …\n* BAD …\n* ID (\"name\" \"starttls\")\nh OK Done", ""},
	{"imap", "boxes", "a LOGIN joe x\nb LIST \"\" \"\"\nc LIST \"\" in%\nd LIST \"\" Sent\ne STATUS inbox (MESSAGES UNSEEN)\nf STATUS Sent (MESSAGES)\ng STATUS INBOX (X)\nh SELECT Sent\ni IDLE\nDONE\nj IDLE\nx\n",
		imapGreeting + "a OK …\n* LIST (\\Noselect) \"/\" \"\"\nb OK Done\n* LIST (\\HasNoChildren) \"/\" INBOX\nc OK Done\nd OK Done\n" +
			"* STATUS INBOX (MESSAGES 1 UNSEEN 1)\ne OK Done\nf NO …\ng BAD …\nh NO …\n+ Idling\ni OK Done\n+ Idling\nj BAD …", "joe logged in\n"},
	{"imap", "search", "a LOGIN joe x\nb EXAMINE INBOX\nc SEARCH ALL\nd UID SEARCH UID 2:*\ne SEARCH 2\nf SEARCH UNSEEN\ng CLOSE\nh SEARCH ALL\n",
		imapGreeting + "a OK …\n* FLAGS…\n* 1…\n* 0…\n* OK…\n* OK…\n* OK…\n* OK…\nb OK …\n* SEARCH 1\nc OK Done\n* SEARCH 1\nd OK Done\n* SEARCH\ne OK Done\nf NO …\ng OK Done\nh BAD Not now", "joe logged in\n"},
	{"imap", "fetch", "a LOGIN joe x\nb SELECT INBOX\nc FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (from SUBJECT)])\nd FETCH 2 FLAGS\ne FETCH x FLAGS\nf FETCH 1 X\ng FETCH 1 (BODY[TEXT] FLAGS)\n",
		imapGreeting + "a OK …\n* FLAGS…\n* 1…\n* 0…\n* OK…\n* OK…\n* OK…\n* OK…\nb OK …\n" +
			"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (FROM SUBJECT)] {59}\nFrom: starttls <welcome@example.test>\nSubject: Welcome\n\n)\nc OK Done\n" +
			"d OK Done\ne BAD …\nf BAD …\n* 1 FETCH (BODY[TEXT] {…\n" + strings.ReplaceAll(welcomeBody, "\r\n", "\n") + " FLAGS ())\ng OK Done", "joe logged in\n"},
}
