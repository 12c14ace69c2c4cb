package peers

import (
	"testing"

	"starttls/test/peers/peer"
)

// Clients that know no TLS, and servers that have it: the gateway upgrades.

// printer begins a gateway that clear clients use.
func printer(t *testing.T, pki *peer.PKI, s service, options string, flags ...string) *gateway {
	t.Helper()
	return begin(t, pki, append([]string{s.scheme() + "://127.0.0.1:0?tls=none", s.option(options)}, flags...)...)
}

func TestClearClientsReachServersThroughTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	for _, s := range everything(t, pki, peer.ModeTLS, peer.Pair{}) {
		t.Run(s.name, func(t *testing.T) {
			t.Run("unknown authority", func(t *testing.T) { turnedAway(t, pki, s, "tls=secure", "unknown authority") })
			t.Run("not the name", func(t *testing.T) {
				turnedAway(t, pki, s, "tls=secure&match=other.test", "not other.test", "--ca", pki.CAFile)
			})
			for _, options := range []string{"tls=secure", "tls=verify&match=localhost"} {
				g := printer(t, pki, s, options, "--ca", pki.CAFile)
				s.client(g).works(t, s.done)
				g.logged("back_tls=\"TLS 1.3\"", "outcome=clear")
				g.quiet()
			}
			for _, options := range []string{"tls=may", "tls=encrypt"} {
				g := printer(t, pki, s, options) // unverified
				s.client(g).works(t, s.done)
				g.logged("back_tls=\"TLS 1.3\"", "outcome=clear")
				g.quiet()
			}
			t.Run("by hand", func(t *testing.T) { connects(t, pki, s) })
		})
	}
}

// connects tries "starttls connect", which does the same for a person.
func connects(t *testing.T, pki *peer.PKI, s service) {
	connect := cmd(program, "connect")
	connect.env = []string{atOnce}
	trusting := connect.with("--show", "--ca", pki.CAFile)
	out := trusting.with(s.url).works(t, "verified    yes, for 127.0.0.1")
	contains(t, out, "upgrade     in-band", "negotiated  TLS 1.3", "by \"CN=starttls test CA\"")
	connect.with(s.url).fails(t, "unknown authority", "--ca FILE")
	trusting.with(s.option("match=other.test")).fails(t, "not other.test", "?match=NAME")
}

// A server that demands TLS of its clients gets it.
func TestSubmissionFromAPrinter(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	p := peer.StartPostfix(t, peer.PostfixOptions{})
	swaks(p.Submission, "refused").fails(t, "530 5.7.0")
	g := begin(t, pki, "smtp://127.0.0.1:0?tls=none", "submission://"+p.Submission+"?tls=secure", "--ca", pki.CAFile)
	swaks(g.Addr, "printed").works(t, "250 2.0.0 Ok: queued")
	arrived(t, p.Maildir, "printed")
}

// turnedAway checks that a client is told to come again and that nothing of it has reached the server.
func turnedAway(t *testing.T, pki *peer.PKI, s service, options, reason string, flags ...string) {
	t.Helper()
	g := printer(t, pki, s, options, flags...)
	s.client(g).fails(t, s.away)
	g.logged("level=WARN", "outcome=backend-failed", reason)
	if s.reached(t) {
		t.Errorf("%q is in the server's log", s.seen)
	}
}

func TestServersOfAnotherNameGetNothing(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	for _, s := range everything(t, pki, peer.ModeTLS, pki.Other) {
		t.Run(s.name, func(t *testing.T) {
			turnedAway(t, pki, s, "tls=secure", "127.0.0.1", "--ca", pki.CAFile)
			g := printer(t, pki, s, "tls=secure&match=other.test", "--ca", pki.CAFile)
			s.client(g).works(t, s.done)
		})
	}
}

func TestServersWithAnExpiredCertificateGetNothing(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	services := append(slapd(t, pki, peer.ModeTLS, pki.Expired), postgres(t, pki, peer.ModeTLS, pki.Expired)...)
	for _, s := range append(services, dovecot(t, pki, peer.ModeTLS, pki.Expired)...) {
		t.Run(s.name, func(t *testing.T) { turnedAway(t, pki, s, "tls=secure", "expired", "--ca", pki.CAFile) })
	}
}

func TestServersWithoutTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	for _, s := range everything(t, pki, peer.ModePlain, peer.Pair{}) {
		t.Run(s.name, func(t *testing.T) {
			t.Run("get nothing where it is demanded", func(t *testing.T) {
				turnedAway(t, pki, s, "tls=encrypt", s.lacks)
			})
			t.Run("are served where it may be", func(t *testing.T) {
				g := printer(t, pki, s, "tls=may")
				s.client(g).works(t, s.done)
				g.logged("outcome=clear")
				g.quiet()
			})
		})
	}
}
