//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of CPU time in /proc: USER_HZ is 100 on every architecture that Go knows.
const tick = 10 * time.Millisecond

// group returns the processes of a process group.
func group(pgid int) (pids []string) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		if f := statFields(path); len(f) > 2 && f[2] == strconv.Itoa(pgid) {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}

// statFields returns what follows the command in /proc/PID/stat, which may hold anything: STATE PPID
// PGRP …, proc_pid_stat(5).
func statFields(path string) []string {
	text, _ := os.ReadFile(path)
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

// cpuTime is what the processes of a group have used, user and system, threads that ended included.
func cpuTime(pgid int) time.Duration {
	var ticks int64
	for _, pid := range group(pgid) {
		f := statFields("/proc/" + pid + "/stat")
		for _, i := range []int{11, 12} { // utime, stime
			if i < len(f) {
				n, _ := strconv.ParseInt(f[i], 10, 64)
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * tick
}

// ownTime is the same for this program: clients and backend.
func ownTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memory returns the bytes of a group that are resident, pages shared with others counted in part.
func memory(pgid int) (pss int64) {
	for _, pid := range group(pgid) {
		text, _ := os.ReadFile("/proc/" + pid + "/smaps_rollup")
		if m := pssLine.FindSubmatch(text); m != nil {
			kib, _ := strconv.ParseInt(string(m[1]), 10, 64)
			pss += kib << 10
		}
	}
	return pss
}

var pssLine = regexp.MustCompile(`(?m)^Pss:\s+(\d+) kB`)

// firstLines returns the beginning of what a program prints, on one line.
func firstLines(cmd *exec.Cmd, n int) string {
	out, err := cmd.CombinedOutput()
	if len(out) == 0 {
		return fmt.Sprint(err)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "Initializing") || strings.HasPrefix(line, "configure") {
			continue
		}
		if lines = append(lines, line); len(lines) == n {
			break
		}
	}
	return strings.Join(lines, "; ")
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(text))
}

var modelLine = regexp.MustCompile(`(?m)^model name\s*: (.*)$`)

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	if m := modelLine.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return "unknown model"
}
