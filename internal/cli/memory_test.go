package cli

import (
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

// TestMemoryOfTheGroup: the least bound on the way up counts, whatever else is there.
func TestMemoryOfTheGroup(t *testing.T) {
	for name, row := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no groups":        {nil, math.MaxInt64},
		"a service":        {map[string]string{"proc/self/cgroup": "0::/system.slice/starttls-gateway.service\n", "sys/fs/cgroup/system.slice/starttls-gateway.service/memory.max": "268435456\n"}, 256 << 20},
		"no bound":         {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/a/memory.high": "max\n"}, math.MaxInt64},
		"high before max":  {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "3000\n", "sys/fs/cgroup/a/memory.high": "2000\n"}, 2000},
		"above":            {map[string]string{"proc/self/cgroup": "0::/a/b/c\n", "sys/fs/cgroup/a/b/c/memory.max": "3000\n", "sys/fs/cgroup/a/memory.max": "1000\n"}, 1000},
		"a container":      {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "5000\n"}, 5000},
		"version 1 beside": {map[string]string{"proc/self/cgroup": "5:memory:/x\n0::/a\n", "sys/fs/cgroup/a/memory.max": "7\n", "sys/fs/cgroup/x/memory.max": "1\n"}, 7},
		"noise":            {map[string]string{"proc/self/cgroup": "0::/a\n0::", "sys/fs/cgroup/a/memory.max": "-1\n", "sys/fs/cgroup/memory.max": "\x00"}, math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for file, text := range row.files {
				root[file] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := groupMemory(root); got != row.want {
				t.Errorf("got %d, want %d", got, row.want)
			}
		})
	}
}

// The collector is left alone where the environment or a small bound of memory speaks of it, for what it is
// given to keep counts against the bound.
func TestTheCollectorIsTunedWhereThereIsRoom(t *testing.T) {
	for _, c := range []struct {
		what, gogc string
		limit      int64
		tuned      bool
	}{
		{"no bound", "", math.MaxInt64, true},
		{"a small container", "", 256 << 20, false},
		{"the environment", "100", math.MaxInt64, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Setenv("GOGC", c.gogc)
			percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(c.limit)
			kept := tuneCollector()
			if got := debug.SetGCPercent(percent); (got == garbagePercent) != c.tuned || (len(kept) > 0) != c.tuned {
				t.Errorf("%d %%, %d bytes kept", got, len(kept))
			}
			debug.SetMemoryLimit(limit)
		})
	}
}
