package peer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starttls/test/peers/peer"
)

// irssi registers and quits, on a terminal of its own (script makes one). It
// returns what irssi saw. A start of irssi that must fail would wait for ever.
func irssi(t *testing.T, must bool, addr, how string) (seen string) {
	t.Helper()
	home := t.TempDir()
	config := `
settings = { core = { user_name = "joe"; nick = "joe"; real_name = "Joe"; hostname = ""; }; };
logs = { "` + home + `/seen" = { auto_open = "yes"; level = "ALL"; }; };
chatnets = { peer = { type = "IRC"; autosendcmd = "/quit"; }; };
servers = ( { address = "localhost"; port = "` + portOf(addr) + `"; chatnet = "peer"; autoconnect = "yes"; ` + how + ` } );
`
	if err := os.WriteFile(filepath.Join(home, "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	peer.Need(t, "irssi")
	patience := limit
	if !must {
		patience = 2 * time.Second
	}
	_, status := peer.Run(t, patience, []string{"TERM=xterm"}, "script", "-qec", "irssi --home="+home, "/dev/null")
	seen = read(filepath.Join(home, "seen"))
	if in := status == 0 && strings.Contains(seen, "Welcome to the peer IRC Network"); in != must {
		t.Errorf("irssi, %s: let in %v, want %v:\n%s", how, in, must, seen)
	}
	return seen
}

func TestInspIRCd(t *testing.T) {
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain, peer.ModeRequired} {
		serve(t, mode.String(), func(t *testing.T) (string, []string) {
			pki := peer.NewPKI(t)
			i := peer.StartInspIRCd(t, peer.InspIRCdOptions{Mode: mode})
			if mode != peer.ModePlain {
				upgrade(t, pki, i.Addr, "irc")
			}
			seen := irssi(t, mode != peer.ModePlain, i.Addr, `starttls = "yes"; tls_verify = "yes"; tls_cafile = "`+pki.CAFile+`";`)
			if mode != peer.ModePlain && !strings.Contains(seen, "Protocol: TLSv1") {
				t.Errorf("no TLS:\n%s", seen)
			}
			irssi(t, mode != peer.ModeRequired, i.Addr, `starttls = "no";`)
			return i.Log, []string{i.Addr}
		})
	}
}
