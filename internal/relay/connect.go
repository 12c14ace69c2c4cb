package relay

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"starttls"
	"starttls/internal/policy"
	"starttls/tlsrpt"
)

// connect opens a session at one address of an attempt and has it judged. It returns the session, nil if the
// verdict is that no mail may go there.
func (d *delivery) connect(ctx context.Context, a *policy.Attempt, ip netip.Addr) (*hop, policy.Verdict) {
	h, session := d.relay.approach(ctx, a, ip)
	verdict := a.Judge(session, d.relay.TLS)
	if h == nil && (verdict.Refusal == nil || verdict.Refusal.Failure == nil) { // nothing was said of TLS
		verdict.Refusal = unreached(a, ip, session.Err)
	}
	if len(verdict.Outcomes) > 0 {
		d.tally(verdict.Outcomes)
	}
	d.told(a, session, verdict, h != nil)
	if verdict.Refusal != nil {
		if h != nil {
			h.quit()
		}
		return nil, verdict
	}
	h.word, h.next = verdict.Word, d.next
	d.remember(ctx, a, session)
	return h, verdict
}

// unreached is the refusal of a host with which it did not come to the question of TLS.
func unreached(a *policy.Attempt, ip netip.Addr, err error) *policy.Refusal {
	enhanced := "4.4.2"
	if _, ok := errors.AsType[*connectError](err); ok {
		enhanced = "4.4.1"
	}
	if _, ok := errors.AsType[*authError](err); ok {
		enhanced = "4.7.8" // RFC 4954 §6; not the message's fault
	}
	return &policy.Refusal{Code: 451, Enhanced: enhanced, Text: fmt.Sprintf("%s[%s]: %s", a.Host, ip, policy.Words(err))}
}

// approach goes as far as a host lets us: to TLS, or where the level lets it into the clear.
func (r *Relay) approach(ctx context.Context, a *policy.Attempt, ip netip.Addr) (*hop, policy.Session) {
	s := policy.Session{Addr: ip}
	h, err := r.dial(ctx, a, ip, a.Level, &s)
	// RFC 7435: who encrypts where he can goes on in the clear, on a new connection.
	if errors.Is(err, starttls.ErrTLS) && a.Level == starttls.May && ctx.Err() == nil {
		s.Err = err
		if h, err = r.dial(ctx, a, ip, starttls.None, &s); err == nil {
			return h, s
		}
	}
	if err != nil {
		s.Err = err
	}
	return h, s
}

// remember notes what a host gave (RFC 3207 §6).
func (d *delivery) remember(ctx context.Context, a *policy.Attempt, s policy.Session) {
	if s.TLS == nil || d.relay.Remember == nil || a.Host == "" {
		return
	}
	seen := policy.Seen{Last: time.Now(), Version: s.TLS.Version}
	if chain := s.TLS.PeerCertificates; len(chain) > 0 {
		seen.SPKI = sha256.Sum256(chain[0].RawSubjectPublicKeyInfo)
		seen.Issuer = chain[0].Issuer.String()
	}
	d.relay.Remember(ctx, d.next, a.Host, seen)
}

// tally counts a session as reports see it (RFC 8460 §4).
func (d *delivery) tally(outcomes []tlsrpt.Outcome) {
	if d.relay.Tally == nil || d.message.TLSOptional { // what failed was counted before the message said that
		return
	}
	d.relay.Tally(tlsrpt.Session{Time: time.Now(), Domain: d.next, Outcomes: outcomes})
}
