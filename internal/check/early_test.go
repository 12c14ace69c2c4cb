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

// TestSilenceBehindTheGoAheadIsNoDefence: of a server that says nothing any more where a command was injected, nobody
// knows whether it would have been executed inside TLS.
func TestSilenceBehindTheGoAheadIsNoDefence(t *testing.T) {
	t.Parallel()
	addr := served(t, func(conn net.Conn) { animal{keep: true}.serve(&mutedConn{Conn: conn}) })
	found := checked(t, "smtp://"+addr, func(c *Config) { c.Budget, c.Timeout = 5, time.Second })
	for _, id := range []string{"clear.command-injection", "clear.bytes-after-ready"} {
		if f := found[id]; f.Verdict != finding.NotTestable {
			t.Errorf("%s: %q: %s", id, f.Verdict, f.Evidence)
		}
	}
}

// A mutedConn says no more when something else than a ClientHello stands behind the upgrade.
type mutedConn struct {
	net.Conn
	heard []byte
}

func (c *mutedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.heard = append(c.heard, p[:n]...)
	return n, err
}

func (c *mutedConn) Write(p []byte) (int, error) {
	_, behind, _ := bytes.Cut(c.heard, []byte("STARTTLS\r\n"))
	if len(behind) > 0 && behind[0] != 0x16 && !bytes.HasPrefix(p, []byte("2")) {
		io.Copy(io.Discard, c.Conn)
	}
	return c.Conn.Write(p)
}
