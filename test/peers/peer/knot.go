package peer

import (
	"net"
	"syscall"
)

// The zone that StartKnot serves, and the key that may change it (RFC 8945).
const (
	KnotZone   = "dyn.test"
	KnotKey    = "update"
	KnotSecret = "c3RhcnR0bHMtcGVlci1zZWNyZXQtb2YtMzItYnl0ZXM=" // base64
)

// Knot is a running Knot DNS, primary for KnotZone, which it lets KnotKey change (RFC 2136). The zone
// names a server at 127.0.0.1.
type Knot struct {
	Addr string
	Port string
	Log  string
}

// StartKnot starts it.
func StartKnot(t T) *Knot {
	t.Helper()
	in := begin(t, "knot", "knotd")
	addr := in.addrs(1)[0]
	_, port, err := net.SplitHostPort(addr)
	in.fatal(err)
	in.write(KnotZone+".zone",
		"$ORIGIN "+KnotZone+".", "$TTL 60",
		"@ SOA ns hostmaster 1 3600 600 86400 60", "@ NS ns", "ns A 127.0.0.1", "mx A 127.0.0.1")
	conf := in.write("knot.conf",
		"server:", `    rundir: "`+in.dir+`"`, "    listen: 127.0.0.1@"+port,
		"log:", "  - target: stderr", "    any: info",
		"database:", `    storage: "`+in.mkdir("db", 0o700, account{})+`"`,
		"key:", "  - id: "+KnotKey, "    algorithm: hmac-sha256", "    secret: "+KnotSecret,
		"acl:", "  - id: update", "    key: "+KnotKey, "    action: update",
		"zone:", "  - domain: "+KnotZone, `    storage: "`+in.dir+`"`, "    acl: update")
	in.start(in.command("knotd", "-c", conf), syscall.SIGTERM, addr)
	return &Knot{Addr: addr, Port: port, Log: in.log}
}
