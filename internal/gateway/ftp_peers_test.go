package gateway_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"starttls/dialect"
)

// ftp is no member of protos: it has no splice, and TLS begins a new session with the server.
var ftp = &proto{
	Dialect:  &dialect.FTP,
	greeting: "220 ftp.test ready\r\n",
	upgrade:  "AUTH TLS\r\n",
	ready:    func(answer string) bool { return strings.HasPrefix(answer, "234") },
	request:  cutLine,
	reply:    cutSMTP,
}

// file is what the tests' FTP server has.
const file = "TOP " + secret + " FILE"

// An ftpServer is lax: it reads over blanks, and knows no third hosts.
type ftpServer struct {
	data     net.Listener
	host     string // that it says in 227
	stranger bool   // data is first offered from another address
	port     string // that the client has told; empty in passive mode
}

func newFTP(t testing.TB, edits ...func(*ftpServer)) *backend {
	t.Helper()
	return scripted(t, ftp, func(c *peer) {
		s := ftpServer{host: "127,0,0,1"}
		for _, edit := range edits {
			edit(&s)
		}
		defer s.wait(nil, nil)
		serve(c, func(request string) string { return s.answer(c, strings.Fields(request)) })
	})
}

func (s *ftpServer) answer(c *peer, words []string) string {
	if len(words) == 0 {
		return "500 what?\r\n"
	}
	switch verb := strings.ToUpper(words[0]); verb {
	case "PASV":
		port := s.wait(net.Listen("tcp", "127.0.0.1:0"))
		return fmt.Sprintf("227 Entering (%s,%d,%d)\r\n", s.host, port>>8, port&255)
	case "EPSV":
		return fmt.Sprintf("229 Entering (|||%d|)\r\n", s.wait(net.Listen("tcp", "127.0.0.1:0")))
	case "PORT":
		s.port = portOf(words[1])
	case "RETR":
		c.say("150 go\r\n")
		conn, err := s.open()
		if err != nil {
			return "425 " + strings.ReplaceAll(err.Error(), "\n", " ") + "\r\n"
		}
		io.WriteString(conn, file)
		conn.Close()
		return "226 done\r\n"
	case "QUIT":
		return "221 bye\r\n"
	}
	return "200 ok\r\n"
}

// wait waits for data at ln and no longer where it did before, and returns the port.
func (s *ftpServer) wait(ln net.Listener, err error) (port int) {
	if s.data != nil {
		s.data.Close()
	}
	if s.port, s.data = "", ln; ln == nil || err != nil {
		return 0
	}
	return ln.Addr().(*net.TCPAddr).Port
}

// open gets the data connection.
func (s *ftpServer) open() (net.Conn, error) {
	if s.port == "" && s.data == nil {
		return nil, errNoData
	}
	if s.port == "" {
		s.data.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
		return s.data.Accept()
	}
	if s.stranger {
		conn, err := dialFrom("127.0.0.2", s.port)
		if err != nil {
			return nil, err
		}
		io.WriteString(conn, evil)
		conn.SetReadDeadline(time.Now().Add(patience))
		io.Copy(io.Discard, conn)
		conn.Close()
	}
	return dialFrom("127.0.0.1", s.port)
}

// portOf returns the port of the six numbers in words.
func portOf(words string) string {
	var host [4]int
	var high, low int
	at := strings.IndexAny(words, "0123456789")
	fmt.Sscanf(words[max(at, 0):], "%d,%d,%d,%d,%d,%d", &host[0], &host[1], &host[2], &host[3], &high, &low)
	return fmt.Sprint(high<<8 | low)
}

func dialFrom(host, port string) (net.Conn, error) {
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}
	return d.Dial("tcp", "127.0.0.1:"+port)
}

// ftpClient comes to a server, and to TLS.
func ftpClient(addr string, secure bool, way ...exchange) (*peer, error) {
	c, err := greeted(addr, ftp)
	if err == nil && secure {
		if err = c.expect(ftp.upgrade, "234"); err == nil {
			err = c.shake(credulousTLS())
		}
	}
	if err == nil {
		err = c.follow(way...)
	}
	return c, err
}

var ftpModes = []string{"PASV", "EPSV", "PORT", "EPRT"}

// private has data inside TLS.
var private = []exchange{{"PBSZ 0\r\n", "200"}, {"PROT P\r\n", "200"}}

// passive has the server wait, and returns its port.
func (c *peer) passive(mode string) (port string, err error) {
	answer, err := c.ask(mode + "\r\n")
	switch {
	case err != nil:
		return "", err
	case strings.HasPrefix(answer, "227 "):
		return portOf(answer[len("227 "):]), nil
	case strings.HasPrefix(answer, "229 "):
		_, port, _ = strings.Cut(answer, "(|||")
		port, _, _ = strings.Cut(port, "|")
		return port, nil
	}
	return "", fmt.Errorf("%s is answered with %s", mode, show(answer))
}

// active says that the client waits at a port.
func active(mode string, host string, port int) string {
	if mode == "EPRT" {
		return fmt.Sprintf("EPRT |1|%s|%d|\r\n", host, port)
	}
	return fmt.Sprintf("PORT %s,%d,%d\r\n", strings.ReplaceAll(host, ".", ","), port>>8, port&255)
}

// agree agrees on a data connection, and returns what opens it once it is needed.
func (c *peer) agree(mode string) (open func() (net.Conn, error), err error) {
	if strings.HasSuffix(mode, "SV") {
		port, err := c.passive(mode)
		if err != nil {
			return nil, err
		}
		conn, err := dialFrom("127.0.0.1", port)
		return func() (net.Conn, error) { return conn, err }, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	return func() (net.Conn, error) {
		defer ln.Close()
		return ln.Accept()
	}, c.expect(active(mode, "127.0.0.1", ln.Addr().(*net.TCPAddr).Port), "200")
}

// errNoData is a command in answer to which no transfer begins.
var errNoData = errors.New("no transfer")

// fetch gets the file, or what there is of it.
func (c *peer) fetch(mode, command string, config *tls.Config) (got string, err error) {
	open, err := c.agree(mode)
	if err != nil {
		return "", err
	}
	answer, err := c.ask(command)
	if err == nil && !strings.HasPrefix(answer, "150") {
		err = fmt.Errorf("%w: %s", errNoData, show(answer))
	}
	if err != nil {
		return "", err
	}
	conn, err := open()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if config != nil {
		conn = tls.Client(conn, config)
	}
	all, err := io.ReadAll(conn)
	if isTimeout(err) {
		return string(all), fmt.Errorf("the data connection does not end: %w", err)
	}
	_, err = c.hear()
	return string(all), err
}
