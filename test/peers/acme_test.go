package peers

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/acme"
	"starttls/test/peers/peer"
)

// TestKnotTakesUpdates: records are published at a real name server by signed update, are seen there,
// and are taken away.
func TestKnotTakesUpdates(t *testing.T) {
	knot := peer.StartKnot(t)
	update := acme.Update{Server: knot.Addr, Zone: peer.KnotZone, Key: peer.KnotKey, Secret: peer.KnotSecret}
	servers := acme.Servers{Resolver: knot.Addr, Port: knot.Port}
	current := acme.Record{Name: "_25._tcp.mx." + peer.KnotZone, Type: "TLSA", TTL: 90 * time.Second,
		Data: "3 1 1 0000000000000000000000000000000000000000000000000000000000000001"}
	next := current
	next.Data = "3 1 1 00000000000000000000000000000000000000000000000000000000000000ff"
	shown := func(r acme.Record, want bool) {
		t.Helper()
		ttl, everywhere, err := servers.Shown(t.Context(), r)
		if err != nil || everywhere != want || want && ttl != r.TTL {
			t.Errorf("%s is shown: %v for %v, %v", r.Data, everywhere, ttl, err)
		}
	}
	shown(current, false)
	for _, r := range []acme.Record{current, next} {
		if err := update.Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	shown(current, true)
	shown(next, true)
	if err := update.Remove(t.Context(), current); err != nil {
		t.Fatal(err)
	}
	shown(current, false)
	shown(next, true)
	text := acme.Record{Name: "_acme-challenge.mx." + peer.KnotZone, Type: "TXT", TTL: time.Minute, Data: `a "quoted" text; with \ and more`}
	if err := update.Add(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	shown(text, true)
}

// TestKnotRefusesUpdates of who is not allowed to.
func TestKnotRefusesUpdates(t *testing.T) {
	knot := peer.StartKnot(t)
	r := acme.Record{Name: "x." + peer.KnotZone, Type: "TXT", Data: "x"}
	for name, update := range map[string]acme.Update{
		"without a key":  {Server: knot.Addr, Zone: peer.KnotZone},
		"another secret": {Server: knot.Addr, Zone: peer.KnotZone, Key: peer.KnotKey, Secret: "AAAA" + peer.KnotSecret[4:]},
		"another key":    {Server: knot.Addr, Zone: peer.KnotZone, Key: "other", Secret: peer.KnotSecret},
		"another zone":   {Server: knot.Addr, Zone: "example.org", Key: peer.KnotKey, Secret: peer.KnotSecret},
	} {
		t.Run(name, func(t *testing.T) {
			if err := update.Add(t.Context(), r); err == nil {
				t.Error("taken")
			}
		})
	}
}

// TestCertificateFromACME: the gateway gets its certificates by ACME, serves with a placeholder until it
// has them, and has both kinds of key.
func TestCertificateFromACME(t *testing.T) {
	t.Parallel()
	pebble := peer.StartPebble(t)
	dir := t.TempDir()
	path, config := filepath.Join(dir, "s"), filepath.Join(dir, "starttls.toml")
	text := fmt.Sprintf(`
state = %q
[acme]
directory = %q
ca = %q
http = "127.0.0.1:%s"
[[acme.certificate]]
names = ["mail.example.test"]
key = "both"
[[route]]
listen = "smtp+unix:%s"
`, dir, pebble.Directory, pebble.CAFile, pebble.HTTPPort, path)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	all := beginInstances(t, dir, "--config", config)
	until(t, "listener", func() bool { _, err := os.Stat(path); return err == nil })
	until(t, "certificates of the CA", func() bool { return strings.Count(all.log(), "certificate obtained") == 2 })
	for _, suite := range []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256} {
		until(t, "certificate of the CA in a handshake", func() bool {
			raw, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := starttls.Client(t.Context(), raw, &dialect.SMTP, &starttls.Config{TLS: &tls.Config{
				InsecureSkipVerify: true, ServerName: "mail.example.test", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite},
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			leaf := conn.ConnectionState().PeerCertificates[0]
			return strings.HasPrefix(leaf.Issuer.CommonName, "Pebble") && leaf.VerifyHostname("mail.example.test") == nil
		})
	}
	if strings.Contains(all.log(), "level=ERROR") {
		t.Errorf("the log:\n%s", all.log())
	}
}
