package socketmap

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// echo answers with the question.
type echo struct{}

func (echo) Answer(_ context.Context, table, key string) Reply {
	switch {
	case key == "none":
		return Reply{}
	case key == "later":
		return Reply{Status: Temp, Text: "the DNS is away"}
	case strings.HasPrefix(key, "long "):
		var n, short int
		fmt.Sscanf(key, "long %d %d", &n, &short)
		return Reply{Status: OK, Text: strings.Repeat("x", n), Short: strings.Repeat("y", short)}
	}
	return Reply{Status: OK, Text: table + "|" + key}
}

// serve starts a server and returns a connection to it.
func serve(t *testing.T, s *Server) net.Conn {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	conn, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func TestSocketmap(t *testing.T) {
	conn := serve(t, &Server{Answerer: echo{}})
	for _, row := range [][2]string{
		{"19:postfix example.com,", "22:OK postfix|example.com,"},
		{"12:postfix none,", "9:NOTFOUND ,"},
		{"13:postfix later,", "20:TEMP the DNS is away,"},
		{"3:a b,5:c d e,9:sts none ,", "6:OK a|b,8:OK c|d e,12:OK sts|none ,"}, // many at once, in order
		{"2:a ,", "5:OK a|,"},
	} {
		talk(t, conn, row[0], row[1])
	}
}

// talk sends a request and expects an answer; the connection stays.
func talk(t *testing.T, conn net.Conn, send, want string) {
	t.Helper()
	if _, err := io.WriteString(conn, send); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if n, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("%.60q: got %.200q, %v\nwant %.200q", send, got[:n], err, want)
	}
}

// Requests that lie about their length, or are none, are told and end the connection.
func TestSocketmapWrongRequests(t *testing.T) {
	for _, row := range [][2]string{
		{"10001:" + strings.Repeat("a", 20000), "PERM the request is longer than 10000 bytes"},
		{"99999999999999999999999:", "PERM the request is longer than 10000 bytes"},
		{"3:a bc,", "PERM the request's length is not what it says"},
		{"3:a,3:a b,", "PERM the request's length is not what it says"},
		{"GET / HTTP/1.1\r\n\r\n", "PERM the request is no netstring"},
		{"003:a b,", "PERM the request is no netstring"},
		{":a b,", "PERM the request is no netstring"},
		{"-1:a,", "PERM the request is no netstring"},
		{"1:a,", "PERM the request has no table and key"},
		{"0:,", "PERM the request has no table and key"},
		{"2: a,", "PERM the request has no table and key"},
	} {
		conn := serve(t, &Server{Answerer: echo{}})
		talk(t, conn, row[0], fmt.Sprintf("%d:%s,", len(row[1]), row[1]))
		if rest, err := io.ReadAll(conn); len(rest) > 0 {
			t.Errorf("%.30q: after it %q, %v", row[0], rest, err)
		}
	}
}

// A request that ends in its midst gets no answer.
func TestSocketmapHalfRequest(t *testing.T) {
	for _, half := range []string{"1", "10000:postfix exam", "19:postfix example.com"} {
		conn := serve(t, &Server{Answerer: echo{}})
		io.WriteString(conn, half)
		conn.(*net.UnixConn).CloseWrite()
		if rest, err := io.ReadAll(conn); len(rest) > 0 || err != nil {
			t.Errorf("%q: got %q, %v", half, rest, err)
		}
	}
}

func TestSocketmapLongest(t *testing.T) {
	conn := serve(t, &Server{Answerer: echo{}})
	key := strings.Repeat("k", maxQuery-2)
	talk(t, conn, fmt.Sprintf("10000:t %s,", key), fmt.Sprintf("10003:OK t|%s,", key))
	talk(t, conn, "14:t long 99997 0,", "100000:OK "+strings.Repeat("x", 99997)+",")
	talk(t, conn, "14:t long 99998 5,", "8:OK yyyyy,")
	want := "TEMP the answer is longer than 100000 bytes"
	talk(t, conn, "14:t long 99998 0,", fmt.Sprintf("%d:%s,", len(want), want))
}

func TestTCPTable(t *testing.T) {
	conn := serve(t, &Server{Answerer: echo{}, Protocol: TCPTable})
	for _, row := range [][2]string{
		{"get example.com\n", "200 |example.com\n"},
		{"get a%20b%25%c3%BC\n", "200 |a%20b%25%C3%BC\n"},
		{"get none\n", "500 NOTFOUND\n"},
		{"get later\n", "400 the%20DNS%20is%20away\n"},
		{"get a\nget b\n", "200 |a\n200 |b\n"},
		{"get long%204091%200\n", "200 " + strings.Repeat("x", 4091) + "\n"}, // 4096 in all
		{"get long%204092%203\n", "200 yyy\n"},
		{"get long%204092%200\n", "400 the%20answer%20does%20not%20fit%20into%204096%20bytes:%20use%20socketmap\n"},
		{"get long%204092%204092\n", "400 the%20answer%20does%20not%20fit%20into%204096%20bytes:%20use%20socketmap\n"},
	} {
		talk(t, conn, row[0], row[1])
	}
}

func TestTCPTableWrongRequests(t *testing.T) {
	for _, row := range [][2]string{
		{"put a b\n", "400 the%20request%20is%20not%20get%20KEY\n"},
		{"\n", "400 the%20request%20is%20not%20get%20KEY\n"},
		{"get a%2\n", "400 the%20key's%20%25XX%20coding%20is%20wrong\n"},
		{"get a%zz\n", "400 the%20key's%20%25XX%20coding%20is%20wrong\n"},
		{"get " + strings.Repeat("a", 5000), "400 the%20request%20is%20longer%20than%204096%20bytes\n"},
	} {
		conn := serve(t, &Server{Answerer: echo{}, Protocol: TCPTable})
		talk(t, conn, row[0], row[1])
		if rest, err := io.ReadAll(conn); len(rest) > 0 {
			t.Errorf("%.30q: after it %q, %v", row[0], rest, err)
		}
	}
}

// slow answers when it is told to.
type slow struct{ asked, told chan struct{} }

func (s slow) Answer(context.Context, string, string) Reply {
	s.asked <- struct{}{}
	<-s.told
	return Reply{Status: OK, Text: "late"}
}

// A server that stops tells the answers that it is making, and ends connections without work at once.
func TestStop(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := slow{make(chan struct{}), make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- (&Server{Answerer: s}).Serve(ctx, ln) }()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	busy, idle := dial(), dial()
	io.WriteString(busy, "3:a b,")
	<-s.asked
	cancel()
	if rest, err := io.ReadAll(idle); len(rest) > 0 || err != nil {
		t.Errorf("idle: %q, %v", rest, err)
	}
	close(s.told)
	if rest, err := io.ReadAll(busy); string(rest) != "7:OK late," || err != nil {
		t.Errorf("busy: %q, %v", rest, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// More clients than are served at once wait, and are served when others have gone.
func TestMaxConns(t *testing.T) {
	first := serve(t, &Server{Answerer: echo{}, MaxConns: 1})
	talk(t, first, "3:a b,", "6:OK a|b,")
	second, err := net.Dial("unix", first.RemoteAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	io.WriteString(second, "3:c d,")
	second.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := second.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Fatalf("got %d bytes", n)
	}
	first.Close()
	second.SetReadDeadline(time.Now().Add(20 * time.Second))
	talk(t, second, "", "6:OK c|d,")
}

// A connection without a question ends when it was idle for long enough.
func TestIdle(t *testing.T) {
	conn := serve(t, &Server{Answerer: echo{}, Idle: time.Millisecond})
	if rest, err := io.ReadAll(conn); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
}

// timed serves one connection until the server ends it, and returns how long that took. It is for a bubble.
func timed(t *testing.T, client func(net.Conn)) time.Duration {
	here, there := net.Pipe()
	ended := make(chan time.Time, 1)
	go func() {
		(&Server{Answerer: echo{}}).serve(t.Context(), here)
		ended <- time.Now()
	}()
	begun := time.Now()
	client(there)
	return (<-ended).Sub(begun)
}

// A request that does not arrive in time ends the connection, however often another byte of it comes.
func TestSlowRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := timed(t, func(there net.Conn) {
			io.WriteString(there, "9000:")
			for range 10 {
				time.Sleep(requestTime / 8)
				if _, err := io.WriteString(there, "a"); err != nil {
					break
				}
			}
		})
		if took != requestTime {
			t.Errorf("took %v", took)
		}
	})
}

// Who asks and does not hear the answer is waited for so long, and no longer.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if took := timed(t, func(there net.Conn) { io.WriteString(there, "3:a b,") }); took != requestTime {
			t.Errorf("took %v", took)
		}
	})
}

func FuzzRequests(f *testing.F) {
	f.Add([]byte("19:postfix example.com,3:a b,"), false)
	f.Add([]byte("get a%20b\nget c\n"), true)
	f.Add([]byte("999:"), false)
	f.Fuzz(func(t *testing.T, in []byte, table bool) {
		s := &Server{Answerer: echo{}}
		if table {
			s.Protocol = TCPTable
		}
		here, there := net.Pipe()
		go func() {
			go io.Copy(io.Discard, there)
			there.Write(in)
			there.Close()
		}()
		s.serve(t.Context(), here)
	})
}
