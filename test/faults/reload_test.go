//go:build linux

package faults

import (
	"strings"
	"syscall"
	"testing"
)

// TestAReloadWithAMistake changes nothing and is told, however often; the next that has none is obeyed.
func TestAReloadWithAMistake(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	newBackend(t, dir+"/back")
	p := startGateway(t, dir, route("a", "back"))
	before := p.rests()
	all := beginOthers(t, 3, p.path("a"))
	for i, mistake := range []string{
		"colour = \"red\"\n", "[[route]]\nlisten = \"smtp+unix:DIR/no/such/folder\"\n",
		route("b", "back", "[[route.certificate]]", "cert = \"DIR/none.pem\""),
	} {
		p.configure(route("a", "back", "max-connections = 5") + mistake)
		p.signal(syscall.SIGHUP)
		p.until("word of it", func() bool { return p.lines("level=ERROR", "the one before stays in force") == i+1 })
		more := beginOthers(t, 1, p.path("a"))
		more.undisturbed(t)
		more.end(t)
		all.undisturbed(t)
	}
	p.clean(before.with(all))

	p.configure(route("a", "back") + route("b", "back"))
	p.signal(syscall.SIGHUP)
	p.logged("configuration reloaded", "routes=2", "as_before=1")
	second := beginOthers(t, 1, p.path("b"))
	second.undisturbed(t)
	second.end(t)
	p.configure(route("a", "back"))
	p.signal(syscall.SIGHUP)
	p.logged("configuration reloaded", "routes=1", "as_before=1")
	all.undisturbed(t)
	all.end(t)
	p.clean(before)
	if strings.Contains(p.text("err"), "broken off") {
		t.Error("sessions were broken off")
	}
}
