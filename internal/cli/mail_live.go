package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/policy"
)

// liveAddrs bounds how many addresses of a host are connected to.
const liveAddrs = 8

// visit connects to all hosts of a plan that may be used.
func (r *policyRun) visit(ctx context.Context, i *inspection) {
	i.live = make(map[int][]string)
	for n := range i.plan.Attempts {
		a := &i.plan.Attempts[n]
		if a.Refusal != nil {
			continue
		}
		for _, addr := range a.Addrs[:min(len(a.Addrs), liveAddrs)] {
			text, ok := r.visitAt(ctx, a, addr)
			i.live[n] = append(i.live[n], text)
			i.bad = i.bad || !ok
		}
	}
}

// visitAt holds a session with one address, up to TLS, and tells what it was worth.
func (r *policyRun) visitAt(ctx context.Context, a *policy.Attempt, addr netip.Addr) (text string, ok bool) {
	where := netip.AddrPortFrom(addr, a.Port).String()
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	conn, err := r.evidence.dial(ctx, "tcp", where)
	if err != nil {
		return fmt.Sprintf("live: %s cannot be reached: %v", where, err), false
	}
	base := &tls.Config{RootCAs: r.evidence.sts.Roots}
	s := policy.Session{Addr: addr}
	if a.Level == starttls.None {
		conn.Close()
		return "live: " + where + " answers", true
	}
	secured, err := starttls.Client(ctx, conn, &dialect.SMTP, &starttls.Config{Name: r.name, TLS: a.TLSConfig(base), Timeout: r.timeout})
	if s.Err = err; err == nil {
		state := secured.ConnectionState()
		s.TLS = &state
		fmt.Fprint(secured, "QUIT\r\n")
		secured.Close()
	}
	v := a.Judge(s, base)
	text = fmt.Sprintf("live: %s tls=%s", where, v.Word)
	switch {
	case v.Refusal != nil:
		text += fmt.Sprintf(", %d %s: %s", v.Refusal.Code, v.Refusal.Enhanced, v.Refusal.Text)
	case s.TLS != nil:
		text += ", " + describe(s.TLS)
	default:
		text += ": " + policy.Words(err)
	}
	return text + watched(a, v), v.Refusal == nil
}

// watched tells what the policies say that are judged and not enforced: their outcomes follow the first.
func watched(a *policy.Attempt, v policy.Verdict) (text string) {
	for n, o := range v.Outcomes[min(1, len(v.Outcomes)):] {
		text += fmt.Sprintf("; %s would %s", a.Watch[n].Source, map[bool]string{true: "fail", false: "be kept"}[o.Failed])
		sep := ": "
		for _, f := range o.Failures {
			text, sep = text+sep+string(f.Type), ", "
		}
	}
	return text
}

// describe tells of a session with TLS.
func describe(state *tls.ConnectionState) string {
	text := tls.VersionName(state.Version)
	if len(state.PeerCertificates) > 0 {
		text += ", certificate " + describeLeaf(state.PeerCertificates[0])
	}
	return text
}

func describeLeaf(c *x509.Certificate) string {
	names := c.DNSNames
	if len(names) == 0 {
		names = []string{c.Subject.CommonName}
	}
	more := ""
	if len(names) > 3 {
		more, names = fmt.Sprintf(" and %d more names", len(names)-3), names[:3]
	}
	return fmt.Sprintf("for %s%s, until %s", strings.Join(names, ", "), more, c.NotAfter.UTC().Format(time.DateOnly))
}
