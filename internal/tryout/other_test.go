package tryout

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const (
	sieveHello = "\"IMPLEMENTATION\" \"starttls try-out\"\n\"SIEVE\" \"fileinto\"\n\"SASL\" \"PLAIN\"\n\"VERSION\" \"1.0\"\nOK \"try.test starttls try-out server\"\n"
	ircWelcome = ":try.test 001 joe :Welcome, joe\n:try.test 002 …\n:try.test 003 …\n:try.test 004 …\n:try.test 005 …\n:try.test 422 …\n"
	natsHello  = "INFO {\"server_id\":\"TRYOUT\",\"server_name\":\"try.test\",…\n"
	acapHello  = "* ACAP (IMPLEMENTATION \"starttls try-out\") (SASL \"PLAIN\")\n"
	joePlain   = "AGpvZQBzZWNyZXQ="
)

var otherTalks = []talk{
	{"sieve", "the obvious", "LISTSCRIPTS\nAUTHENTICATE \"PLAIN\" \"" + joePlain + "\"\nPUTSCRIPT \"a\" {5+}\nkeep;\nPUTSCRIPT \"b\\\"\" \"\"\nSETACTIVE \"a\"\nLISTSCRIPTS\nGETSCRIPT \"a\"\nDELETESCRIPT \"a\"\nRENAMESCRIPT \"a\" \"c\"\nSETACTIVE \"\"\nDELETESCRIPT \"c\"\nLISTSCRIPTS\nLOGOUT\n",
		sieveHello + "NO \"Log in first\"\nOK \"Welcome\"\nOK \"Done\"\nOK \"Done\"\nOK \"Done\"\n\"a\" ACTIVE\n\"b\\\"\"\nOK \"Done\"\n{5}\nkeep;\nOK \"Done\"\n" +
			"NO (ACTIVE)…\nOK \"Done\"\nOK \"Done\"\nOK \"Done\"\n\"b\\\"\"\nOK \"Done\"\nOK \"Bye\"", "joe logged in\n"},
	{"sieve", "login in steps", "AUTHENTICATE \"PLAIN\"\n\"*\"\nAUTHENTICATE \"PLAIN\"\n{16+}\n" + joePlain + "\nAUTHENTICATE \"PLAIN\"\nCAPABILITY\nNOOP \"x\"\nXYZZY\n\nGETSCRIPT\nGETSCRIPT \"x\"\nHAVESPACE \"x\" 9\n",
		sieveHello + "\"\"\nNO …\n\"\"\nOK \"Welcome\"\nNO \"Not now\"\n" + sieveHello + "OK (TAG {1}\nx) \"Done\"\nNO \"Command not known\"\nNO …\nNO …\nNO (NONEXISTENT)…\nOK \"Done\"", "joe logged in\n"},
	{"nntp", "the obvious", "CAPABILITIES\nMODE READER\nAUTHINFO USER joe\nAUTHINFO PASS secret\nLIST\nGROUP starttls.try-out\nSTAT\nHEAD 1\nBODY <welcome@example.test>\nLISTGROUP\nQUIT\n",
		"200 …\n101 …\nVERSION 2\nREADER\nLIST ACTIVE NEWSGROUPS\nIMPLEMENTATION starttls try-out\nAUTHINFO USER\n.\n200 …\n381 …\n281 …\n215 …\nstarttls.try-out 1 1 n\n.\n211 1 1 1 starttls.try-out\n223 1 <welcome@example.test>\n" +
			"221 …\n" + strings.ReplaceAll(strings.TrimSuffix(nntpHead, "\r\n"), "\r\n", "\n") + ".\n222 0 <…\n" + strings.ReplaceAll(welcomeBody, "\r\n", "\n") + ".\n211 …\n1\n.\n205 Bye", "joe logged in\n"},
	{"nntp", "out of order", "ARTICLE\nLISTGROUP\nNEXT\nAUTHINFO PASS x\nAUTHINFO X\nGROUP\nGROUP x\nGROUP starttls.try-out\nARTICLE 2\nARTICLE <x>\nNEXT\nLAST\nLISTGROUP starttls.try-out 2-\nLISTGROUP starttls.try-out 1-\nPOST\nLIST x\nMODE x\nXYZZY\n",
		"200 …\n412 …\n412 …\n412 …\n482 …\n501 …\n501 …\n411 …\n211 …\n423 …\n430 …\n421 …\n422 …\n211 …\n.\n211 …\n1\n.\n440 …\n503 …\n501 …\n500 …", ""},
	{"ftp", "the obvious", "PWD\nUSER joe\nPASS secret\nSYST\nFEAT\nPWD\nCWD /\nCWD x\nTYPE I\nTYPE E\nMODE S\nSIZE welcome.txt\nRETR x\nRETR welcome.txt\nPASV\nEPSV\nEPSV ALL\nSTOR x\nPORT 1,2,3,4,5,6\nPASS x\nPROT P\nQUIT\n",
		"220 …\n530 …\n331 …\n230 …\n215 …\n211-…\n EPSV\n SIZE\n UTF8\n211 End\n257 \"/\"\n250 …\n550 …\n200 …\n504 …\n200 …\n213 187\n550 …\n425 …\n227 Entering Passive Mode (127,0,0,1,…\n229 …\n200 …\n553 …\n502 …\n503 …\n502 …\n221 Bye", "joe logged in\n"},
	{"irc", "the obvious", "CAP LS 302\nNICK joe\nUSER joe 0 * :Joe\nCAP REQ :sasl\nCAP END\nPING :x y\nJOIN #a,b\nPRIVMSG #a :hello you\nPRIVMSG joe hello\nMODE #a\nMODE joe\nPART #a\nNICK ann\nQUIT :bye\n",
		":try.test CAP * LS :\n:try.test CAP joe NAK :sasl\n" + ircWelcome + ":try.test PONG try.test :x y\n:joe!joe@try-out JOIN #a\n:try.test 353 joe = #a :joe\n:try.test 366 joe #a …\n:try.test 403 joe b …\n" +
			":joe!joe@try-out PRIVMSG #a :hello you\n:joe!joe@try-out PRIVMSG joe :hello\n:try.test 324 joe #a +\n:try.test 221 joe +\n:joe!joe@try-out PART #a\n:joe!joe@try-out NICK :ann\nERROR :Bye", "joe logged in\n"},
	{"irc", "out of order", "JOIN #a\nSTARTTLS\nNICK\nNICK a!b\n\n:x @y PONG z\n@t :p PASS x\nUSER joe 0 * :x\nNICK joe\nUSER x\nJOIN\nPRIVMSG joe\nCAP X\n",
		":try.test 451 * …\n:try.test 421 * STARTTLS …\n:try.test 461 * NICK …\n:try.test 432 …\n" + ircWelcome + ":try.test 462 …\n:try.test 461 …\n:try.test 461 …\n:try.test 410 …", "joe logged in\n"},
	{"telnet", "the obvious", "\xff\xfb\x1f\xff\xfa\x1f\x00\xff\xff\xf0\xff\xf0\xff\xfd\x01\xff\xfe\x01\xff\xf1\njoe\r\x00hel\xff\xff\xf1lo\nlogout\n",
		"try.test starttls try-out server: any name, and \"logout\" to leave\nlogin: \xff\xfe\x1f\xff\xfc\x01login: Welcome.\n> starttls try-out: hel?lo\n> Bye.", "joe logged in\n"},
	{"nats", "the obvious", "CONNECT {\"verbose\":true,\"user\":\"joe\"}\nPING\nSUB a.* 1\nSUB a.> q 2\nUNSUB 2 1\nPUB a.b r 2\nhi\nPUB a.b 0\n\nPUB a 1\nx\nUNSUB 1\nPUB a.b 1\nx\nPONG\nFOO\n",
		natsHello + "+OK\nPONG\n+OK\n+OK\n+OK\n+OK\nMSG a.b 1 r 2\nhi\nMSG a.b 2 r 2\nhi\n+OK\nMSG a.b 1 0\n\n+OK\n+OK\n+OK\n-ERR 'Unknown Protocol Operation'", "joe logged in\n"},
	{"nats", "a large one", "PUB a 1048577\n", natsHello + "-ERR 'Maximum Payload Violation'", ""},
	{"nats", "a wrong size", "CONNECT {}\nPUB a 1\nxx\n", natsHello + "+OK\n-ERR 'Unknown Protocol Operation'", ""},
	{"nats", "quiet", "CONNECT {\"verbose\":false}\nSUB a 1\nPUB a 1\nx\nCONNECT x\n", natsHello + "MSG a 1 1\nx\n-ERR 'Parser Error'", ""},
	{"nut", "the obvious", "VER\nNETVER\nUSERNAME joe\nPASSWORD \"se cret\"\nUSERNAME joe\nLOGIN x\nLOGIN dummy\nLIST UPS\nGET VAR dummy ups.status\nGET VAR dummy x\nGET VAR x y\nLIST VAR x\nLIST CMD dummy\nSTARTTLS\n\nLOGOUT\n",
		"starttls try-out server\n1.3\nOK\nOK\nERR ALREADY-SET-USERNAME\nERR UNKNOWN-UPS\nOK\nBEGIN LIST UPS\nUPS dummy \"The try-out server of starttls\"\nEND LIST UPS\nVAR dummy ups.status \"OL\"\nERR VAR-NOT-SUPPORTED\nERR UNKNOWN-UPS\nERR UNKNOWN-UPS\nBEGIN LIST CMD dummy\nEND LIST CMD dummy\nERR UNKNOWN-COMMAND\nERR INVALID-ARGUMENT\nOK Goodbye", "joe logged in\n"},
	{"nut", "out of order", "LOGIN dummy\nUSERNAME\nUSERNAME joe\nLOGIN dummy\nLIST VAR dummy\nGET\n",
		"ERR USERNAME-REQUIRED\nERR INVALID-ARGUMENT\nOK\nERR PASSWORD-REQUIRED\nBEGIN LIST VAR dummy\nVAR dummy battery.charge \"100\"\nVAR dummy device.model…\nVAR dummy device.type…\nVAR dummy ups.status \"OL\"\nEND LIST VAR dummy\nERR INVALID-ARGUMENT", ""},
	{"http", "one after the other", "OPTIONS * HTTP/1.1\nHost: x\n\nPOST /x HTTP/1.1\nHost: x\nContent-Length: 5\nExpect: 100-continue\n\nabcdeHEAD / HTTP/1.1\nConnection: close\n\n",
		"HTTP/1.1 200 OK\nContent-Type: …\nContent-Length: 0\n\nHTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Type: …\nContent-Length: 140\n\n" + strings.TrimSuffix(httpText, "\n") + "\nHTTP/1.1 200 OK\nContent-Type: …\nContent-Length: 140\nConnection: close\n", ""},
	{"http", "chunks", "POST /x HTTP/1.1\nTransfer-Encoding: chunked\n\n0\n\n", "HTTP/1.1 400 …\nConnection: close\nContent-Length: 0\n", ""},
	{"http", "two lengths", "POST /x HTTP/1.1\nContent-Length: 1\nContent-Length: 2\n\n", "HTTP/1.1 400 …\nConnection: close\nContent-Length: 0\n", ""},
	{"http", "no request", "HELO\n", "HTTP/1.1 400 …\nConnection: close\nContent-Length: 0\n", ""},
	{"acap", "the obvious", "a NOOP\nb AUTHENTICATE \"X\"\nc AUTHENTICATE \"PLAIN\"\n\"*\"\nd AUTHENTICATE PLAIN {11}\n\x00joe\x00secret\ne AUTHENTICATE PLAIN\nf LANG en\ng SEARCH x\nh\ni LOGOUT\n",
		acapHello + "a OK \"Done\"\nb NO …\n+ \"\"\nc NO …\n+ \"Go on\"\nd OK \"Welcome\"\ne BAD …\nf NO …\ng BAD \"Command not known\"\n* BAD …\n* BYE \"Bye\"\ni OK \"Done\"", "joe logged in\n"},
	{"mtqp", "the obvious", "TRACK a b\nTRACK a\nCOMMENT x\nXYZZY\nQUIT\n", "+OK/MTQP try.test starttls try-out server\n-ERR No such message\n-BAD …\n+OK\n-BAD …\n+OK Bye", ""},
}

// lines is what was heard, as lines that end in CRLF. In HTTP the last text ends in a bare LF, or the head
// in an empty line; in NUT all lines end in LF.
func (k talk) lines(heard string) string {
	if k.server == "http" || k.server == "nut" {
		return strings.TrimRight(strings.ReplaceAll(strings.ReplaceAll(heard, "\r\n", "\n"), "\n", "\r\n"), "\r\n")
	}
	return heard
}

const (
	xmppOpen  = "<?xml version='1.0'?><stream:stream to='a.test' xmlns='jabber:client' xmlns:stream='" + xmppStreams + "' version='1.0'>"
	xmppHello = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='" + xmppStreams + "' id='ID' from='a.test' version='1.0'><stream:features>"
	xmppMechs = "<mechanisms xmlns='" + xmppSASL + "'><mechanism>PLAIN</mechanism></mechanisms></stream:features>"
	xmppIn    = xmppHello + xmppMechs + "<success xmlns='" + xmppSASL + "'/>" + xmppHello + "<bind xmlns='" + xmppBind + "'/><session xmlns='" + xmppSession + "'><optional/></session></stream:features>"
	xmppAuth  = "<auth xmlns='" + xmppSASL + "' mechanism='PLAIN'>" + joePlain + "</auth>"
	xmppEnd   = "</stream:stream>"
)

func xmppFails(why string) string {
	return "<stream:error><" + why + " xmlns='" + xmppErrors + "'/></stream:error>" + xmppEnd
}

func TestXMPP(t *testing.T) {
	for _, c := range []struct{ name, server, say, hear string }{
		{"the obvious", "xmpp", xmppOpen + xmppAuth + xmppOpen + "<iq type='set' id='1'><bind xmlns='" + xmppBind + "'><resource>r&lt;</resource></bind></iq> <iq type='set' id='2'><session xmlns='" + xmppSession + "'/></iq>" +
			"<presence/><iq type='get' id='3'><query xmlns='jabber:iq:roster'/></iq><message to='x@y' type='chat'><body>h&amp;i</body></message><iq type='get' id='4'><x/></iq>" + xmppEnd,
			xmppIn + "<iq type='result' id='1' to='joe@a.test/r&lt;'><bind xmlns='" + xmppBind + "'><jid>joe@a.test/r&lt;</jid></bind></iq><iq type='result' id='2' to='joe@a.test/r&lt;'></iq>" +
				"<iq type='result' id='3' to='joe@a.test/r&lt;'><query xmlns='jabber:iq:roster'/></iq><message type='chat' from='joe@a.test/r&lt;' to='joe@a.test/r&lt;'><body>h&amp;i</body></message>" +
				"<iq type='error' id='4' to='joe@a.test/r&lt;'><error type='cancel'><service-unavailable xmlns='" + xmppStanzas + "'/></error></iq>" + xmppEnd},
		{"login in steps", "xmpp", xmppOpen + "<auth xmlns='" + xmppSASL + "' mechanism='X'/><auth xmlns='" + xmppSASL + "' mechanism='PLAIN'/><response xmlns='" + xmppSASL + "'>x</response>" + xmppEnd,
			xmppHello + xmppMechs + "<failure xmlns='" + xmppSASL + "'><invalid-mechanism/></failure><challenge xmlns='" + xmppSASL + "'/><failure xmlns='" + xmppSASL + "'><malformed-request/></failure>" + xmppEnd},
		{"starttls is not known", "xmpp", xmppOpen + "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", xmppHello + xmppMechs + xmppFails("not-authorized")},
		{"a stanza too early", "xmpp", xmppOpen + "<message/>", xmppHello + xmppMechs + xmppFails("not-authorized")},
		{"no XML", "xmpp", xmppOpen + "<a></b>", xmppHello + xmppMechs + xmppFails("not-well-formed")},
		{"a comment", "xmpp", xmppOpen + "<!-- -->", xmppHello + xmppMechs + xmppFails("restricted-xml")},
		{"too long", "xmpp", xmppOpen + strings.Repeat("<a>", xmppLimit/2), xmppHello + xmppMechs + xmppFails("policy-violation")},
		{"between servers", "xmpp-server", strings.ReplaceAll(xmppOpen, "client", "server") + xmppEnd, strings.ReplaceAll(xmppHello, "client", "server") + "</stream:features>" + xmppEnd},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := newServer(t, c.server)
			heard := converse(t, s, c.say)
			for part := range strings.SplitSeq(heard, " id='") { // what nobody can guess
				if id, _, _ := strings.Cut(part, "'"); len(id) == 26 {
					heard = strings.ReplaceAll(heard, id, "ID")
				}
			}
			if heard != c.hear {
				t.Errorf("heard:\n%s\nwant:\n%s", heard, c.hear)
			}
		})
	}
}

// Through the pipe, data comes from the address that the pipe has: so a gateway finds it.
func TestFTPDataOverDial(t *testing.T) {
	s, _ := newServer(t, "ftp")
	conn, err := s.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	c := newSession(s, conn) // reads lines
	hear := func() string {
		line, err := c.line()
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	hear()
	for _, said := range []string{"USER joe", "PASS x", "EPSV"} {
		c.say("%s", said)
		if line := hear(); said == "EPSV" {
			_, port, _ := strings.Cut(line, "(|||")
			host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			data, err := net.Dial("tcp", net.JoinHostPort(host, strings.TrimSuffix(port, "|)")))
			if err != nil {
				t.Fatal(err)
			}
			c.say("RETR welcome.txt")
			if line := hear(); !strings.HasPrefix(line, "150 ") {
				t.Error(line)
			}
			if text, err := io.ReadAll(data); string(text) != welcomeBody || err != nil {
				t.Errorf("%q, %v", text, err)
			}
			data.Close()
		}
	}
	if line := hear(); !strings.HasPrefix(line, "226 ") {
		t.Error(line)
	}
}
