package cli

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestReloadTakesABackendOut: its sessions go on, and new clients get the others.
func TestReloadTakesABackendOut(t *testing.T) {
	r := startReloading(t, "one", "two")
	names := []string{"one", "two"}
	several := func(backends ...string) {
		r.configure(append(names, fmt.Sprintf("front:backend = [%s]", strings.Join(backends, ", ")))...)
		r.reload()
	}
	one, two := fmt.Sprintf("%q", "smtp+unix:"+r.dir+"/one"), fmt.Sprintf("%q", "smtp+unix:"+r.dir+"/two")
	several(one, two)
	live := func(name string) int {
		for _, s := range *r.board.routes.Load() {
			if s.Name == name {
				return s.server.Live()
			}
		}
		return -1
	}
	before := r.dial("front")
	before.lives()
	ones := live("one")
	several(two)
	before.lives()
	after := r.dial("front")
	after.lives()
	if live("one") > ones || live("two") == 0 {
		t.Errorf("one has %d sessions, two has %d\n%s", live("one"), live("two"), r.said)
	}
	before.lives()
	before.conn.(*net.UnixConn).Close()
}
