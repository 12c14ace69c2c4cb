package gateway_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"starttls"
	"starttls/internal/gateway"
)

// TestFTPDataPasses in each mode, in the clear and inside TLS.
func TestFTPDataPasses(t *testing.T) {
	for level, edit := range levels {
		for _, mode := range ftpModes {
			for _, secure := range []bool{true, false} {
				if !secure && level == "encrypt" {
					continue
				}
				t.Run(fmt.Sprintf("%s %s TLS %t", level, mode, secure), func(t *testing.T) {
					t.Parallel()
					var config *tls.Config
					var way []exchange
					if secure {
						config, way = credulousTLS(), private
					}
					c, err := ftpClient(start(t, ftp, to(newFTP(t)), edit).addr, secure, way...)
					must(t, err)
					if got, err := c.fetch(mode, "RETR x\r\n", config); err != nil || got != file {
						t.Errorf("the client gets %s, %v", show(got), err)
					}
				})
			}
		}
	}
}

// lootInClear gets hold of the file without TLS, by a command that some server takes for RETR.
func lootInClear(addr, mode, command string) error {
	c, err := ftpClient(addr, true)
	if err != nil {
		return err
	}
	defer c.Close()
	got, err := c.fetch(mode, command, nil)
	if got != "" {
		return fmt.Errorf("%s in the clear", show(got))
	}
	if errors.Is(err, errNoData) {
		return nil
	}
	return err
}

// TestNoDataInTheClearWhereTLSIsDemanded, however a transfer is spelled.
func TestNoDataInTheClearWhereTLSIsDemanded(t *testing.T) {
	for _, mode := range ftpModes {
		for _, command := range []string{"RETR x\r\n", "retr x\r\n", " RETR x\r\n", "RETR\tx\r\n", "\tRETR x\r\n", "RETR x\n"} {
			t.Run(fmt.Sprintf("%s %q", mode, command), func(t *testing.T) {
				t.Parallel()
				must(t, lootInClear(start(t, ftp, to(newFTP(t)), frontEncrypt).addr, mode, command))
				finds(t, lootInClear(start(t, ftp, to(newFTP(t))).addr, mode, command))
			})
		}
	}
}

// refusesFTP wants a command to be refused.
func refusesFTP(addr string, secure bool, command, code string) error {
	c, err := ftpClient(addr, secure)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.expect(command, code+" ")
}

// TestDataIsNotLedPastTheGateway by commands that nobody follows.
func TestDataIsNotLedPastTheGateway(t *testing.T) {
	for _, command := range []string{"LPRT 4,4,127,0,0,1,2,7,8\r\n", "LPSV\r\n", "SPSV\r\n", "CPSV\r\n", "P@SW\r\n", "lpsv\r\n"} {
		for _, secure := range []bool{true, false} {
			b := newFTP(t)
			must(t, refusesFTP(start(t, ftp, to(b)).addr, secure, command, "502"))
			if seen := b.seen(); strings.Contains(seen, command) {
				t.Errorf("the server hears %s", show(seen))
			}
		}
		finds(t, refusesFTP(newFTP(t).addr, false, command, "502"))
	}
}

// TestAPassivePortIsForgottenWithItsServer: TLS begins a new session, and for a while there is no
// server.
func TestAPassivePortIsForgottenWithItsServer(t *testing.T) {
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	defer release()
	b, first := newFTP(t), true
	g := start(t, ftp, func(r *gateway.Route) {
		r.Back.Dial = func(ctx context.Context) (net.Conn, error) {
			if !first {
				<-hold
			}
			first = false
			return b.dial(ctx)
		}
	})
	c, err := ftpClient(g.addr, false)
	must(t, err)
	defer c.Close()
	port, err := c.passive("PASV")
	must(t, err)
	old := b.next(t)
	must(t, c.expect(ftp.upgrade, "234"))
	must(t, c.shake(credulousTLS()))
	eventually(t, "the server is left", func() bool { return strings.Contains(old.wire.all(), "QUIT") })
	if conn, err := dialFrom("127.0.0.1", port); err == nil {
		conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("the port of before is served: %v", err)
		}
		conn.Close()
	}
	release()
	must(t, c.follow(private...))
	if got, err := c.fetch("PASV", "RETR x\r\n", credulousTLS()); err != nil || got != file {
		t.Errorf("then the client gets %s, %v", show(got), err)
	}
}

// deadPort is one at which nobody listens.
func deadPort(t testing.TB) int {
	ln := listen(t)
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// TestADataConnectionThatLeadsNowhereEnds at the other side as well.
func TestADataConnectionThatLeadsNowhereEnds(t *testing.T) {
	dead := deadPort(t)
	ends := func(port string) error {
		conn, err := dialFrom("127.0.0.1", port)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		if _, err = conn.Read(make([]byte, 1)); isTimeout(err) {
			return fmt.Errorf("it is left open: %w", err)
		}
		return nil
	}
	t.Run("passive", func(t *testing.T) {
		t.Parallel()
		b := scripted(t, ftp, func(c *peer) {
			serve(c, func(string) string { return fmt.Sprintf("227 Entering (127,0,0,1,%d,%d)\r\n", dead>>8, dead&255) })
		})
		c, err := ftpClient(start(t, ftp, to(b)).addr, false)
		must(t, err)
		defer c.Close() // and not when the collector finds that it is of no more use
		port, err := c.passive("PASV")
		must(t, err)
		must(t, ends(port))
	})
	t.Run("active", func(t *testing.T) {
		t.Parallel()
		told := make(chan string, 1)
		b := scripted(t, ftp, func(c *peer) {
			serve(c, func(request string) string {
				told <- portOf(request)
				return "200 ok\r\n"
			})
		})
		c, err := ftpClient(start(t, ftp, to(b)).addr, false, exchange{active("PORT", "127.0.0.1", dead), "200"})
		must(t, err)
		must(t, ends(<-told))
		c.Close()
	})
	ln := listen(t) // of a villain, who keeps it
	finds(t, ends(fmt.Sprint(ln.Addr().(*net.TCPAddr).Port)))
}

// TestPROT: data is private when it was said to be, in the order of RFC 4217 §9.
func TestPROT(t *testing.T) {
	for level, clear := range map[string]string{"may": "200", "encrypt": "534"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			b := newFTP(t)
			g := start(t, ftp, to(b), levels[level])
			c, err := ftpClient(g.addr, false, exchange{"PBSZ 0\r\n", "503"}, exchange{"PROT P\r\n", "503"})
			must(t, err)
			must(t, c.expect(ftp.upgrade, "234"))
			must(t, c.shake(credulousTLS()))
			must(t, c.follow(exchange{"PROT P\r\n", "503"}, exchange{"PBSZ 0\r\n", "200 PBSZ=0"}, exchange{"PROT S\r\n", "536"},
				exchange{"PROT E\r\n", "536"}, exchange{"PROT\r\n", "536"}, exchange{"PROT p\r\n", "200"}, exchange{"PROT C\r\n", clear},
				exchange{"CCC\r\n", "5"}))
			var config *tls.Config
			if level == "encrypt" { // who goes on nevertheless gets no data
				if got, err := c.fetch("PASV", "RETR x\r\n", nil); !errors.Is(err, errNoData) {
					t.Errorf("the client gets %s, %v", show(got), err)
				}
				must(t, c.expect("PROT P\r\n", "200"))
				config = credulousTLS()
			}
			if got, err := c.fetch("PASV", "RETR x\r\n", config); err != nil || got != file {
				t.Errorf("the client gets %s, %v", show(got), err)
			}
			c.Close()
			must(t, g.outcome("tls"))
			if seen := b.seen(); strings.Contains(seen, "PBSZ") || strings.Contains(seen, "PROT") || strings.Contains(seen, "CCC") {
				t.Errorf("a server in the clear hears %s", show(seen))
			}
		})
	}
	finds(t, refusesFTP(newFTP(t).addr, false, "PROT P\r\n", "503"))
}

// TestOldMechanismsMeanPrivateData (drafts of RFC 4217), and TLS does not.
func TestOldMechanismsMeanPrivateData(t *testing.T) {
	for mech, config := range map[string]*tls.Config{"SSL": credulousTLS(), "TLS-P": credulousTLS(), "TLS": nil, "TLS-C": nil} {
		t.Run(mech, func(t *testing.T) {
			t.Parallel()
			c, err := ftpClient(start(t, ftp, to(newFTP(t))).addr, false, exchange{"AUTH " + mech + "\r\n", "234"})
			must(t, err)
			must(t, c.shake(credulousTLS()))
			if got, err := c.fetch("EPSV", "RETR x\r\n", config); err != nil || got != file {
				t.Errorf("the client gets %s, %v", show(got), err)
			}
		})
	}
}

// TestWhatFTPSaidInTheClearIsForgotten: the server inside TLS is a new one (CI-23).
func TestWhatFTPSaidInTheClearIsForgotten(t *testing.T) {
	for _, said := range []string{"USER evil\r\n", "REST 100\r\n", "RNFR evil\r\n", "CWD evil\r\n"} {
		t.Run("CI-23 "+strings.Fields(said)[0], func(t *testing.T) {
			t.Parallel()
			b := newFTP(t)
			c, err := ftpClient(start(t, ftp, to(b)).addr, false, exchange{said, "200"})
			must(t, err)
			old := b.next(t)
			must(t, c.expect(ftp.upgrade, "234"))
			must(t, c.shake(credulousTLS()))
			must(t, c.expect("STAT probe\r\n", "200"))
			eventually(t, "the server of before hears no more than a goodbye", func() bool { return old.wire.all() == said+"QUIT\r\n" })
			if heard := b.next(t).wire.all(); heard != "STAT probe\r\n" {
				t.Errorf("the new server hears %s", show(heard))
			}
			must(t, refusesFTP(start(t, ftp, to(newFTP(t)), frontEncrypt).addr, false, said, "530"))
		})
	}
}

// overtaken has a stranger come to the passive port first.
func overtaken(addr, mode string) error {
	c, err := ftpClient(addr, false)
	if err != nil {
		return err
	}
	defer c.Close()
	port, err := c.passive(mode)
	if err != nil {
		return err
	}
	var got [2]string
	var conns [2]net.Conn
	for i, host := range []string{"127.0.0.2", "127.0.0.1"} {
		if conns[i], err = dialFrom(host, port); err != nil {
			return err
		}
		defer conns[i].Close()
		conns[i].SetDeadline(time.Now().Add(patience))
	}
	if err := c.expect("RETR x\r\n", "150"); err != nil {
		return err
	}
	for i, conn := range conns {
		all, _ := io.ReadAll(conn)
		if got[i] = string(all); got[0] != "" {
			return fmt.Errorf("a stranger gets %s", show(got[0]))
		}
	}
	if got[1] != file {
		return fmt.Errorf("the client gets %s", show(got[1]))
	}
	return nil
}

func TestStrangersGetNoData(t *testing.T) { // G-16
	if conn, err := net.Listen("tcp", "127.0.0.2:0"); err != nil {
		t.Skip("no second address here: ", err)
	} else {
		conn.Close()
	}
	for _, mode := range []string{"PASV", "EPSV"} {
		t.Run("G-16 "+mode, func(t *testing.T) {
			t.Parallel()
			must(t, overtaken(start(t, ftp, to(newFTP(t))).addr, mode))
			finds(t, overtaken(newFTP(t).addr, mode))
		})
	}
	for _, mode := range []string{"PORT", "EPRT"} {
		t.Run("G-16 "+mode, func(t *testing.T) {
			t.Parallel()
			b := newFTP(t, func(s *ftpServer) { s.stranger = true })
			c, err := ftpClient(start(t, ftp, to(b)).addr, false)
			must(t, err)
			if got, err := c.fetch(mode, "RETR x\r\n", nil); err != nil || got != file {
				t.Errorf("the client gets %s, %v", show(got), err)
			}
		})
	}
	t.Run("G-16 a server that sends us to a third host", func(t *testing.T) {
		b := newFTP(t, func(s *ftpServer) { s.host = "127,0,0,2" })
		c, err := ftpClient(start(t, ftp, to(b), backTo(b.addr, starttls.None)).addr, false)
		must(t, err)
		if got, err := c.fetch("PASV", "RETR x\r\n", nil); err != nil || got != file {
			t.Errorf("the client gets %s, %v", show(got), err)
		}
	})
}

func TestDataGoesToTheClientOnly(t *testing.T) { // G-16
	for _, mode := range []string{"PORT", "EPRT"} {
		for _, command := range []string{active(mode, "127.0.0.2", 2000), active(mode, "192.0.2.1", 2000), active(mode, "127.0.0.1", 25), active(mode, "127.0.0.1", 1023)} {
			b := newFTP(t)
			must(t, refusesFTP(start(t, ftp, to(b)).addr, false, command, "500"))
			if seen := b.seen(); strings.Contains(seen, mode) {
				t.Errorf("the server hears %s", show(seen))
			}
			finds(t, refusesFTP(newFTP(t).addr, false, command, "500"))
		}
	}
}
