//go:build !linux

package peer

import (
	"errors"
	"os"
	"syscall"
)

// Need skips before any of these is called; they are here so that tests which
// use the package still compile elsewhere.

func childAttr() *syscall.SysProcAttr                { return nil }
func runAs(*syscall.SysProcAttr, account)            {}
func signalGroup(pgid int, sig syscall.Signal) error { return errors.ErrUnsupported }
func groupRuns(pgid int) bool                        { return false }
func runningIn(dir string) []int                     { return nil }
func ownedBy(info os.FileInfo, uid int) bool         { return false }
func freeBytes(dir string) uint64                    { return 0 }
