package policy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"starttls"
	"starttls/dane/danetest"
	"starttls/dialect"
	"starttls/resolver"
	"starttls/tlsrpt"
)

// A pki is the certificates of these tests: an authority that all trust, one that nobody does, and servers.
type pki struct {
	root, foreign                                      *danetest.Cert
	good, wild, other, late, private, privateOther, cn *danetest.Cert
}

func newPKI(t *testing.T) *pki {
	mx := []string{"mx.example.net"}
	p := &pki{root: danetest.Issue(t, nil, "Root", nil, danetest.CA), foreign: danetest.Issue(t, nil, "Foreign", nil, danetest.CA)}
	p.good = danetest.Issue(t, p.root, "good", mx)
	p.wild = danetest.Issue(t, p.root, "wild", []string{"*.example.net"})
	p.other = danetest.Issue(t, p.root, "other", []string{"mx2.example.net"})
	p.late = danetest.Issue(t, p.root, "late", mx, danetest.Expired)
	p.private = danetest.Issue(t, p.foreign, "private", mx)
	p.privateOther = danetest.Issue(t, p.foreign, "private", []string{"example.com"})
	p.cn = danetest.Issue(t, p.root, "mx.example.net", nil)
	return p
}

// base trusts the authority that all trust.
func (p *pki) base() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(p.root.Certificate)
	return &tls.Config{RootCAs: roots, Time: func() time.Time { return danetest.Now }}
}

// A host is a mail server: with certificates it gives TLS, without any it offers none.
type host struct {
	chain   []*danetest.Cert
	max     uint16 // version of TLS
	refuses bool   // offers STARTTLS, and refuses it
	breaks  bool   // speaks no TLS behind its go-ahead
}

// serve is one session, up to TLS.
func (h host) serve(conn net.Conn) {
	defer conn.Close()
	if len(h.chain) > 0 {
		c, err := starttls.Server(context.Background(), conn, &dialect.SMTP, &starttls.Config{Name: "mx.example.net",
			TLS: &tls.Config{Certificates: []tls.Certificate{danetest.Server(h.chain...)}, MaxVersion: h.max, MinVersion: tls.VersionTLS10}})
		if err == nil {
			c.Read(make([]byte, 1))
		}
		return
	}
	fmt.Fprint(conn, "220 mx.example.net ESMTP\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		switch verb := strings.ToUpper(lines.Text()); {
		case strings.HasPrefix(verb, "EHLO") && (h.refuses || h.breaks):
			fmt.Fprint(conn, "250-mx.example.net\r\n250 STARTTLS\r\n")
		case strings.HasPrefix(verb, "EHLO"):
			fmt.Fprint(conn, "250-mx.example.net\r\n250 SIZE\r\n")
		case verb == "STARTTLS" && h.breaks:
			fmt.Fprint(conn, "220 go ahead\r\n")
			conn.Read(make([]byte, 1))
			return // it hangs up in the handshake
		case verb == "STARTTLS":
			fmt.Fprint(conn, "454 4.7.0 not now\r\n")
		default:
			fmt.Fprint(conn, "502 5.5.1 no\r\n")
		}
	}
}

// visit goes to a host as an attempt demands, and judges the session.
func (p *pki) visit(t *testing.T, a *Attempt, h host) Verdict {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if conn, err := ln.Accept(); err == nil {
			h.serve(conn)
		}
	}()
	here, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := Session{Addr: netip.MustParseAddr("192.0.2.1"), Helo: "mx.example.net"}
	conn, err := starttls.Client(t.Context(), here, &dialect.SMTP, &starttls.Config{TLS: a.TLSConfig(p.base())})
	if s.Err = err; err == nil {
		defer conn.Close()
		state := conn.ConnectionState()
		s.TLS = &state
	}
	return a.Judge(s, p.base())
}

// records publishes TLSA records of the host.
func records(all ...resolver.TLSARecord) (zone string) {
	for _, r := range all {
		zone += "_25._tcp.mx.example.net TLSA " + r.String() + "\n"
	}
	return zone
}

// told draws a verdict: its word, its refusal, and what reports count.
func told(v Verdict) string {
	s := v.Word
	if v.Refusal != nil {
		s += fmt.Sprintf(" %d %s", v.Refusal.Code, v.Refusal.Enhanced)
	}
	for _, r := range v.Outcomes {
		s += fmt.Sprintf(" | %s %v", r.Policy.Type, !r.Failed)
		for _, f := range r.Failures {
			s += " " + string(f.Type)
			if f.Reason != "" {
				s += "/" + f.Reason
			}
		}
	}
	return s
}

func TestJudge(t *testing.T) {
	p := newPKI(t)
	ee := records(danetest.TLSA(3, 1, 1, p.private))
	ta := records(danetest.TLSA(2, 0, 1, p.foreign))
	for _, c := range []struct {
		planCase
		host host
		want string
	}{
		{planCase{name: "D08 the record matches", zone: mx + addr + ee}, host{chain: certs(p.private)}, "dane | tlsa true"},
		{planCase{name: "D14 another key", zone: mx + addr + ee}, host{chain: certs(p.good, p.root)},
			"!dane:validation-failure 451 4.7.5 | tlsa false validation-failure/dane-no-match"},
		{planCase{name: "D25 another name", zone: mx + addr + ta}, host{chain: certs(danetest.Issue(t, p.foreign, "x", []string{"x.example"}), p.foreign)},
			"!dane:certificate-host-mismatch 451 4.7.5 | tlsa false certificate-host-mismatch"},
		{planCase{name: "D26 the next hop's name", zone: mx + addr + ta}, host{chain: certs(p.privateOther, p.foreign)}, "dane | tlsa true"},
		{planCase{name: "D28 the next hop's name, insecure MX", zone: mxIns + addr + ta}, host{chain: certs(p.privateOther, p.foreign)},
			"!dane:certificate-host-mismatch 451 4.7.5 | tlsa false certificate-host-mismatch"},
		{planCase{name: "D23 expired", zone: mx + addr + records(danetest.TLSA(2, 0, 1, p.root))}, host{chain: certs(p.late, p.root)},
			"!dane:certificate-expired 451 4.7.5 | tlsa false certificate-expired"},
		{planCase{name: "D40 no record usable, and no STARTTLS", zone: mx + addr + tlsaPKIX}, host{},
			"!encrypt:starttls-not-supported 451 4.7.4 | tlsa false tlsa-invalid starttls-not-supported"},
		{planCase{name: "D41 no record usable, any certificate", zone: mx + addr + tlsaPKIX}, host{chain: certs(p.late)}, "encrypt | tlsa true tlsa-invalid"},
		{planCase{name: "D42 no STARTTLS", zone: mx + addr + ee}, host{},
			"!dane:starttls-not-supported 451 4.7.4 | tlsa false starttls-not-supported"},
		{planCase{name: "D42 STARTTLS refused", zone: mx + addr + ee}, host{refuses: true},
			"!dane:starttls-not-supported 451 4.7.4 | tlsa false starttls-not-supported"},
		{planCase{name: "D42 no handshake", zone: mx + addr + ee}, host{breaks: true},
			"!dane:validation-failure 451 4.7.5 | tlsa false validation-failure"},
		{planCase{name: "D73 the certificate of the other kind", zone: mx + addr + ee}, host{chain: certs(danetest.Issue(t, p.foreign, "private", []string{"mx.example.net"}))},
			"!dane:validation-failure 451 4.7.5 | tlsa false validation-failure/dane-no-match"},
		{planCase{name: "D60 a relay in brackets", to: "[mx.example.net]", zone: addr + ee}, host{chain: certs(p.private)}, "dane | tlsa true"},

		{planCase{name: "S72 a certificate for the host", zone: mx + addr, sts: enforce("mx.example.net")}, host{chain: certs(p.good)}, "secure | sts true"},
		{planCase{name: "S73 no STARTTLS", zone: mx + addr, sts: enforce("mx.example.net")}, host{},
			"!secure:starttls-not-supported 451 4.7.4 | sts false starttls-not-supported"},
		{planCase{name: "S74 a name that the pattern matches, and not the host's", zone: mx + addr, sts: enforce("*.example.net")}, host{chain: certs(p.other)},
			"!secure:certificate-host-mismatch 451 4.7.5 | sts false certificate-host-mismatch"},
		{planCase{name: "S74 a wildcard for the host", zone: mx + addr, sts: enforce("*.example.net")}, host{chain: certs(p.wild)}, "secure | sts true"},
		{planCase{name: "S75 expired", zone: mx + addr, sts: enforce("mx.example.net")}, host{chain: certs(p.late)},
			"!secure:certificate-expired 451 4.7.5 | sts false certificate-expired"},
		{planCase{name: "S75 untrusted", zone: mx + addr, sts: enforce("mx.example.net")}, host{chain: certs(p.private)},
			"!secure:certificate-not-trusted 451 4.7.5 | sts false certificate-not-trusted"},
		{planCase{name: "S75 a common name alone", zone: mx + addr, sts: enforce("mx.example.net")}, host{chain: certs(p.cn)},
			"!secure:certificate-host-mismatch 451 4.7.5 | sts false certificate-host-mismatch"},
		{planCase{name: "S75 TLS 1.1 alone", zone: mx + addr, sts: enforce("mx.example.net")}, host{chain: certs(p.good), max: tls.VersionTLS11},
			"!secure:validation-failure 451 4.7.5 | sts false validation-failure"},
		{planCase{name: "S76 a server that knows no SNI", zone: mx + addr, sts: enforce("mx.example.net")}, host{chain: certs(p.wild, p.root)}, "secure | sts true"},
		{planCase{name: "S77 testing, all well", zone: mx + addr, sts: testMode("mx.example.net")}, host{chain: certs(p.good)}, "may | no-policy-found true | sts true"},
		{planCase{name: "S77 testing, no STARTTLS", zone: mx + addr, sts: testMode("mx.example.net")}, host{},
			"may:none | no-policy-found false starttls-not-supported | sts false starttls-not-supported"},
		{planCase{name: "S77 testing, untrusted", zone: mx + addr, sts: testMode("mx.example.net")}, host{chain: certs(p.private)},
			"may | no-policy-found true | sts false certificate-not-trusted"},
		{planCase{name: "S77 testing, not in the policy", zone: mx + addr, sts: testMode("other.example")}, host{chain: certs(p.good)},
			"may | no-policy-found true | sts false validation-failure/mtasts-policy-mx-mismatch"},
		{planCase{name: "S83 DANE matches, MTA-STS does not trust", zone: mx + addr + ee, sts: enforce("mx.example.net")}, host{chain: certs(p.private)},
			"dane | tlsa true | sts false certificate-not-trusted"},
		{planCase{name: "S84 MTA-STS is content, DANE is not", zone: mx + addr + ee, sts: enforce("mx.example.net")}, host{chain: certs(p.good)},
			"!dane:validation-failure 451 4.7.5 | tlsa false validation-failure/dane-no-match | sts true"},
		{planCase{name: "S87 none usable, MTA-STS is content", zone: mx + addr + tlsaPKIX, sts: enforce("mx.example.net")}, host{chain: certs(p.good)},
			"secure | sts true | tlsa false tlsa-invalid"},
		{planCase{name: "S87 none usable, MTA-STS does not trust", zone: mx + addr + tlsaPKIX, sts: enforce("mx.example.net")}, host{chain: certs(p.private)},
			"!secure:certificate-not-trusted 451 4.7.5 | sts false certificate-not-trusted | tlsa false tlsa-invalid"},
		{planCase{name: "S17 the policy could not be renewed, and is obeyed", zone: mx + addr, sts: sts{"example.com": stale(enforce("mx.example.net")["example.com"])}}, host{chain: certs(p.good)},
			"secure | sts true sts-policy-fetch-error"},

		{planCase{name: "R09 DANE and REQUIRETLS", zone: mx + addr + ee, options: Options{RequireTLS: true}}, host{chain: certs(p.private)}, "dane/requiretls | tlsa true"},
		{planCase{name: "R12 secure MX, a certificate for another", zone: mx + addr, options: Options{RequireTLS: true}}, host{chain: certs(p.other)},
			"!secure/requiretls:certificate-host-mismatch 451 4.7.5 | no-policy-found false certificate-host-mismatch"},
		{planCase{name: "R19 R27 TLS-Required: No, and DANE would fail", zone: mx + addr + ee, options: Options{TLSOptional: true}}, host{chain: certs(p.good)},
			"may | no-policy-found true | tlsa false validation-failure/dane-no-match"},
		{planCase{name: "R20 R27 TLS-Required: No, and no handshake", zone: mx + addr + ee, options: Options{TLSOptional: true}}, host{breaks: true},
			"may:none | no-policy-found false validation-failure | tlsa false validation-failure"},

		{planCase{name: "may, no STARTTLS", zone: mx + addr}, host{}, "may:none | no-policy-found false starttls-not-supported"},
		{planCase{name: "may, old TLS", zone: mx + addr}, host{chain: certs(p.late), max: tls.VersionTLS10}, "may | no-policy-found true"},
		{planCase{name: "memory, no STARTTLS", zone: mx + addr, seen: seen{"mx.example.net": 1}}, host{},
			"!encrypt:starttls-not-supported 451 4.7.4 | no-policy-found false starttls-not-supported"},
		{planCase{name: "memory, no STARTTLS, and mail goes on", zone: mx + addr, seen: seen{"mx.example.net": 1}, options: Options{Stripped: Deliver}}, host{},
			"may:stripped | no-policy-found false starttls-not-supported"},
		{planCase{name: "verify", zone: mx + addr, override: level(starttls.Verify)}, host{chain: certs(p.good)}, "verify | no-policy-found true"},
		{planCase{name: "secure, a name below the domain", to: "example.net", zone: "example.net MX 1 mx.example.net\n" + addr, override: level(starttls.Secure)},
			host{chain: certs(p.other)}, "secure | no-policy-found true"},
		{planCase{name: "secure, a name elsewhere", zone: mx + addr, override: level(starttls.Secure)}, host{chain: certs(p.good)},
			"!secure:certificate-host-mismatch 451 4.7.5 | no-policy-found false certificate-host-mismatch"},
		{planCase{name: "a fingerprint of the key", zone: mx + addr, override: &Override{Fingerprints: [][32]byte{{1}, print32(danetest.TLSA(3, 1, 1, p.late))}}},
			host{chain: certs(p.late)}, "dane | no-policy-found true"},
		{planCase{name: "a fingerprint of the certificate", zone: mx + addr, override: &Override{Fingerprints: [][32]byte{print32(danetest.TLSA(3, 0, 1, p.late))}}},
			host{chain: certs(p.late)}, "dane | no-policy-found true"},
		{planCase{name: "a fingerprint of something else", zone: mx + addr, override: &Override{Fingerprints: [][32]byte{{1}}}},
			host{chain: certs(p.good)}, "!dane:validation-failure 451 4.7.5 | no-policy-found false validation-failure/dane-no-match"},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan, _ := c.plan(t)
			if plan.Refusal != nil {
				t.Fatal(plan.Refusal.Text)
			}
			v := p.visit(t, &plan.Attempts[0], c.host)
			if got := told(v); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if r := v.Refusal; r != nil && (!r.Temporary() || !strings.Contains(r.Text, "mx.example.net[192.0.2.1]: ")) {
				t.Errorf("refused with %d %q", r.Code, r.Text)
			}
			if want := strings.HasPrefix(c.name, "memory"); v.Stripped != want {
				t.Errorf("stripped: %v", v.Stripped)
			}
			for _, r := range v.Outcomes {
				for _, f := range r.Failures {
					if f.ReceivingHost != "mx.example.net" || f.ReceivingIP != "192.0.2.1" || f.ReceivingHelo == "" || f.Info == "" {
						t.Errorf("a report lacks something: %+v", f)
					}
				}
			}
		})
	}
}

func certs(all ...*danetest.Cert) []*danetest.Cert { return all }

func print32(r resolver.TLSARecord) [32]byte { return [32]byte(r.Data) }

// TestReuse: whether a connection may carry mail for another domain is asked of that domain's plan.
func TestReuse(t *testing.T) {
	p := newPKI(t)
	zone := mx + addr + "example.org MX 10 mx.example.net\n" + records(danetest.TLSA(2, 0, 1, p.foreign))
	leaf := danetest.Issue(t, p.foreign, "x", []string{"example.com"})
	state := &tls.ConnectionState{PeerCertificates: danetest.Chain(leaf, p.foreign)}
	for to, let := range map[string]bool{"example.com": true, "example.org": false} {
		t.Run("D74 to "+to, func(t *testing.T) {
			plan, _ := planCase{to: to, zone: zone}.plan(t)
			v := plan.Attempts[0].Judge(Session{TLS: state}, p.base())
			if (v.Refusal == nil) != let {
				t.Errorf("got %s", told(v))
			}
		})
	}
	t.Run("R26 a session without proof carries no REQUIRETLS", func(t *testing.T) {
		plan, _ := planCase{zone: mx + addr, options: Options{RequireTLS: true}}.plan(t)
		for _, s := range []Session{{}, {TLS: state}} {
			if v := plan.Attempts[0].Judge(s, p.base()); v.Refusal == nil {
				t.Errorf("got %s", told(v))
			}
		}
	})
}

// TestLostSession: what has nothing to do with TLS is not counted as if it had.
func TestLostSession(t *testing.T) {
	for level, zone := range map[string]string{"dane": mx + addr + tlsa, "may": mx + addr} {
		plan, _ := planCase{zone: zone}.plan(t)
		for _, err := range []error{
			errors.New("connection reset"),
			&starttls.Error{At: dialect.Greeting, Err: starttls.ErrRefused, Text: "554 go away"},
			&starttls.Error{At: dialect.Ready, Err: starttls.ErrRefused, Text: "421 closing", Gone: true},
		} {
			v := plan.Attempts[0].Judge(Session{Err: err}, nil)
			if got := told(v); got != level+"? 451 4.4.2" || v.Refusal.Failure != nil {
				t.Errorf("%s, %v: got %s", level, err, got)
			}
		}
	}
}

func TestConclude(t *testing.T) {
	down := &Refusal{Code: 451, Enhanced: "4.4.1", Text: "down"}
	lacks := &Refusal{Code: 550, Enhanced: "5.7.30", Text: "lacks"}
	noAddr := &Refusal{Code: 550, Enhanced: "5.4.4", Text: "no address"}
	noTLS := &Refusal{Code: 451, Enhanced: "4.7.4", Text: "no TLS", Failure: &tlsrpt.Failure{Type: tlsrpt.StartTLSNotSupported}}
	mismatch := &Refusal{Code: 451, Enhanced: "4.7.5", Text: "mismatch", Failure: &tlsrpt.Failure{Type: tlsrpt.ValidationFailure}}
	bogus := &Refusal{Code: 451, Enhanced: "4.7.5", Text: "bogus", Failure: &tlsrpt.Failure{Type: tlsrpt.DNSSECInvalid}}
	unproved := &Refusal{Code: 550, Enhanced: "5.7.10", Text: "unproved", Failure: &tlsrpt.Failure{Type: tlsrpt.ValidationFailure}}
	for _, c := range []struct {
		name    string
		require bool
		all     []*Refusal
		want    string
	}{
		{"all down", false, []*Refusal{down, down}, "451 4.4.1"},
		{"one without address, one down", false, []*Refusal{noAddr, down}, "451 4.4.1"},
		{"no address at all", false, []*Refusal{noAddr, noAddr}, "550 5.4.4"},
		{"one down, one without TLS", false, []*Refusal{down, noTLS}, "451 4.7.4"},
		{"D14 one without address, one that does not match", false, []*Refusal{noAddr, mismatch}, "451 4.7.5"},
		{"no hosts", false, nil, "550 5.4.4"},
		{"R14 no host supports it", true, []*Refusal{lacks, lacks}, "550 5.7.30"},
		{"R14 one does not support it, one does not match", true, []*Refusal{mismatch, lacks}, "550 5.7.30"},
		{"R15 no STARTTLS anywhere", true, []*Refusal{noTLS, noTLS}, "550 5.7.10"},
		{"R15 no proof, and no address", true, []*Refusal{unproved, noAddr}, "550 5.7.10"},
		{"R17 one down, one does not support it", true, []*Refusal{down, lacks}, "451 4.7.10"},
		{"R17 one cannot be looked up, one has no TLS", true, []*Refusal{bogus, noTLS}, "451 4.7.10"},
		{"R17 all down", true, []*Refusal{down, down}, "451 4.4.1"},
		{"R17 no address at all", true, []*Refusal{noAddr}, "550 5.4.4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := (&Plan{Domain: "example.com", RequireTLS: c.require}).Conclude(c.all)
			if got := fmt.Sprintf("%d %s", r.Code, r.Enhanced); got != c.want || r.Text == "" {
				t.Errorf("got %s %q, want %s", got, r.Text, c.want)
			}
		})
	}
}
