//go:build linux

package faults

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"starttls/internal/acme"
)

// smallDisk names the folder that is a small disk, for a test that runs in a place of its own.
const smallDisk = "STARTTLS_FAULTS_DISK"

// onASmallDisk runs the rest of a test in a process that sees a disk of two megabytes where others see a
// folder.
func onASmallDisk(t *testing.T, rest func(t *testing.T, dir string)) {
	t.Helper()
	t.Parallel()
	if dir := os.Getenv(smallDisk); dir != "" {
		if err := syscall.Mount("none", dir, "tmpfs", 0, "size=2m"); err != nil {
			t.Fatal(err)
		}
		rest(t, dir)
		return
	}
	ran, err := again(t, smallDisk+"="+folder(t), &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	})
	switch {
	case err == nil:
	case !ran && os.Getenv("CI") != "true":
		t.Skip("no mounts of its own for a process here: ", err)
	default:
		t.Error(err)
	}
}

// fill leaves no room on the disk of a folder, until free.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 512); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() { os.Remove(ballast) }
}

// TestAFullDisk under a gateway and what it keeps: sessions go on and new ones are served, old and new
// routes alike. A program that needs to write before it can serve does not start, and says why.
func TestAFullDisk(t *testing.T) {
	onASmallDisk(t, func(t *testing.T, dir string) {
		// What is kept, and what is said, is elsewhere: the test reads it.
		own := folder(t)
		if err := os.Symlink(dir, own+"/state"); err != nil {
			t.Fatal(err)
		}
		newBackend(t, own+"/back")
		p := startGateway(t, own, route("a", "back"))
		before := p.rests()
		all := beginOthers(t, 3, p.path("a"))
		free := fill(t, dir)
		p.configure(route("a", "back") + route("b", "back"))
		p.signal(syscall.SIGHUP)
		p.logged("configuration reloaded", "routes=2")
		more := append(beginOthers(t, 1, p.path("a")), beginOthers(t, 1, p.path("b"))...)
		more.undisturbed(t)
		more.end(t)
		all.undisturbed(t)

		second := prepare(t, folder(t), "gateway", "smtp+unix:"+p.path("c"), "--state", dir+"/second")
		second.start()
		<-second.gone
		if said := second.text("err"); second.cmd.ProcessState.ExitCode() != 2 || !strings.Contains(said, "no space left") {
			t.Errorf("a program that must write ends with %v: %s", second.cmd.ProcessState, said)
		}
		free()
		all.undisturbed(t)
		all.end(t)
		p.configure(route("a", "back"))
		p.signal(syscall.SIGHUP)
		p.logged("configuration reloaded", "routes=1")
		p.clean(before)
	})
}

// TestAFullDiskUnderAStore is a store that is gone.
func TestAFullDiskUnderAStore(t *testing.T) {
	onASmallDisk(t, func(t *testing.T, dir string) {
		var free func()
		storeGone(t, folder(t), "sqlite:"+dir+"/kept.db", func() { free = fill(t, dir) }, func() { free() })
	})
}

// TestAFullDiskAsksNoCA: what it gave could not be kept, and it gives the same only so often.
func TestAFullDiskAsksNoCA(t *testing.T) {
	onASmallDisk(t, func(t *testing.T, dir string) {
		c := newCA(t, "https://ca.test")
		m := &acme.Manager{Directory: c.url + "/dir", Folder: dir, Transport: c}
		if err := m.Prepare(wanted); err != nil {
			t.Fatal(err)
		}
		before := file(t, m)
		free := fill(t, dir)
		if _, _, err := m.Ensure(t.Context(), wanted); !errors.Is(err, syscall.ENOSPC) || c.certified > 0 {
			t.Errorf("%d certificates were asked for: %v", c.certified, err)
		}
		if string(before) != string(file(t, m)) {
			t.Error("what there was is gone")
		}
		free()
		if changed, _, err := m.Ensure(t.Context(), wanted); err != nil || !changed {
			t.Errorf("with room again: %v, %v", changed, err)
		}
	})
}

// TestALogThatCannotBeWritten stops nobody.
func TestALogThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	newBackend(t, dir+"/back")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	p := startGateway(t, dir, route("a", "back"), func(p *program) { p.cmd.Stderr = full })
	before := p.rests()
	all := beginOthers(t, 3, p.path("a"))
	for range 5 {
		more := beginOthers(t, 1, p.path("a"))
		more.undisturbed(t)
		more.end(t)
	}
	p.until("the sessions to be counted", func() bool { return p.metric(`starttls_sessions_total{route="a",outcome="tls"}`) == 5 })
	all.undisturbed(t)
	all.end(t)
	p.clean(before)
}
