package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"starttls/internal/store"
	"starttls/mtasts"
)

func init() { children["fill"] = fill }

// TestFullDisk: another process sees a small disk where we see a folder.
func TestFullDisk(t *testing.T) {
	cmd := child(t.Context(), "fill", "sqlite:"+filepath.Join(t.TempDir(), "store.db"))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	err := cmd.Run()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		if os.Getenv("CI") == "true" {
			t.Fatal("no mounts of its own for a process here: ", err)
		}
		t.Skip("no mounts of its own for a process here: ", err)
	}
	if err != nil {
		t.Error(err)
	}
}

// fill fills the disk, sees that the store goes on in memory, and then that it writes when there is room.
func fill(url string) error {
	file := strings.TrimPrefix(url, "sqlite:")
	dir := filepath.Dir(file)
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=2m"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		return err
	}
	s, err := store.Open(store.Config{URL: url})
	if err != nil {
		return err
	}
	defer s.Close()
	ctx := context.Background()
	p, err := mtasts.ParsePolicy([]byte(text + "note: " + strings.Repeat("x", 10_000) + "\n"))
	if err != nil {
		return err
	}
	put := func(n int) error {
		s.Policies.Put(ctx, mtasts.Entry{Domain: fmt.Sprintf("d%d.example", n), ID: "1", Policy: p, Fetched: time.Now(), Used: time.Now()})
		return s.Flush(ctx)
	}
	n := 0
	for ; err == nil; n++ {
		if n == 1000 {
			return errors.New("10 MB on a disk of 2 MB")
		}
		err = put(n)
	}
	if !strings.Contains(err.Error(), "full") || s.Health().Err == nil {
		return fmt.Errorf("not told that the disk is full: %w", err)
	}
	if _, ok := s.Policies.Get(ctx, fmt.Sprintf("d%d.example", n-1)); !ok {
		return errors.New("not even in memory")
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if err := s.Flush(ctx); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	other, err := store.Open(store.Config{URL: url})
	if err != nil {
		return err
	}
	defer other.Close()
	if err := other.Flush(ctx); err != nil {
		return err
	}
	for i := range n {
		if _, ok := other.Policies.Get(ctx, fmt.Sprintf("d%d.example", i)); !ok {
			return fmt.Errorf("policy %d of %d was lost", i, n)
		}
	}
	return nil
}
