package lab

import (
	"fmt"
	"path/filepath"
)

// Files returns what other programs need to work on the lab, by file name, as it has to be in the folder
// dir: authorities, trust anchor, and configuration for Unbound and Postfix. With [RealPorts] Unbound
// resolves from the root down; else it asks the lab's resolver, at whatever port that is.
func (l *Lab) Files(dir string) map[string]string {
	files := map[string]string{
		"ca.pem":      string(l.RootsPEM()),
		"anchor":      l.Anchor(),
		"root.hints":  fmt.Sprintf(". 3600000 NS ns.\nns. 3600000 A %s\n", l.Root().Addr()),
		"resolv.conf": fmt.Sprintf("nameserver %s\noptions trust-ad edns0\n", l.address(0, 53)),
		"postfix.cf":  l.postfix(dir),
	}
	way := fmt.Sprintf("forward-zone:\n  name: \".\"\n  forward-addr: %s@%d\n", l.Resolver().Addr(), l.ports.DNS)
	if l.ports.DNS == RealPorts.DNS {
		way = fmt.Sprintf("server:\n  root-hints: %q\n", filepath.Join(dir, "root.hints"))
	}
	files["unbound.conf"] = fmt.Sprintf(`# unbound -d -c unbound.conf
server:
  interface: %s@%d
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  do-ip6: no
  num-threads: 1
  module-config: "validator iterator"
  trust-anchor-file: %q
  # The lab is on loopback, and below a name that is set aside.
  do-not-query-localhost: no
  local-zone: "test." nodefault
  cache-max-ttl: 60
  cache-max-negative-ttl: 5
  # On a busy machine an answer comes late; nobody is to be given up for it.
  infra-host-ttl: 5
  infra-keep-probing: yes
  infra-cache-max-rtt: 2000
  val-log-level: 2
  ede: yes
remote-control:
  control-enable: no
%s`, l.address(0, 53), l.ports.DNS, filepath.Join(dir, "anchor"), way)
	return files
}

func (l *Lab) postfix(dir string) string {
	text := fmt.Sprintf(`# Lines for main.cf. Postfix has to find resolv.conf as /etc/resolv.conf:
#   unshare -m sh -c 'mount --bind %s /etc/resolv.conf && exec postfix start-fg'
smtp_dns_support_level = dnssec
smtp_tls_security_level = dane
smtp_tls_CAfile = %s
smtp_tls_loglevel = 1
inet_protocols = ipv4
`, filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "ca.pem"))
	if l.ports.Mail != RealPorts.Mail {
		text += fmt.Sprintf("transport_maps = regexp:{ {/@(.+)$/ smtp:$1:%d} }\n", l.ports.Mail)
	}
	return text
}
