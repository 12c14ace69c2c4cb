package gateway_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"starttls/internal/gateway"
)

// tcpPair returns both ends of a connection.
func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if far, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// dribble writes one byte at a time, so that no record ever comes whole.
type dribble struct{ net.Conn }

func (d dribble) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		_, err = d.Conn.Write(p[n : n+1])
		n++
	}
	return n, err
}

// A read inside TLS that finds half a record goes on with it when more has come, and the last record, which
// stands before the end in one segment, is not lost.
func TestCopyOfRecordsInPieces(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			near, far := tcpPair(t)
			secured := tls.Server(gateway.NewSocket(near), &tls.Config{Certificates: []tls.Certificate{good()}, MaxVersion: version})
			sent := bytes.Repeat([]byte("0123456789abcdef"), 1500) // two records
			go func() {
				client := tls.Client(dribble{far}, &tls.Config{InsecureSkipVerify: true, MaxVersion: version, DynamicRecordSizingDisabled: true})
				client.Write(sent[:5])
				client.Write(sent[5:])
				client.Close()
			}()
			if err := secured.Handshake(); err != nil {
				t.Fatal(err)
			}
			to, out := net.Pipe()
			var count atomic.Int64
			done := make(chan error, 1)
			go func() {
				defer to.Close()
				done <- gateway.Copy(to, secured, &count)
			}()
			got, err := io.ReadAll(out)
			if err != nil || !bytes.Equal(got, sent) || count.Load() != int64(len(sent)) {
				t.Errorf("%d bytes and %d counted of %d, %v", len(got), count.Load(), len(sent), err)
			}
			if err := <-done; err != io.EOF {
				t.Errorf("the copy ends with %v", err)
			}
		})
	}
}

// Who waits is woken by a deadline and by Close, as in any read.
func TestAwaitIsWoken(t *testing.T) {
	for _, c := range []struct {
		what string
		wake func(net.Conn)
		want error
	}{
		{"deadline", func(conn net.Conn) { conn.SetReadDeadline(time.Now()) }, os.ErrDeadlineExceeded},
		{"close", func(conn net.Conn) { conn.Close() }, net.ErrClosed},
	} {
		t.Run(c.what, func(t *testing.T) {
			near, _ := tcpPair(t)
			conn := gateway.NewSocket(near)
			tried := make(chan struct{})
			go func() {
				<-tried
				c.wake(conn)
			}()
			first := true
			err := gateway.Await(conn, func() error {
				_, err := conn.Read(make([]byte, 1))
				if first {
					first = false
					close(tried)
				}
				return err
			})
			if !errors.Is(err, c.want) {
				t.Errorf("woken by %s with %v", c.what, err)
			}
		})
	}
}
