//go:build linux

package main

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// serverName is what the gateways' certificate is for.
const serverName = "soak.test"

// scripts are what is said inside TLS, by dialect. The servers behind are those of internal/tryout.
var scripts = map[string]script{
	"smtp": mailScript("EHLO"),
	"lmtp": mailScript("LHLO"),
	"imap": {
		open:  lines("a LOGIN joe secret\n", "a OK …\n", "b SELECT INBOX\n", "* …\nb OK …\n"),
		round: lines(mark+" FETCH 1 (FLAGS BODY.PEEK[HEADER] BODY.PEEK[TEXT])\n", "* 1 FETCH …\n"+mark+" OK …\n"),
		bye:   lines("z LOGOUT\n", "* BYE …\nz OK …\n"),
	},
	"pop3": {
		open:  lines("USER joe\n", "+OK…\n", "PASS secret\n", "+OK…\n"),
		round: lines("RETR 1\n", "+OK…\n.\n", "XYZZY\n", "-ERR…\n", "STAT\n", "+OK 1 …\n"),
		bye:   lines("QUIT\n", "+OK…\n"),
	},
	"sieve": {
		open:  lines("", "\"IMPLEMENTATION\"…\nOK…\n", "AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\"\n", "OK…\n"),
		round: lines("PUTSCRIPT \"a\" \"keep; # "+mark+"\"\n", "OK…\n", "GETSCRIPT \"a\"\n", "{16}\nkeep; # "+mark+"\nOK…\n"),
		bye:   lines("LOGOUT\n", "OK…\n"),
	},
	"nntp": {
		open:  lines("GROUP starttls.try-out\n", "211 …\n"),
		round: lines("ARTICLE 1\n", "220 …\n.\n"),
		bye:   lines("QUIT\n", "205 …\n"),
	},
	"ftp": {
		open:  lines("USER joe\n", "331 …\n", "PASS secret\n", "230 …\n", "PBSZ 0\n", "200 …\n", "PROT P\n", "200 …\n", "TYPE I\n", "200 …\n"),
		round: lines("SIZE welcome.txt\n", "213 …\n"),
		bye:   lines("QUIT\n", "221 …\n"),
		fetch: fetchFile,
	},
	"irc": {
		open:  lines("NICK soak\nUSER soak 0 * :soak\n", ":…\n:…\n:…\n:…\n:…\n:… 422 …\n"),
		round: lines("PRIVMSG soak :"+mark+"\n", ":soak!soak@try-out PRIVMSG soak :"+mark+"\n"),
		bye:   lines("QUIT :bye\n", "ERROR :…\n"),
	},
	"xmpp": {
		open: lines(xmppOpen("client"), "<?xml …</stream:features>",
			"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGpvZQBzZWNyZXQ=</auth>", "<success …/>",
			xmppOpen("client"), "<?xml …</stream:features>",
			"<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>", "<iq …</iq>"),
		round: lines("<message to='x@y' type='chat'><body>"+mark+"</body></message>", "<message …<body>"+mark+"</body></message>"),
		bye:   lines("</stream:stream>", "</stream:stream>"),
	},
	"xmpp-server": {
		open: lines(xmppOpen("server"), "<?xml …</stream:features>"),
		bye:  lines("</stream:stream>", "</stream:stream>"),
	},
	"telnet": {
		open:  lines("", "…login: ", "joe\n", "Welcome.\n> "),
		round: lines(mark+"\n", "starttls try-out: "+mark+"\n> "),
		bye:   lines("logout\n", "Bye.\n"),
	},
	"nats": {
		open:  lines("CONNECT {\"verbose\":false}\nSUB soak 1\nPING\n", "PONG\n"),
		round: lines("PUB soak 8\n"+mark+"\n", "MSG soak 1 8\n"+mark+"\n"),
	},
	"nut": {
		open:  bare("USERNAME joe\n", "OK\n", "PASSWORD secret\n", "OK\n", "LOGIN dummy\n", "OK\n"),
		round: bare("LIST VAR dummy\n", "BEGIN LIST VAR dummy\n…END LIST VAR dummy\n", "GET VAR dummy "+mark+"\n", "ERR VAR-NOT-SUPPORTED\n"),
		bye:   bare("LOGOUT\n", "OK Goodbye\n"),
	},
	"http": {
		round: []step{{say: "POST /" + mark + " HTTP/1.1\r\nHost: " + serverName + "\r\nContent-Length: 8\r\n\r\n" + mark,
			hear: "HTTP/1.1 200 OK\r\n…Content-Length: 140\r\n\r\n", more: 140}},
		bye: lines("HEAD / HTTP/1.1\nHost: "+serverName+"\nConnection: close\n\n", "HTTP/1.1 200 OK\n…\n\n"),
	},
	"acap": {
		open:  lines("", "* ACAP …\n", "a AUTHENTICATE \"PLAIN\"\n", "+ …\n", "{11+}\n\x00joe\x00secret\n", "a OK …\n"),
		round: lines(mark+" NOOP\n", mark+" OK …\n"),
		bye:   lines("z LOGOUT\n", "* BYE …\nz OK …\n"),
	},
	"mtqp": {
		open:  lines("", "+OK/MTQP …\n"),
		round: lines("TRACK "+mark+" b\n", "-ERR …\n", "COMMENT "+mark+"\n", "+OK\n"),
		bye:   lines("QUIT\n", "+OK…\n"),
	},
	"ldap": ldapScript, "postgres": postgresScript, "mysql": mysqlScript, "nbd": nbdScript, "amqp": amqpScript, "tds": tdsScript,
	"vnc": vncScript, "rdp": rdpScript,
}

// bare are lines that end in LF alone.
func bare(words ...string) []step { return inTurn(func(text string) string { return text }, words) }

// mailScript is SMTP with its hello, or LMTP with its own.
func mailScript(hello string) script {
	return script{
		open: lines(hello+" client.test\n", "250-…\n250 …\n"),
		round: lines("MAIL FROM:<a@client.test>\n", "250 …\n", "RCPT TO:<b@soak.test>\n", "250 …\n", "DATA\n", "354 …\n",
			"Subject: "+mark+"\n\n"+mark+"\n.\n", "250 2.0.0 Taken, …\n"),
		bye: lines("QUIT\n", "221 …\n"),
	}
}

func xmppOpen(kind string) string {
	return "<?xml version='1.0'?><stream:stream to='" + serverName + "' from='client.test' xmlns='jabber:" + kind +
		"' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
}

// fetchFile gets a file over a data connection with TLS of its own.
func fetchFile(t *talk) (text string, err error) {
	where, err := t.ask(step{say: "EPSV\r\n", hear: "229 …\r\n"})
	if err != nil {
		return "", err
	}
	_, port, _ := strings.Cut(where, "(|||")
	port, _, _ = strings.Cut(port, "|")
	host, _, _ := net.SplitHostPort(t.RemoteAddr().String())
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), patience)
	if err != nil {
		return "", fmt.Errorf("data connection: %w", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := t.ask(step{say: "RETR welcome.txt\r\n", hear: "150 …\r\n"}); err != nil {
		return "", err
	}
	data, err := io.ReadAll(tls.Client(conn, t.config))
	_, end := t.ask(step{hear: "226 …\r\n"})
	if err := cmp.Or(err, end); err != nil {
		return "", fmt.Errorf("data, after %d bytes: %w", len(data), err)
	}
	return string(data), nil
}
