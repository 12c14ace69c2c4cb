package cli

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// boundMemory tells Go's runtime how much memory the program may have, if whoever runs it has set a bound by control
// groups: it collects garbage more often near that, where the kernel would kill it. The environment's GOMEMLIMIT
// goes before.
func boundMemory(root fs.FS) {
	if limit := groupMemory(root); os.Getenv("GOMEMLIMIT") == "" && limit < math.MaxInt64 {
		// The rest is for what the kernel counts besides: the buffers of sockets above all.
		debug.SetMemoryLimit(limit / 5 * 4)
	}
}

// What lives in a gateway is mostly sessions that wait, and garbage is mostly that of handshakes. So the collector runs
// when garbage is a quarter of what lives, where Go's own measure is as much again; but not for less than is worth it:
// with few sessions it would run hundreds of times a second.
const (
	garbagePercent = 25
	leastGarbage   = 8 << 20
	ballast        = leastGarbage * 100 / garbagePercent
)

// tuneCollector sets that, unless the environment's GOGC says otherwise or memory is bounded to little. What it
// returns, if anything, counts as alive and is to be kept; it is never touched, so that the system gives no memory
// for it.
func tuneCollector() []byte {
	if os.Getenv("GOGC") != "" || debug.SetMemoryLimit(-1) < 16*ballast {
		return nil
	}
	debug.SetGCPercent(garbagePercent)
	return make([]byte, ballast)
}

// groupMemory returns the least of what our control group and those above it may have, in bytes (cgroups(7), version
// 2). Without a bound it is math.MaxInt64.
func groupMemory(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return least
	}
	for line := range strings.Lines(string(groups)) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/")
		if !ok {
			continue
		}
		for ; ; group = path.Dir(group) {
			for _, file := range []string{"memory.max", "memory.high"} {
				text, err := fs.ReadFile(root, path.Join("sys/fs/cgroup", group, file))
				if n, perr := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && perr == nil && n > 0 {
					least = min(least, n)
				}
			}
			if group == "." || group == "" {
				break
			}
		}
	}
	return least
}
