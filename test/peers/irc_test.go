package peers

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starttls/test/peers/peer"
)

// A lineConn is a client by hand, for protocols of lines.
type lineConn struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func dialLines(t *testing.T, addr string) *lineConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(limit))
	return &lineConn{t, c, bufio.NewReader(c)}
}

func (c *lineConn) say(line string) {
	c.t.Helper()
	if _, err := c.Write([]byte(line)); err != nil {
		c.t.Fatalf("%q: %v", line, err)
	}
}

// until reads up to a line that has want in it, and returns that line.
func (c *lineConn) until(want string) string {
	c.t.Helper()
	for all := ""; ; {
		line, err := c.in.ReadString('\n')
		all += line
		if err != nil {
			c.t.Fatalf("no %q but %q: %v", want, all, err)
		}
		if strings.Contains(line, want) {
			return line
		}
	}
}

// ended waits for the server to close, and closes.
func (c *lineConn) ended() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil {
		c.t.Errorf("not closed, but %q: %v", rest, err)
	}
	c.Close()
}

// irssi registers and quits, on a terminal of its own (script makes one), and must succeed. It returns
// what it saw.
func irssi(t *testing.T, port, how string) string {
	t.Helper()
	peer.Need(t, "irssi", "script")
	home := t.TempDir()
	config := `
settings = { core = { user_name = "joe"; nick = "joe"; real_name = "Joe"; hostname = ""; }; };
logs = { "` + home + `/seen" = { auto_open = "yes"; level = "ALL"; }; };
chatnets = { peer = { type = "IRC"; autosendcmd = "/quit"; }; };
servers = ( { address = "localhost"; port = "` + port + `"; chatnet = "peer"; autoconnect = "yes"; ` + how + ` } );
`
	if err := os.WriteFile(filepath.Join(home, "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	_, status := peer.Run(t, limit, []string{"TERM=xterm"}, "script", "-qec", "irssi --home="+home, "/dev/null")
	seen, _ := os.ReadFile(filepath.Join(home, "seen"))
	if status != 0 || !strings.Contains(string(seen), "Welcome to the peer IRC Network") {
		t.Errorf("irssi, %s: status %d:\n%s", how, status, seen)
	}
	return string(seen)
}

// chats registers and sends a message to itself.
func chats(t *testing.T, addr string) {
	t.Helper()
	c := dialLines(t, addr)
	c.say("NICK ann\r\nUSER ann 0 * :Ann\r\n")
	c.until(" 001 ann ")
	c.say("PRIVMSG ann :six by seven\r\n")
	if line := c.until(" PRIVMSG ann :six by seven"); !strings.HasPrefix(line, ":ann!") {
		t.Errorf("a message from %q", line)
	}
	c.say("QUIT\r\n")
	c.until("ERROR :")
	c.ended()
}

func TestIRCGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	server := peer.StartInspIRCd(t, peer.InspIRCdOptions{Mode: peer.ModePlain})
	for _, level := range []string{"may", "encrypt"} {
		g := begin(t, pki, "irc://127.0.0.1:0?tls="+level, "irc://"+server.Addr)
		upgrades(t, pki, g, "irc", "")
		seen := irssi(t, g.Port, `starttls = "yes"; tls_verify = "yes"; tls_cafile = "`+pki.CAFile+`";`)
		contains(t, seen, "Protocol: TLSv1.3")
		g.logged("outcome=tls", "dialect=irc")
		if level == "may" { // irssi says JOIN in the clear, to hear a refusal
			g.quiet()
		}
	}
}

func TestIRCClientsWithoutTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	server := peer.StartInspIRCd(t, peer.InspIRCdOptions{Mode: peer.ModePlain})
	t.Run("are served where it may be", func(t *testing.T) {
		g := begin(t, pki, "irc://127.0.0.1:0", "irc://"+server.Addr)
		chats(t, g.Addr)
		irssi(t, g.Port, `starttls = "no";`)
		g.logged("outcome=clear", "dialect=irc")
		g.quiet()
	})
	t.Run("are refused where it is demanded", func(t *testing.T) {
		g := begin(t, pki, "irc://127.0.0.1:0?tls=encrypt", "irc://"+server.Addr)
		c := dialLines(t, g.Addr)
		c.say("NICK ann\r\nUSER ann 0 * :Ann\r\n")
		for range 2 {
			c.until(" 451 * :You have not registered: say STARTTLS first")
		}
		c.say("QUIT\r\n")
		c.until("ERROR :")
		c.ended()
		g.logged("outcome=refused", "dialect=irc")
	})
}

func TestIRCBehindAClientWithoutTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	server := peer.StartInspIRCd(t, peer.InspIRCdOptions{Mode: peer.ModeRequired})
	g := begin(t, pki, "irc://127.0.0.1:0?tls=none", "irc://"+server.Addr+"?tls=secure", "--ca", pki.CAFile)
	chats(t, g.Addr)
	irssi(t, g.Port, `starttls = "no";`)
	g.logged("back_tls=\"TLS 1.3\"", "outcome=clear")
	g.quiet()
}

// A real server's list, with the policy of the listener in it.
func TestIRCClientsAreToldToComeByTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	server := peer.StartInspIRCd(t, peer.InspIRCdOptions{Mode: peer.ModePlain})
	const policy = "?sts=port=6697,duration=60"
	lists := func(c *lineConn) string {
		c.say("CAP LS 302\r\n")
		return c.until(" LS :")
	}
	for _, level := range []string{"may", "encrypt"} {
		g := begin(t, pki, "irc://127.0.0.1:0"+policy+"&tls="+level, "irc://"+server.Addr)
		list := lists(dialLines(t, g.Addr))
		contains(t, list, "tls", "sts=port=6697")
		lacks(t, list, "duration")
	}
	g := begin(t, pki, "ircs://127.0.0.1:0"+policy, "irc://"+server.Addr)
	c := dialLines(t, g.Addr)
	c.Conn = tls.Client(c.Conn, &tls.Config{RootCAs: pki.Pool, ServerName: "localhost"})
	c.in = bufio.NewReader(c.Conn)
	list := lists(c)
	contains(t, list, "sts=duration=60")
	lacks(t, list, "port")
}
