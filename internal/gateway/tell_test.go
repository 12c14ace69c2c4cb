package gateway_test

import (
	"bufio"
	"net"
	"strings"
	"testing"

	"starttls/internal/gateway"
)

// tellable is a server that answers each line, by its first word; it hands on what it has heard.
func tellable(t *testing.T, answers map[string]string) (*gateway.Back, <-chan string) {
	t.Helper()
	ln := listen(t)
	heard := make(chan string, 100)
	serve := func(conn net.Conn) {
		defer conn.Close()
		conn.Write([]byte("220 first.test\r\n"))
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			heard <- lines.Text()
			verb, _, _ := strings.Cut(lines.Text(), " ")
			answer := answers[verb]
			if answer == "" {
				answer = "250 ok\r\n"
			}
			conn.Write([]byte(answer))
		}
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return &gateway.Back{Name: "back.test", Dial: dialer(ln.Addr().String()), Tell: true}, heard
}

func telling(b *gateway.Back) func(*gateway.Route) { return func(r *gateway.Route) { r.Back = *b } }

// TestServerIsToldBeforeTheClientIsHeard, and the client gets the greeting that is for it.
func TestServerIsToldBeforeTheClientIsHeard(t *testing.T) {
	back, heard := tellable(t, map[string]string{"EHLO": "250-back.test\r\n250 XCLIENT ADDR PORT\r\n", "XCLIENT": "220 second.test\r\n"})
	g := start(t, only("smtp"), telling(back))
	conn, err := net.Dial("tcp", g.addr)
	must(t, err)
	defer conn.Close()
	r := bufio.NewReader(conn)
	if line, _ := r.ReadString('\n'); line != "220 second.test\r\n" {
		t.Errorf("greeted with %q", line)
	}
	conn.Write([]byte("NOOP\r\n"))
	_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	for _, want := range []string{"EHLO test", "XCLIENT ADDR=127.0.0.1 PORT=" + port, "NOOP"} {
		if got := <-heard; got != want {
			t.Errorf("the server has heard %q, want %q", got, want)
		}
	}
}

// TestServerThatIsNotToldIsNotUsed: one that does not offer it, one that refuses it, one that hangs up.
func TestServerThatIsNotToldIsNotUsed(t *testing.T) {
	for name, answers := range map[string]map[string]string{
		"not offered": {"EHLO": "250-back.test\r\n250 SIZE\r\n"},
		"no hello":    {"EHLO": "500 what?\r\n"},
		"refused":     {"EHLO": "250 XCLIENT ADDR\r\n", "XCLIENT": "550 no\r\n"},
		"gone":        {"EHLO": "250-back.test\r\n250 XCLIENT ADDR\r\n", "XCLIENT": "421 gone\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			back, heard := tellable(t, answers)
			g := start(t, only("smtp"), telling(back))
			if answer, _ := come(t, g.addr, ""); !strings.HasPrefix(answer, "421") {
				t.Errorf("got %q", answer)
			}
			must(t, g.outcome("backend-failed"))
			for len(heard) > 0 {
				if line := <-heard; strings.Contains(line, "client.test") {
					t.Errorf("the server has heard %q", line)
				}
			}
		})
	}
}

// TestClientMayNotTell, not even when its first work is done, nor dressed as mail for a server that takes LF
// for the end of a line.
func TestClientMayNotTell(t *testing.T) {
	for name, lines := range map[string][]string{
		"at once":        {"XCLIENT ADDR=192.0.2.1"},
		"after work":     {"MAIL FROM:<>", "RSET", "XCLIENT ADDR=192.0.2.1"},
		"hidden in mail": {"MAIL FROM:<>", "DATA", "x\n.\r\nXCLIENT ADDR=192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			back, heard := tellable(t, map[string]string{
				"EHLO": "250-back.test\r\n250 XCLIENT ADDR PORT\r\n", "XCLIENT": "220 second.test\r\n", "DATA": "354 go\r\n",
			})
			g := start(t, only("smtp"), telling(back))
			_, conn := come(t, g.addr, "")
			r := bufio.NewReader(conn)
			for _, line := range lines {
				conn.Write([]byte(line + "\r\n"))
				r.ReadString('\n')
			}
			must(t, g.outcome("broken"))
			for len(heard) > 0 {
				if line := <-heard; strings.Contains(line, "192.0.2.1") {
					t.Errorf("the server has heard %q", line)
				}
			}
		})
	}
}
