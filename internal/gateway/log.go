package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"time"

	"starttls"
	"starttls/dialect"
)

// log writes the session's one line. Of what peers said it holds what is in an error: refusals, names in
// certificates, ALPN ids; and the name in the client's certificate; quoted and cut, and never a secret, for secrets are no part of an error.
func (s *session) log(err error) {
	attrs := []slog.Attr{
		slog.Uint64("id", s.id),
		slog.String("route", s.route.Label),
		slog.String("dialect", s.route.Dialect.Name),
		slog.String("peer", s.peer()),
		slog.String("outcome", s.outcome(err)),
	}
	if s.refused != dialect.Unknown {
		attrs = append(attrs, slog.String("refused", s.refused.String()), slog.Int("refusals", s.refusals))
	}
	if !ended(err) {
		attrs = append(attrs, slog.String("reason", cut(err.Error())))
	}
	attrs = append(attrs, tlsAttrs("tls", s.secured)...)
	if name := clientName(s.secured); name != "" {
		attrs = append(attrs, slog.String("client_cert", cut(name)))
	}
	if s.back != nil {
		if s.route.Pool != nil || len(s.route.Backs) > 0 {
			attrs = append(attrs, slog.String("backend", s.to.Addr))
		}
		attrs = append(attrs, tlsAttrs("back_tls", s.back.secured)...)
	}
	attrs = append(attrs,
		slog.Int64("in", s.in.Load()), slog.Int64("out", s.out.Load()),
		slog.Duration("took", time.Since(s.begun).Round(time.Millisecond)))
	level := slog.LevelInfo
	if n := s.front.Injected(); n > 0 {
		attrs = append(attrs, slog.Int("injected_bytes", n))
		level = slog.LevelWarn
	}
	if s.unbound {
		attrs = append(attrs, slog.String("channel_binding", "removed"))
		level = slog.LevelWarn
	}
	if _, down := errors.AsType[backendError](err); down || s.refusals > 0 && !(s.working && s.refused == dialect.Unknown) {
		level = slog.LevelWarn
	}
	s.route.Log.LogAttrs(context.Background(), level, "session", attrs...)
}

// told is what is told of the session besides the log.
func (s *session) told(err error) Ended {
	e := Ended{Outcome: s.outcome(err), In: s.in.Load(), Out: s.out.Load(), Took: time.Since(s.begun)}
	if s.secured != nil {
		state := s.secured.ConnectionState()
		e.TLS, e.Group, e.Resumed = tls.VersionName(state.Version), state.CurveID.String(), state.DidResume
	}
	return e
}

// outcome names how the session ended.
func (s *session) outcome(err error) string {
	_, down := errors.AsType[backendError](err)
	switch {
	case down:
		return "backend-failed"
	case errors.Is(err, starttls.ErrInjected):
		return "injected"
	case errors.Is(err, starttls.ErrTLS):
		return "tls-failed"
	case s.refusals > 0 && s.secured == nil && !s.working:
		return "refused"
	case !ended(err) && !(s.phase == spliced && hungUpOn(err)):
		return "broken"
	case s.secured != nil:
		return "tls"
	case s.must():
		return "refused"
	default:
		return "clear"
	}
}

// tlsAttrs tell the version and the key exchange of a leg inside TLS, and that its session was resumed if it was.
func tlsAttrs(key string, conn *tls.Conn) (attrs []slog.Attr) {
	if conn == nil {
		return nil
	}
	state := conn.ConnectionState()
	attrs = append(attrs, slog.String(key, tls.VersionName(state.Version)), slog.String(key+"_group", state.CurveID.String()))
	if state.DidResume {
		attrs = append(attrs, slog.Bool(key+"_resumed", true))
	}
	return attrs
}

// clientName returns the name in the certificate that a client gave, as whoever signed it wrote it, and
// "unnamed" if it has none. It is empty without a certificate.
func clientName(conn *tls.Conn) string {
	if conn == nil {
		return ""
	}
	chain := conn.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return ""
	}
	return cmp.Or(chain[0].Subject.CommonName, strings.Join(append(chain[0].DNSNames, chain[0].EmailAddresses...), " "), "unnamed")
}

// maxReason is the longest reason in the log: crypto/tls repeats what a stranger's ClientHello says.
const maxReason = 500

func cut(s string) string { return s[:min(len(s), maxReason)] }
