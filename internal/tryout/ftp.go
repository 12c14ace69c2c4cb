package tryout

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// ftp has one file to read for everybody (RFC 959, RFC 2428). It waits for data on 127.0.0.1, wherever
// control came from: an address that the pipe of Dial has as well, so that a gateway finds it. It
// connects to nobody (no PORT).
var ftp = protocol{"ftp", func(s *session) error {
	c := &ftpConn{session: s}
	defer c.forget()
	return c.serve()
}, "500 Line too long"}

const (
	ftpFile = "welcome.txt"
	ftpLine = "-r--r--r-- 1 ftp ftp %d Jan 01  2026 " + ftpFile + "\r\n"
	ftpWait = 5 * time.Second // for a data connection that was agreed on, and for the client to read
)

type ftpConn struct {
	*session
	user    string
	authed  bool
	waiting *net.TCPListener
}

func (c *ftpConn) serve() error {
	c.say("220 %s starttls try-out server", c.name())
	for {
		verb, arg, err := c.command()
		if err != nil {
			return err
		}
		if verb == "QUIT" {
			c.say("221 Bye")
			return nil
		}
		c.say("%s", c.answer(verb, arg))
	}
}

// ftpSays are the commands that have one answer, whatever was said before.
var ftpSays = map[string]string{
	"SYST": "215 UNIX Type: L8",
	"FEAT": "211-Features\r\n EPSV\r\n SIZE\r\n UTF8\r\n211 End",
	"NOOP": "200 Done",
	"OPTS": "200 UTF-8 always",
}

// ftpAuthed are those that need a login.
var ftpAuthed = map[string]string{
	"PWD": `257 "/"`, "XPWD": `257 "/"`, "CDUP": "250 Here", "ABOR": "226 Nothing is under way",
	"STOR": "553 Nothing is taken", "STOU": "553 Nothing is taken", "APPE": "553 Nothing is taken",
	"DELE": "550 Nothing can be changed", "MKD": "550 Nothing can be changed", "RMD": "550 Nothing can be changed",
	"RNFR": "550 Nothing can be changed", "PORT": "502 Say PASV", "EPRT": "502 Say EPSV",
}

// answer returns the reply to a command, without the last CRLF.
func (c *ftpConn) answer(verb, arg string) string {
	switch {
	case verb == "USER" && arg != "":
		c.user, c.authed = arg, false
		return "331 And the password?"
	case verb == "PASS" && c.user != "" && !c.authed:
		c.authed = true
		c.tell("%s logged in", c.user)
		return "230 Welcome"
	case verb == "USER" || verb == "PASS":
		return "503 Say USER name first"
	case ftpSays[verb] != "":
		return ftpSays[verb]
	case ftpAuthed[verb] != "" && c.authed:
		return ftpAuthed[verb]
	}
	do, known := map[string]func(string) string{
		"TYPE": ftpWord("A", "A N", "I", "L 8"), "MODE": ftpWord("S"), "STRU": ftpWord("F"), "CWD": c.cwd,
		"PASV": c.pasv, "EPSV": c.epsv, "LIST": c.list, "NLST": c.names, "RETR": c.retr, "SIZE": c.size,
	}[verb]
	switch {
	case !known && ftpAuthed[verb] == "":
		return "502 Command not known"
	case !c.authed:
		return "530 Log in first"
	}
	return do(arg)
}

// ftpWord takes one of some words.
func ftpWord(known ...string) func(string) string {
	return func(arg string) string {
		for _, word := range known {
			if strings.EqualFold(arg, word) {
				return "200 Done"
			}
		}
		return "504 Not known"
	}
}

func (c *ftpConn) cwd(arg string) string {
	if strings.Trim(arg, "/.") != "" {
		return "550 No such folder"
	}
	return "250 Here"
}

// wait begins to wait for a data connection, in place of what was waited for before.
func (c *ftpConn) wait() (port int, ok bool) {
	c.forget()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, false
	}
	c.waiting = l
	return l.Addr().(*net.TCPAddr).Port, true
}

func (c *ftpConn) forget() {
	if c.waiting != nil {
		c.waiting.Close()
	}
	c.waiting = nil
}

func (c *ftpConn) pasv(string) string {
	port, ok := c.wait()
	if !ok {
		return "425 No port to wait at"
	}
	return fmt.Sprintf("227 Entering Passive Mode (127,0,0,1,%d,%d)", port>>8, port&0xff)
}

// epsv takes any network protocol: a gateway's client may use another than we do.
func (c *ftpConn) epsv(arg string) string {
	if strings.EqualFold(arg, "ALL") {
		return "200 Done" // RFC 2428 §4
	}
	port, ok := c.wait()
	if !ok {
		return "425 No port to wait at"
	}
	return fmt.Sprintf("229 Entering Extended Passive Mode (|||%d|)", port)
}

func (c *ftpConn) list(string) string  { return c.send(fmt.Sprintf(ftpLine, len(welcomeBody))) }
func (c *ftpConn) names(string) string { return c.send(ftpFile + "\r\n") }

func (c *ftpConn) retr(arg string) string {
	if strings.TrimLeft(arg, "/") != ftpFile {
		return "550 No such file"
	}
	return c.send(welcomeBody)
}

func (c *ftpConn) size(arg string) string {
	if strings.TrimLeft(arg, "/") != ftpFile {
		return "550 No such file"
	}
	return fmt.Sprintf("213 %d", len(welcomeBody))
}

// send sends a text through the data connection, which both sides have a short time for.
func (c *ftpConn) send(text string) string {
	defer c.forget()
	if c.waiting == nil {
		return "425 Say PASV or EPSV first"
	}
	c.say("150 Here it comes")
	c.w.Flush() // an error comes out of the next read
	c.waiting.SetDeadline(time.Now().Add(ftpWait))
	conn, err := c.waiting.Accept()
	if err != nil {
		return "425 Nobody came for it"
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(ftpWait))
	if _, err := conn.Write([]byte(text)); err != nil {
		return "426 It did not arrive"
	}
	return "226 That was it"
}
