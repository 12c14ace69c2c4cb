package lab

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"time"
)

// An Attack is one thing that somebody does who sits on the path between a client and a mail server. The
// words are those by which "starttls check" names what it sees.
type Attack string

// The attacks.
const (
	Strip       Attack = "capability-removed"     // STARTTLS is taken out of the answer to EHLO
	MaskX       Attack = "ehlo-keyword-x-a"       // it becomes XXXXXXXA, as by a Cisco ASA
	MaskBanner  Attack = "banner-masked-asterisk" // the banner becomes asterisks, as by a Cisco PIX
	NoEHLO      Attack = "ehlo-x"                 // EHLO is refused, and HELO not
	MaskCommand Attack = "command-x"              // the server gets XXXXXXXX for STARTTLS, and refuses it
	Say454      Attack = "starttls-454"           // STARTTLS is answered by 454
	Say501      Attack = "starttls-501"           // or by 501
	Inject      Attack = "injected-response"      // an answer in the clear stands behind the go-ahead
	Reset       Attack = "starttls-reset"         // the connection is reset at the ClientHello
	Blackhole   Attack = "starttls-blackhole"     // nothing comes after the go-ahead
	ThenPlain   Attack = "starttls-then-plain"    // an answer in the clear where ServerHello belongs
	Intercept   Attack = "tls-intercept"          // TLS ends at the attacker, whose authority nobody trusts
	ForgeMX     Attack = "mx-forged"              // the DNS names the attacker's server as MX
)

// Attacks are all of them.
var Attacks = []Attack{Strip, MaskX, MaskBanner, NoEHLO, MaskCommand, Say454, Say501, Inject, Reset, Blackhole, ThenPlain, Intercept, ForgeMX}

// A tamperer is a client's connection and the one on to the server.
type tamperer struct {
	h      *host
	attack Attack
	client net.Conn
	server net.Conn
	cr, sr *bufio.Reader
}

// attacked puts the attacker between a client and the host.
func (h *host) attacked(client net.Conn, attack Attack) {
	near, far, err := connected()
	if err != nil {
		return
	}
	h.lab.serving.Go(func() { h.lab.tracked(far, h.serve) })
	t := &tamperer{h: h, attack: attack, client: client, server: near, cr: bufio.NewReader(client), sr: bufio.NewReader(near)}
	defer near.Close()
	client.SetDeadline(time.Now().Add(idleLimit))
	near.SetDeadline(time.Now().Add(idleLimit))
	t.run()
}

// run passes commands and answers on, one by one, until mail or TLS begins.
func (t *tamperer) run() {
	if !t.answer(t.banner) {
		return
	}
	for {
		line, err := t.cr.ReadString('\n')
		if err != nil || len(line) > lineLimit {
			return
		}
		verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimRight(line, "\r\n")), " ")
		var ok bool
		switch verb {
		case "EHLO":
			ok = t.hello(line)
		case "STARTTLS":
			ok = t.upgrade(line)
		case "HELO", "NOOP", "RSET":
			ok = t.pass(line, nil)
		default:
			if _, err := io.WriteString(t.server, line); err == nil {
				t.splice()
			}
		}
		if !ok {
			return
		}
	}
}

// pass sends a line on and has its answer changed.
func (t *tamperer) pass(line string, change func([]byte) []byte) bool {
	if _, err := io.WriteString(t.server, line); err != nil {
		return false
	}
	return t.answer(change)
}

// answer passes the lines of one answer on, each changed; a line that becomes nothing is left out.
func (t *tamperer) answer(change func([]byte) []byte) bool {
	var lines [][]byte
	for {
		line, err := t.sr.ReadBytes('\n')
		if err != nil || len(line) < 5 {
			return false
		}
		more := line[3] == '-'
		if change != nil {
			line = change(line)
		}
		if line != nil {
			lines = append(lines, line)
		}
		if !more {
			break
		}
	}
	lines[len(lines)-1][3] = ' ' // the last one may be gone
	_, err := t.client.Write(bytes.Join(lines, nil))
	return err == nil
}

func (t *tamperer) say(text string) bool {
	_, err := io.WriteString(t.client, text+"\r\n")
	return err == nil
}

func (t *tamperer) banner(line []byte) []byte {
	if t.attack != MaskBanner {
		return line
	}
	masked := bytes.Repeat([]byte("*"), len(line)-6)
	return append(append([]byte("220 "), masked...), "\r\n"...)
}

// hello passes EHLO on.
func (t *tamperer) hello(line string) bool {
	if t.attack == NoEHLO {
		return t.say("502 5.5.1 Command not implemented")
	}
	return t.pass(line, func(line []byte) []byte {
		if !bytes.EqualFold(bytes.TrimSpace(line[4:]), []byte("STARTTLS")) {
			return line
		}
		switch t.attack {
		case Strip:
			return nil
		case MaskX:
			return append(line[:4:4], "XXXXXXXA\r\n"...)
		}
		return line
	})
}

// upgrade meets STARTTLS.
func (t *tamperer) upgrade(line string) bool {
	switch t.attack {
	case Say454:
		return t.say("454 4.7.0 TLS not available due to temporary reason")
	case Say501:
		return t.say("501 5.5.4 Syntax error")
	case MaskCommand:
		return t.pass("XXXXXXXX\r\n", nil)
	case Intercept:
		t.intercept()
		return false
	}
	inject := func(line []byte) []byte {
		if t.attack == Inject {
			return append(line, "250-"+t.h.name+"\r\n250 AUTH LOGIN\r\n"...)
		}
		return line
	}
	if !t.pass(line, inject) {
		return false
	}
	switch t.attack {
	case Reset:
		t.cr.ReadByte() // of ClientHello
		if tcp, ok := t.client.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
	case Blackhole:
		io.Copy(io.Discard, t.cr)
	case ThenPlain:
		t.cr.ReadByte()
		t.say("500 5.5.1 Command not known")
		io.Copy(io.Discard, t.cr)
	default:
		t.splice()
	}
	return false
}

// intercept ends the client's TLS, and begins another one towards the server.
func (t *tamperer) intercept() {
	cert, err := t.h.lab.pki.certificate(t.h.name, leaf{by: bySelf})
	if err != nil || !t.say("220 2.0.0 Begin TLS") {
		return
	}
	client := tls.Server(&readAhead{t.client, t.cr}, &tls.Config{Certificates: []tls.Certificate{*cert}, Time: t.h.lab.now})
	if err := client.Handshake(); err != nil {
		return
	}
	if _, err := io.WriteString(t.server, "STARTTLS\r\n"); err != nil {
		return
	}
	if reply, err := t.sr.ReadString('\n'); err != nil || !strings.HasPrefix(reply, "220") {
		return
	}
	server := tls.Client(&readAhead{t.server, t.sr}, &tls.Config{InsecureSkipVerify: true}) // an attacker does not care
	t.client, t.server = client, server
	t.cr, t.sr = bufio.NewReader(client), bufio.NewReader(server)
	t.splice()
}

// splice passes everything on, both ways. Some clients end their half with QUIT, and hear the answer.
func (t *tamperer) splice() {
	done := make(chan struct{})
	t.h.lab.serving.Go(func() {
		defer close(done)
		io.Copy(t.client, t.sr)
		endHalf(t.client)
		t.client.SetReadDeadline(time.Now().Add(time.Second)) // there is nobody to pass anything on to
	})
	io.Copy(t.server, t.cr)
	endHalf(t.server)
	<-done
}

func endHalf(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

// connected returns both ends of a connection inside this process. A net.Pipe cannot end one half.
func connected() (near, far net.Conn, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		return nil, nil, err
	}
	if far, err = ln.Accept(); err != nil {
		near.Close()
	}
	return near, far, err
}
