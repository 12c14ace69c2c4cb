package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"starttls"
	"starttls/internal/policy"
	"starttls/tlsrpt"
)

// An Alarm is a host that does not give what was proved of it, or what it gave before: whoever sits on the
// path may have taken it away, or it is broken.
type Alarm struct {
	Time   time.Time `json:"time"`
	ID     string    `json:"id"` // of the delivery, in the log
	Domain string    `json:"domain"`
	Host   string    `json:"host"` // empty if it is the domain whose DNS is at fault
	Addr   string    `json:"addr"`
	// Kind is "stripped", TLS is not offered; "broken", it does not come about; "unverified", it is not with
	// whom it must be; "unlisted", the host is not in the domain's MTA-STS policy; or "dnssec", what the DNS
	// says cannot be proved and must be.
	Kind   string        `json:"kind"`
	Source policy.Source `json:"source"` // what proved it
	Text   string        `json:"text"`
}

// told logs what a session was worth and raises the alarm where what was proved, or seen before, is
// contradicted. on says that mail goes on in the session.
func (d *delivery) told(a *policy.Attempt, s policy.Session, v policy.Verdict, on bool) {
	d.relay.Log.Debug("session", "id", d.id, "domain", d.next, "mx", a.Host, "addr", s.Addr.String(), "tls", v.Word, "err", s.Err)
	proved := a.Source == policy.FromDANE || a.Source == policy.FromSTS || a.Source == policy.FromMemory
	failed := proved && v.Refusal != nil && v.Refusal.Failure != nil
	gone := a.Remembered != nil && s.TLS == nil && (on || errors.Is(s.Err, starttls.ErrInjected))
	if !failed && !gone {
		d.overridden(a, s, v)
		return
	}
	alarm := Alarm{Addr: s.Addr.String(), Kind: kindOf(s.Err), Source: a.Source, Text: a.Why}
	if gone {
		alarm.Source = policy.FromMemory
	}
	if v.Refusal != nil {
		alarm.Text = v.Refusal.Text
	}
	d.alarm(a, alarm, v.Word)
}

// overridden raises the alarm where a session contradicts what is proved of the host, and the operator lets mail
// go on all the same.
func (d *delivery) overridden(a *policy.Attempt, s policy.Session, v policy.Verdict) {
	for i, w := range a.Watch {
		if !w.Overridden || len(v.Outcomes) == 0 || !v.Outcomes[i+1].Failed { // the first is of what is enforced
			continue
		}
		failure := v.Outcomes[i+1].Failures[0]
		kind := kindOf(s.Err)
		switch {
		case failure.Reason == tlsrpt.ReasonMXNotInPolicy:
			kind = "unlisted"
		case s.TLS != nil:
			kind = "unverified"
		}
		text := fmt.Sprintf("%s[%s]: the operator demands no TLS beyond %s: %s", a.Host, s.Addr, a.Level, failure.Info)
		d.alarm(a, Alarm{Addr: s.Addr.String(), Kind: kind, Source: w.Source, Text: text}, v.Word)
		return
	}
}

// alarm tells of an alarm, in the log and elsewhere. word is the verdict on the session.
func (d *delivery) alarm(a *policy.Attempt, alarm Alarm, word string) {
	alarm.Time, alarm.ID, alarm.Domain, alarm.Host = time.Now(), d.id, d.next, a.Host
	d.relay.Log.Warn("alarm", "kind", alarm.Kind, "id", d.id, "domain", d.next, "mx", a.Host, "addr", alarm.Addr,
		"source", alarm.Source, "tls", word, "text", alarm.Text)
	if d.relay.Alarm != nil {
		d.relay.Alarm(alarm)
	}
}

// kindOf is the kind of an alarm.
func kindOf(err error) string {
	if _, unverified := errors.AsType[*tls.CertificateVerificationError](err); unverified {
		return "unverified"
	}
	if policy.NoOffer(err) {
		return "stripped"
	}
	return "broken"
}

// A Delivery is how it ended with one next hop, for those recipients that one answer is for.
type Delivery struct {
	Outcome    string // "sent", "deferred" or "refused"
	Recipients int
	// Level and Source are what was demanded of the host that has taken the message, or that the reply is about,
	// and because of what. They are empty if that is not known.
	Level  string
	Source policy.Source
	TLS    string // what the session was worth (policy.Verdict.Word); empty where nothing was said of TLS
	Took   time.Duration
}

// A trial is a host that a delivery has come to, or was kept from.
type trial struct {
	attempt *policy.Attempt
	addr    netip.AddrPort // none if it was passed over
	word    string         // the verdict
}

func (h *hop) trial() *trial { return &trial{h.attempt, h.addr, h.word} }

// attrs are what the log tells of it.
func (t *trial) attrs(e *Delivery) (all []slog.Attr) {
	add := func(key, value string) {
		if value != "" {
			all = append(all, slog.String(key, value))
		}
	}
	if e.TLS = t.word; !t.attempt.Undecided() {
		e.Level, e.Source = t.attempt.Level.String(), t.attempt.Source
	}
	add("mx", t.attempt.Host)
	if t.addr.IsValid() {
		add("addr", t.addr.String())
	}
	add("level", e.Level)
	add("source", string(e.Source))
	add("tls", e.TLS)
	return all
}

// log tells how a delivery ended.
func (d *delivery) log(rcpts []*recipient, r reply) {
	e := Delivery{Outcome: r.outcome(), Recipients: len(rcpts), Took: time.Since(d.began)}
	attrs := []slog.Attr{
		slog.String("id", d.id), slog.String("domain", d.next), slog.Int("recipients", e.Recipients), slog.String("outcome", e.Outcome),
	}
	if d.at != nil {
		attrs = append(attrs, d.at.attrs(&e)...)
	}
	attrs = append(attrs, slog.String("reply", r.String()), slog.Duration("took", e.Took.Round(time.Millisecond)))
	level := slog.LevelInfo
	if !r.ok() {
		level = slog.LevelWarn
	}
	d.relay.Log.LogAttrs(context.Background(), level, "delivery", attrs...)
	if d.relay.Delivered != nil {
		d.relay.Delivered(e)
	}
}

// logRefused tells of a recipient that is refused by itself.
func (d *delivery) logRefused(r *recipient) {
	if !r.reply.ok() {
		d.log([]*recipient{r}, r.reply)
	}
}

// outcome is what a reply means for a message.
func (r reply) outcome() string {
	switch {
	case r.ok():
		return "sent"
	case r.temporary():
		return "deferred"
	}
	return "refused"
}
