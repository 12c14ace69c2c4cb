package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mholt/acmez/v3"

	"starttls/internal/accept"
	"starttls/internal/acme"
	"starttls/internal/cert"
	"starttls/internal/config"
	"starttls/resolver"
)

// acmeTasks are the certificates that are got from a CA and kept fresh.
type acmeTasks struct {
	config.ACME
	file    *config.File
	manager *acme.Manager
	tasks   []acme.Task

	onPort80  acme.HTTP01
	onPort443 acme.TLSALPN01
	listeners []net.Listener
	serve     []func(context.Context)
}

// newACME reads what the configuration wants, and sees to it that there is a file for each certificate.
// look says to read only.
func newACME(file *config.File, log *slog.Logger, look bool) (*acmeTasks, error) {
	t := &acmeTasks{ACME: file.ACME, file: file}
	if len(t.Certificates) == 0 {
		return t, nil
	}
	t.manager = &acme.Manager{
		Directory: t.Directory, Contact: t.Contact, Folder: acmeFolder(file), Log: log, Solvers: make(map[string]acmez.Solver),
	}
	var err error
	if t.CA != "" {
		if t.manager.Roots, err = readRoots("acme.ca", t.CA); err != nil {
			return nil, err
		}
	}
	if err := t.solvers(); err != nil {
		return nil, err
	}
	for i, c := range t.Certificates {
		if err := t.add(fmt.Sprintf("acme.certificate[%d]", i), c); err != nil {
			return nil, err
		}
	}
	for _, task := range t.tasks {
		if look {
			break
		}
		if err := t.manager.Prepare(task.Wanted); err != nil {
			return nil, failed(err)
		}
	}
	return t, nil
}

func acmeFolder(file *config.File) string {
	return filepath.Join(cmp.Or(file.State, defaultState()), "acme")
}

// wanted returns what one entry asks for: two certificates, if it wants both kinds of key.
func wanted(c config.ACMECertificate) (all []acme.Wanted, ok bool) {
	for _, isRSA := range map[string][]bool{"": {false}, "ecdsa": {false}, "rsa": {true}, "both": {false, true}}[c.Key] {
		all = append(all, acme.Wanted{Names: c.Names, RSA: isRSA})
	}
	return all, len(all) > 0
}

// acmeFiles returns the files of the certificates that the configuration wants, ECDSA before RSA.
func acmeFiles(file *config.File) (all []cert.Pair) {
	m := acme.Manager{Folder: acmeFolder(file)}
	for _, c := range file.ACME.Certificates {
		kinds, _ := wanted(c)
		for _, w := range kinds {
			all = append(all, cert.Pair{Cert: m.File(w), Key: m.File(w)})
		}
	}
	return all
}

// solvers says how names are proved.
func (t *acmeTasks) solvers() error {
	if t.Port80 != "" {
		t.manager.Solvers["http-01"] = &t.onPort80
	}
	if t.Port443 != "" {
		t.manager.Solvers["tls-alpn-01"] = &t.onPort443
	}
	dns, err := t.publisher()
	if err != nil {
		return err
	}
	if dns != nil {
		t.manager.Solvers["dns-01"] = &acme.DNS01{DNS: dns}
	}
	if len(t.manager.Solvers) == 0 {
		return t.file.Errorf("acme", "there is no way to prove names: http, tls-alpn, dns-hook or dns-update is needed")
	}
	return nil
}

// publisher is how records come into the DNS, nil if there is no way.
func (t *acmeTasks) publisher() (acme.Publisher, error) {
	u := t.DNSUpdate
	switch {
	case u != (config.DNSUpdate{}) && t.DNSHook != "":
		return nil, t.file.Errorf("acme.dns-hook", "dns-hook and dns-update: one of them")
	case t.DNSHook != "":
		return acme.Hook{Command: t.DNSHook}, nil
	case u == (config.DNSUpdate{}):
		return nil, nil
	case u.Server == "" || u.Zone == "":
		return nil, t.file.Errorf("acme.dns-update", "server and zone are needed")
	}
	update := acme.Update{Server: u.Server, Zone: u.Zone, Key: u.Key, Algorithm: u.Algorithm}
	if u.Key != "" {
		var err error
		if update.Secret, err = firstLine(os.ReadFile(u.SecretFile)); err != nil {
			return nil, t.file.Errorf("acme.dns-update.secret-file", "%v", err)
		}
	}
	return update, nil
}

// add adds the tasks of one entry.
func (t *acmeTasks) add(key string, c config.ACMECertificate) error {
	if len(c.Names) == 0 {
		return t.file.Errorf(key, "names are needed")
	}
	kinds, ok := wanted(c)
	if !ok {
		return t.file.Errorf(key+".key", "unknown kind of key %q; the kinds are ecdsa, rsa, both", c.Key)
	}
	life, err := t.file.Duration(key+".key-life", c.KeyLife, 0)
	if err != nil {
		return err
	}
	if life > 0 && len(c.TLSA) == 0 {
		return t.file.Errorf(key+".key-life", "which TLSA records pin the key? say tlsa = [\"_25._tcp.%s\"]", c.Names[0])
	}
	dns, err := t.publisher()
	if err != nil {
		return err
	}
	roll := acme.Roll{Owners: c.TLSA, DNS: dns}
	if life > 0 {
		server, err := t.resolver()
		if err != nil {
			return err
		}
		roll.Shown = acme.Servers{Resolver: server}.Shown
	}
	for _, w := range kinds {
		t.tasks = append(t.tasks, acme.Task{Wanted: w, Life: life, Roll: roll})
	}
	return nil
}

// resolver is the address of the first DNS server that can be asked in the clear, as package acme does.
func (t *acmeTasks) resolver() (string, error) {
	servers := t.file.DNS.Servers
	if len(servers) == 0 {
		var err error
		if servers, err = resolver.SystemServers("/etc/resolv.conf"); err != nil {
			return "", failed(err)
		}
	}
	for _, server := range servers {
		if _, err := netip.ParseAddrPort(server); err == nil {
			return server, nil
		}
		if addr, err := netip.ParseAddr(strings.Trim(server, "[]")); err == nil {
			return netip.AddrPortFrom(addr, 53).String(), nil
		}
	}
	return "", t.file.Errorf("dns.servers", "key-life needs one that is asked in the clear: ADDRESS or ADDRESS:PORT")
}

// listen opens where names are proved.
func (t *acmeTasks) listen(sockets *handed) error {
	open := func(address string, serve func(context.Context, net.Listener)) error {
		if address == "" || t.manager == nil {
			return nil
		}
		ln, err := sockets.listen(address)
		if err == nil {
			t.listeners = append(t.listeners, ln)
			t.serve = append(t.serve, func(ctx context.Context) { serve(ctx, ln) })
		}
		return err
	}
	return errors.Join(
		open(t.Port80, func(ctx context.Context, ln net.Listener) { serveWeb(ctx, ln, &t.onPort80, t.manager.Log) }),
		open(t.Port443, func(ctx context.Context, ln net.Listener) { proveByTLS(ctx, ln, t.onPort443.Config(), t.manager.Log) }))
}

// proofTime is how long a handshake may last that is a proof.
const proofTime = 10 * time.Second

// proveByTLS shakes hands with everybody who comes, and hangs up: the handshake is the proof.
func proveByTLS(ctx context.Context, ln net.Listener, config *tls.Config, log *slog.Logger) {
	accept.Each(ctx, accept.AtMost(ln, maxWeb), log, func(conn net.Conn) {
		conn.SetDeadline(time.Now().Add(proofTime))
		go func() {
			tls.Server(conn, config).Handshake()
			conn.Close()
		}()
	})
}

// run keeps the certificates fresh until ctx ends.
func (t *acmeTasks) run(ctx context.Context) {
	for _, serve := range t.serve {
		go serve(ctx)
	}
	context.AfterFunc(ctx, func() {
		for _, ln := range t.listeners {
			ln.Close()
		}
	})
	if len(t.tasks) > 0 {
		go t.manager.Run(ctx, t.tasks)
	}
}
