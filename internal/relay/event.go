package relay

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"starttls/internal/policy"
)

// An Alarm is a host that does not give what was proved of it: whoever sits on the path may have taken it
// away, or it is broken.
type Alarm struct {
	Time   time.Time `json:"time"`
	ID     string    `json:"id"` // of the delivery, in the log
	Domain string    `json:"domain"`
	Host   string    `json:"host"`
	Addr   string    `json:"addr"`
	// Kind is "stripped", TLS is not offered, or "unverified", it is not what was proved.
	Kind   string        `json:"kind"`
	Source policy.Source `json:"source"` // what proved it
	Text   string        `json:"text"`
}

// told logs what a session was worth and raises the alarm where secure evidence is contradicted.
func (d *delivery) told(a *policy.Attempt, ip netip.Addr, s policy.Session, v policy.Verdict) {
	d.relay.Log.Debug("session", "id", d.id, "domain", d.next, "mx", a.Host, "addr", ip.String(), "tls", v.Word, "err", s.Err)
	kind := ""
	proved := a.Source == policy.FromDANE || a.Source == policy.FromSTS || a.Source == policy.FromMemory
	switch {
	case v.Stripped, proved && s.TLS == nil && policy.NoOffer(s.Err):
		kind = "stripped"
	case proved && v.Refusal != nil && v.Refusal.Failure != nil:
		kind = "unverified"
	default:
		return
	}
	alarm := Alarm{Time: time.Now(), ID: d.id, Domain: d.next, Host: a.Host, Addr: ip.String(), Kind: kind, Source: a.Source, Text: a.Why}
	if v.Refusal != nil {
		alarm.Text = v.Refusal.Text
	}
	d.relay.Log.Warn("alarm", "kind", kind, "id", d.id, "domain", d.next, "mx", a.Host, "addr", alarm.Addr, "source", a.Source, "tls", v.Word, "text", alarm.Text)
	if d.relay.Alarm != nil {
		d.relay.Alarm(alarm)
	}
}

// log writes the line of a delivery, for those recipients that one reply is for.
func (d *delivery) log(rcpts []*recipient, r reply) {
	attrs := []slog.Attr{
		slog.String("id", d.id), slog.String("domain", d.next), slog.Int("recipients", len(rcpts)), slog.String("outcome", r.outcome()),
	}
	if h := d.hop; h != nil {
		attrs = append(attrs, slog.String("mx", h.attempt.Host), slog.String("addr", h.addr.String()),
			slog.String("level", h.attempt.Level.String()), slog.String("source", string(h.attempt.Source)), slog.String("tls", h.word))
	}
	attrs = append(attrs, slog.String("reply", r.String()), slog.Duration("took", time.Since(d.began).Round(time.Millisecond)))
	level := slog.LevelInfo
	if !r.ok() {
		level = slog.LevelWarn
	}
	d.relay.Log.LogAttrs(context.Background(), level, "delivery", attrs...)
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
