package peer

import (
	"strings"
	"syscall"
)

// UnboundOptions say what StartUnbound resolves from.
type UnboundOptions struct {
	Anchor  string   // trust anchor, DS or DNSKEY records in lines
	Forward string   // address of a resolver, "127.0.0.1:5300"
	Server  string   // or that of a name server of Zones: its port is in no NS record
	Zones   []string // all of them, the root first
	Listen  string   // the address to answer at; if empty, a free port of 127.0.0.1
	// Conf is the configuration, instead of all others but Listen.
	Conf string
}

// Unbound is a running resolver that validates.
type Unbound struct {
	Addr string
	PID  int // of its process group too
	Log  string
}

// StartUnbound starts a resolver.
func StartUnbound(t T, o UnboundOptions) *Unbound {
	t.Helper()
	in := begin(t, "unbound", "unbound")
	if o.Listen == "" {
		o.Listen = in.addrs(1)[0]
	}
	if o.Conf == "" {
		o.Conf = in.write("unbound.conf", unboundConf(in, o)...)
	}
	in.start(in.command("unbound", "-d", "-c", o.Conf), syscall.SIGTERM, o.Listen)
	return &Unbound{Addr: o.Listen, PID: in.pid, Log: in.log}
}

// unboundConf is for a resolver that knows the lab's names, and remembers nothing for longer than a second.
func unboundConf(in *instance, o UnboundOptions) []string {
	at := func(addr string) string { return strings.Replace(addr, ":", "@", 1) }
	conf := []string{
		"server:",
		"  interface: " + at(o.Listen),
		`  username: ""`, `  chroot: ""`, `  pidfile: ""`,
		`  directory: "` + in.dir + `"`,
		"  use-syslog: no", "  verbosity: 1", "  val-log-level: 2", "  log-servfail: yes", "  ede: yes",
		"  num-threads: 1", "  do-ip6: no",
		"  do-not-query-localhost: no",
		`  module-config: "validator iterator"`,
		`  trust-anchor-file: "` + in.write("anchor", o.Anchor) + `"`,
		"  cache-max-ttl: 1", "  cache-max-negative-ttl: 1", "  val-bogus-ttl: 1", "  infra-host-ttl: 1",
		"  infra-keep-probing: yes", "  infra-cache-max-rtt: 2000",
		"  val-nsec3-keysize-iterations: \"1024 150 2048 500 4096 2500\"",
	}
	for _, zone := range strings.Fields("test. example. invalid. onion. home.arpa. 127.in-addr.arpa.") {
		conf = append(conf, `  local-zone: "`+zone+`" nodefault`)
	}
	conf = append(conf, "remote-control:", "  control-enable: no")
	for _, zone := range o.Zones {
		conf = append(conf, "stub-zone:", `  name: "`+zone+`"`, "  stub-addr: "+at(o.Server), "  stub-prime: no")
	}
	if o.Forward != "" {
		conf = append(conf, "forward-zone:", `  name: "."`, "  forward-addr: "+at(o.Forward))
	}
	return conf
}
