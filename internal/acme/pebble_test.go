package acme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mholt/acmez/v3"

	"starttls/test/peers/peer"
)

func manager(t *testing.T, p *peer.Pebble, solvers map[string]acmez.Solver) *Manager {
	return &Manager{Directory: p.Directory, Roots: p.Roots, Folder: t.TempDir(), Solvers: solvers, Contact: []string{"mailto:a@example.test"}}
}

// testDNS publishes records at the server's own DNS.
type testDNS string

func (d testDNS) Add(ctx context.Context, r Record) error { return d.post(ctx, "set-txt", r) }

func (d testDNS) Remove(ctx context.Context, r Record) error { return d.post(ctx, "clear-txt", r) }

func (d testDNS) post(ctx context.Context, what string, r Record) error {
	body := fmt.Sprintf(`{"host":%q,"value":%q}`, r.Name+".", r.Data)
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+string(d)+"/"+what, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		return fmt.Errorf("%s: %s", what, resp.Status)
	}
	return nil
}

func TestPebbleProofs(t *testing.T) {
	p := peer.StartPebble(t)
	byHTTP, byTLS := &HTTP01{}, &TLSALPN01{}
	httpServer := &http.Server{Handler: byHTTP}
	ln, err := net.Listen("tcp", "127.0.0.1:"+p.HTTPPort)
	if err != nil {
		t.Fatal(err)
	}
	go httpServer.Serve(ln)
	t.Cleanup(func() { httpServer.Close() })
	tlsListener, err := tls.Listen("tcp", "127.0.0.1:"+p.TLSPort, byTLS.Config())
	if err != nil {
		t.Fatal(err)
	}
	go shake(tlsListener)
	t.Cleanup(func() { tlsListener.Close() })
	for kind, row := range map[string]struct {
		solver acmez.Solver
		wanted Wanted
	}{
		"http-01":     {byHTTP, Wanted{Names: []string{"mail.example.test", "imap.example.test"}}},
		"tls-alpn-01": {byTLS, Wanted{Names: []string{"mail.example.test"}, RSA: true}},
		"dns-01":      {&DNS01{DNS: testDNS(p.DNS), Settle: time.Millisecond}, Wanted{Names: []string{"mail.example.test", "*.example.test"}}},
	} {
		t.Run(kind, func(t *testing.T) {
			m := manager(t, p, map[string]acmez.Solver{kind: row.solver})
			changed, next, err := m.Ensure(t.Context(), row.wanted)
			if err != nil || !changed {
				t.Fatalf("got %v, %v", changed, err)
			}
			have, err := tls.LoadX509KeyPair(m.File(row.wanted), m.File(row.wanted))
			if err != nil || !next.Before(have.Leaf.NotAfter) || next.Before(time.Now()) {
				t.Fatalf("renewal at %v, certificate until %v, %v", next, have.Leaf.NotAfter, err)
			}
			if info, err := os.Stat(m.File(row.wanted)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the key can be read by others: %v, %v", info.Mode(), err)
			}
			if changed, _, err := m.Ensure(t.Context(), row.wanted); err != nil || changed {
				t.Errorf("asked again, with a certificate that is good: %v, %v", changed, err)
			}
		})
	}
}

func shake(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		conn.(*tls.Conn).Handshake()
		conn.Close()
	}
}

// TestPebbleRenewalKeepsTheKey, so that "3 1 1" stays true; other names are another certificate.
func TestPebbleRenewalKeepsTheKey(t *testing.T) {
	p := peer.StartPebble(t)
	m := manager(t, p, map[string]acmez.Solver{"dns-01": &DNS01{DNS: testDNS(p.DNS), Settle: time.Millisecond}})
	w := Wanted{Names: []string{"mx.example.test"}}
	first := ensure(t, m, w)
	m.Now = func() time.Time { return time.Now().Add(first.NotAfter.Sub(first.NotBefore) - time.Hour) }
	second := ensure(t, m, w)
	if bytes.Equal(first.Raw, second.Raw) {
		t.Error("not renewed")
	}
	if !bytes.Equal(first.RawSubjectPublicKeyInfo, second.RawSubjectPublicKeyInfo) {
		t.Error("another key")
	}
	m.Now = nil
	w.Names = append(w.Names, "mx2.example.test")
	if third := ensure(t, m, w); len(third.DNSNames) != 2 || !bytes.Equal(first.RawSubjectPublicKeyInfo, third.RawSubjectPublicKeyInfo) {
		t.Errorf("names %q, or another key", third.DNSNames)
	}
}

func ensure(t *testing.T, m *Manager, w Wanted) *x509.Certificate {
	t.Helper()
	if changed, _, err := m.Ensure(t.Context(), w); err != nil || !changed {
		t.Fatalf("got %v, %v", changed, err)
	}
	have, err := tls.LoadX509KeyPair(m.File(w), m.File(w))
	if err != nil {
		t.Fatal(err)
	}
	return have.Leaf
}

// A zone is a DNS that keeps what is published, and shows it where and when the test says so.
type zone struct {
	records map[string]bool
	hidden  bool
}

func (z *zone) Add(_ context.Context, r Record) error {
	z.records[r.Name+" "+r.Data] = true
	return nil
}

func (z *zone) Remove(_ context.Context, r Record) error {
	delete(z.records, r.Name+" "+r.Data)
	return nil
}

func (z *zone) shown(_ context.Context, r Record) (time.Duration, bool, error) {
	return r.TTL, z.records[r.Name+" "+r.Data] && !z.hidden, nil
}

// TestPebbleRollOver: current and next stand side by side, and the switch waits until all servers have
// shown the new record for two TTLs.
func TestPebbleRollOver(t *testing.T) {
	p := peer.StartPebble(t)
	m := manager(t, p, map[string]acmez.Solver{"dns-01": &DNS01{DNS: testDNS(p.DNS), Settle: time.Millisecond}})
	w := Wanted{Names: []string{"mx.example.test"}}
	old := ensure(t, m, w)
	const owner = "_25._tcp.mx.example.test"
	z := &zone{records: map[string]bool{owner + " " + TLSA(old.PublicKey): true}, hidden: true}
	roll := Roll{Owners: []string{owner}, DNS: z, Shown: z.shown, TTL: 10 * time.Minute}
	now := time.Now()
	m.Now = func() time.Time { return now }
	step := func(why string, wantDone bool) time.Time {
		t.Helper()
		done, next, err := m.RollOver(t.Context(), w, roll)
		if err != nil || done != wantDone {
			t.Fatalf("%s: done is %v, %v", why, done, err)
		}
		have := ensured(t, m, w)
		if !z.records[owner+" "+TLSA(have.PublicKey)] {
			t.Fatalf("%s: the record of the key in use is not published", why)
		}
		return next
	}
	step("not shown yet", false)
	if len(z.records) != 2 {
		t.Fatalf("published: %v", z.records)
	}
	var next string // the record of the key to come
	for record := range z.records {
		if text := strings.TrimPrefix(record, owner+" "); text != TLSA(old.PublicKey) {
			next = text
		}
	}
	now = now.Add(24 * time.Hour)
	step("hidden for a day", false)
	z.hidden = false
	step("shown for the first time", false)
	now = now.Add(19 * time.Minute)
	z.hidden = true
	step("hidden again, the time begins anew", false)
	z.hidden = false
	at := step("shown again", false)
	now = now.Add(19 * time.Minute)
	if again := step("not for two TTLs", false); !again.Equal(at) {
		t.Errorf("the time moved from %v to %v", at, again)
	}
	now = now.Add(time.Minute + time.Second)
	step("shown for two TTLs", true)
	if have := ensured(t, m, w); TLSA(have.PublicKey) != next {
		t.Errorf("the key in use is %s, and not %s", TLSA(have.PublicKey), next)
	}
	if len(z.records) != 1 {
		t.Errorf("left in the zone: %v", z.records)
	}
}

func ensured(t *testing.T, m *Manager, w Wanted) *x509.Certificate {
	t.Helper()
	have, err := m.load(w)
	if err != nil || have == nil {
		t.Fatal(have, err)
	}
	return have.Leaf
}

// TestPebblePlaceholder: there is a certificate before the CA has given one, and its key is the one that
// the CA then certifies.
func TestPebblePlaceholder(t *testing.T) {
	p := peer.StartPebble(t)
	m := manager(t, p, map[string]acmez.Solver{"dns-01": &DNS01{DNS: testDNS(p.DNS), Settle: time.Millisecond}})
	w := Wanted{Names: []string{"mx.example.test"}}
	for range 2 {
		if err := m.Prepare(w); err != nil {
			t.Fatal(err)
		}
	}
	first := ensured(t, m, w)
	if !placeholder(first) {
		t.Error("who has signed it?")
	}
	second := ensure(t, m, w)
	if placeholder(second) || !bytes.Equal(first.RawSubjectPublicKeyInfo, second.RawSubjectPublicKeyInfo) {
		t.Error("still a placeholder, or another key")
	}
	if err := m.Prepare(w); err != nil || !bytes.Equal(ensured(t, m, w).Raw, second.Raw) {
		t.Errorf("the CA's certificate was replaced: %v", err)
	}
}

// TestACAThatIsAwayStopsNothing: what there is stays in use, and the CA is asked ever more seldom.
func TestACAThatIsAwayStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		m := &Manager{
			Directory: "https://ca.test/dir", Folder: t.TempDir(),
			Transport: roundTripper(func(*http.Request) (*http.Response, error) { asked++; return nil, errors.New("away") }),
		}
		w := Wanted{Names: []string{"mx.example.test"}}
		if err := m.Prepare(w); err != nil {
			t.Fatal(err)
		}
		before := ensured(t, m, w)
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		m.Run(ctx, []Task{{Wanted: w}})
		if !bytes.Equal(before.Raw, ensured(t, m, w).Raw) {
			t.Error("what there was is gone")
		}
		if asked < 20 || asked > 200 {
			t.Errorf("asked %d times within a day", asked)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestWhatTheCAGivesIsChecked: a CA that lies leaves what there was.
func TestWhatTheCAGivesIsChecked(t *testing.T) {
	m := &Manager{Folder: t.TempDir()}
	w := Wanted{Names: []string{"mx.example.test"}}
	key, other := mustKey(t), mustKey(t)
	for name, chain := range map[string][]byte{
		"nothing":     nil,
		"no PEM":      []byte("<html>"),
		"another key": selfSigned(t, other, "mx.example.test", time.Hour),
		"other names": selfSigned(t, key, "evil.example.test", time.Hour),
		"expired":     selfSigned(t, key, "mx.example.test", -time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := m.keep(w, chain, key); err == nil {
				t.Error("kept")
			}
			if _, err := os.Stat(m.File(w)); err == nil {
				t.Error("written")
			}
		})
	}
	if _, err := m.keep(w, selfSigned(t, key, "mx.example.test", time.Hour), key); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

func mustKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := newKey(Wanted{})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func selfSigned(t *testing.T, key crypto.Signer, name string, life time.Duration) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(life)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
