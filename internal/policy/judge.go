package policy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"

	"starttls"
	"starttls/dialect"
	"starttls/tlsrpt"
)

// A Session is what happened with a host at one of its addresses.
type Session struct {
	Addr  netip.Addr // the host's
	Local string     // ours, for reports
	Helo  string     // what the host called itself, for reports
	// TLS is the state of the session, nil if mail would go in the clear.
	TLS *tls.ConnectionState
	// Err is why there is no TLS, or not the TLS that was demanded: what package starttls says, or any
	// other error of the connection. Where the attempt allows to go on in the clear after it, TLS is nil
	// and Err is set.
	Err error
}

// A Verdict is what a session was worth.
type Verdict struct {
	// Refusal is why no mail may be sent in this session, nil if it may.
	Refusal *Refusal
	// Stripped: the host gave TLS before and gives none now. That is an alarm, whatever becomes of the mail.
	Stripped bool
	// Word is the verdict for logs in the manner of Postfix: "dane", "may:none" where there was no TLS,
	// "!secure:certificate-host-mismatch" where a demand was not met, "dane?" where it did not come to
	// the question; with "/requiretls" behind the level where the message asked for that.
	Word string
	// Outcomes are how reports count the session: one for each policy that there is, enforced or not. There
	// are none where it did not come to the question of TLS.
	Outcomes []tlsrpt.Outcome
}

// Judge says what a session was worth. base is as for TLSConfig.
func (a *Attempt) Judge(s Session, base *tls.Config) Verdict {
	var v Verdict
	if err := a.hold(s, base); err != nil {
		v.Refusal = a.refuse(s, err)
	}
	if v.Refusal != nil && v.Refusal.Failure == nil {
		v.Word = a.word(s, v)
		return v
	}
	v.Outcomes = append(v.Outcomes, a.first(s, v.Refusal))
	for _, w := range a.Watch {
		v.Outcomes = append(v.Outcomes, w.judge(s, base))
	}
	for i := range v.Outcomes {
		for k := range v.Outcomes[i].Failures {
			a.sign(&v.Outcomes[i].Failures[k], s)
		}
	}
	v.Stripped = s.TLS == nil && NoOffer(orNotOffered(s.Err)) && (a.Remembered != nil || a.Source == FromMemory)
	v.Word = a.word(s, v)
	return v
}

// first is how reports count the session under what is enforced.
func (a *Attempt) first(s Session, refusal *Refusal) tlsrpt.Outcome {
	r := tlsrpt.Outcome{Policy: a.Policy, Failed: refusal != nil}
	if a.Failure != nil {
		r.Failures = append(r.Failures, *a.Failure)
	}
	switch {
	case refusal != nil && refusal.Failure != nil:
		r.Failures = append(r.Failures, *refusal.Failure)
	case refusal == nil && s.TLS == nil && a.Level != starttls.None:
		r.Failed = true
		r.Failures = append(r.Failures, failureOf(orNotOffered(s.Err)))
	}
	return r
}

// hold returns how a session falls short of what is enforced.
func (a *Attempt) hold(s Session, base *tls.Config) error {
	switch {
	case s.TLS == nil && s.Err != nil && !ofTLS(s.Err):
		return s.Err
	case s.TLS == nil && (a.Level >= starttls.Encrypt || a.RequireTLS):
		return orNotOffered(s.Err)
	case s.TLS == nil:
		return nil
	}
	return verify(a.Level, a.Names, a.TLSA, *s.TLS, base)
}

// orNotOffered is err, or that there was no TLS.
func orNotOffered(err error) error {
	if err == nil {
		return starttls.ErrNotOffered
	}
	return err
}

// NoOffer reports whether an error of package starttls says that a host that was reached has no TLS to
// give: neither the handshake failed nor the whole session was refused.
func NoOffer(err error) bool {
	e, ok := errors.AsType[*starttls.Error](err)
	if !ok {
		return errors.Is(err, starttls.ErrNotOffered)
	}
	return !e.Gone && (errors.Is(err, starttls.ErrNotOffered) || errors.Is(err, starttls.ErrRefused) && e.At != dialect.Greeting)
}

// ofTLS reports whether an error tells of TLS, and not of a session that was refused or lost.
func ofTLS(err error) bool {
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	return unverified || errors.Is(err, starttls.ErrTLS) || errors.Is(err, starttls.ErrInjected) || NoOffer(err)
}

// refuse is the refusal for a session that falls short (table in docs/policy.md).
func (a *Attempt) refuse(s Session, err error) *Refusal {
	where := a.Host
	if where == "" {
		where = "the host"
	}
	if s.Addr.IsValid() {
		where += "[" + s.Addr.String() + "]"
	}
	if !ofTLS(err) {
		return &Refusal{Code: 451, Enhanced: "4.4.2", Text: fmt.Sprintf("%s: %s", where, Words(err))}
	}
	f := failureOf(err)
	r := &Refusal{Code: 451, Enhanced: "4.7.5", Failure: &f}
	if f.Type == tlsrpt.StartTLSNotSupported {
		r.Enhanced = "4.7.4"
	}
	r.Text = fmt.Sprintf("%s: %s: %s", where, a.demands(), f.Info)
	return r
}

// demands says by whose wish TLS is demanded.
func (a *Attempt) demands() string {
	switch a.Source {
	case FromDANE:
		return "DANE"
	case FromSTS:
		return "MTA-STS"
	case FromMemory:
		return "TLS was given before"
	case FromMessage:
		return "REQUIRETLS"
	}
	return "TLS is demanded"
}

// judge holds a session against a policy that is not enforced. One that failed what is enforced is judged by
// the certificates that it had.
func (w *Watch) judge(s Session, base *tls.Config) tlsrpt.Outcome {
	r := tlsrpt.Outcome{Policy: w.Policy}
	had := s.TLS
	if failed, ok := errors.AsType[*tls.CertificateVerificationError](s.Err); ok && had == nil {
		had = &tls.ConnectionState{PeerCertificates: failed.UnverifiedCertificates}
	}
	switch {
	case w.Failure != nil:
		r.Failures = append(r.Failures, *w.Failure)
	case had == nil:
		r.Failures = append(r.Failures, failureOf(orNotOffered(s.Err)))
	default:
		if err := verify(w.Level, w.Names, w.TLSA, *had, base); err != nil {
			r.Failures = append(r.Failures, failureOf(err))
		}
	}
	r.Failed = len(r.Failures) > 0
	return r
}

// sign fills in where a failure was seen.
func (a *Attempt) sign(f *tlsrpt.Failure, s Session) {
	f.ReceivingHost, f.ReceivingHelo, f.SendingIP = a.Host, s.Helo, s.Local
	if s.Addr.IsValid() {
		f.ReceivingIP = s.Addr.String()
	}
}

// Word is the verdict on a host that there was no session with, as [Verdict].Word. why is the reason. The level is
// left out where it is not known, and the word is empty where TLS has nothing to do with that.
func (a *Attempt) Word(why *Refusal) string {
	switch {
	case !a.Undecided():
		return a.word(Session{}, Verdict{Refusal: why})
	case why.Failure != nil:
		return "!" + string(why.Failure.Type)
	}
	return ""
}

// Undecided reports whether it is not known what would be demanded of the host: it is passed over because of what the
// DNS says, or does not say.
func (a *Attempt) Undecided() bool {
	r := a.Refusal
	return r != nil && (r.Failure == nil || r.Failure.Type == tlsrpt.DNSSECInvalid)
}

// word is the verdict in one word.
func (a *Attempt) word(s Session, v Verdict) string {
	word := a.Level.String()
	if a.RequireTLS {
		word += "/requiretls"
	}
	switch {
	case v.Refusal != nil && v.Refusal.Failure != nil:
		return "!" + word + ":" + string(v.Refusal.Failure.Type)
	case v.Refusal != nil:
		return word + "?"
	case v.Stripped:
		return word + ":stripped"
	case s.TLS == nil && a.Level != starttls.None:
		return word + ":none"
	}
	return word
}
