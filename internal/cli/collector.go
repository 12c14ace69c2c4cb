package cli

import (
	"os"
	"runtime/debug"
)

// What lives in a gateway is mostly sessions that wait, and garbage is mostly that of handshakes. So the
// collector runs when garbage is a quarter of what lives, where Go's own measure is as much again; but not
// for less than it takes to be worth it: with few sessions it would run a hundred times a second.
const (
	garbagePercent = 25
	leastGarbage   = 16 << 20
)

// tuneCollector sets that, unless the environment says otherwise. What it returns counts as alive, and is
// never touched, so that the system gives no memory for it; it is to be kept.
func tuneCollector() (ballast []byte) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	debug.SetGCPercent(garbagePercent)
	return make([]byte, leastGarbage*100/garbagePercent)
}
