package check

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"starttls/internal/finding"
)

// earlyConn notices a ClientHello behind the upgrade, and does something else when it is time to answer it.
type earlyConn struct {
	net.Conn
	answer func(net.Conn, []byte) (int, error)
	early  bool
}

func (c *earlyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.early = c.early || bytes.Contains(p[:n], []byte("STARTTLS\r\n\x16"))
	return n, err
}

func (c *earlyConn) Write(p []byte) (int, error) {
	if c.early && p[0] < ' ' { // a record
		return c.answer(c.Conn, p)
	}
	return c.Conn.Write(p)
}

// TestAnEarlyHelloIsNoMatterOfTime: who answers it late has answered it, who has thrown it away is found by the
// answer to another, and who answers neither is not judged.
func TestAnEarlyHelloIsNoMatterOfTime(t *testing.T) {
	late := func(conn net.Conn, p []byte) (int, error) {
		time.Sleep(200 * time.Millisecond) // longer than the lull, after a handshake of few
		return conn.Write(p)
	}
	silent := func(conn net.Conn, p []byte) (int, error) {
		io.Copy(io.Discard, conn)
		return len(p), nil
	}
	for name, row := range map[string]struct {
		verdict finding.Verdict
		answer  func(net.Conn, []byte) (int, error)
		drop    bool
		version uint16
	}{
		"late":            {finding.Good, late, false, 0},
		"late, TLS 1.2":   {finding.Good, late, false, tls.VersionTLS12},
		"thrown away":     {finding.Sufficient, net.Conn.Write, true, 0},
		"thrown, late":    {finding.Sufficient, late, true, 0},
		"thrown, TLS 1.2": {finding.Sufficient, net.Conn.Write, true, tls.VersionTLS12},
		"silent":          {finding.NotTestable, silent, false, 0},
		"hangs up":        {finding.Sufficient, func(conn net.Conn, p []byte) (int, error) { return len(p), conn.Close() }, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := animal{drop: row.drop, version: row.version}
			addr := served(t, func(conn net.Conn) { a.serve(&earlyConn{Conn: conn, answer: row.answer}) })
			found := checked(t, "smtp://"+addr, clearOnly)
			if f := found["clear.early-hello"]; f.Verdict != row.verdict {
				t.Errorf("%q: %s", f.Verdict, f.Evidence)
			}
		})
	}
}
