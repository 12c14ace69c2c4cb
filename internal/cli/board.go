package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"starttls"
	"starttls/internal/cert"
	"starttls/internal/config"
	"starttls/internal/gateway"
	"starttls/internal/status"
)

// A board is what a service shows of itself: a page for people, metrics, and whether it is well.
type board struct {
	status.Board
	ln      net.Listener // nil if it is shown nowhere
	shown   sync.WaitGroup
	started time.Time
	tickets *sharedTickets
	routes  atomic.Pointer[[]*served] // as they are now; others read them
}

// newBoard opens the place where the configuration wants it to be seen, if it wants that at all.
func newBoard(file *config.File, sockets *handed) (*board, error) {
	b := &board{started: time.Now()}
	b.routes.Store(new([]*served))
	if file.Metrics.Listen == "" {
		return b, nil
	}
	var err error
	if b.ln, err = sockets.listenMetrics(file.Metrics.Listen, file.Metrics.Anywhere); err != nil {
		return nil, err
	}
	b.Set = newMetrics()
	b.Set.RegisterMetricsWriter(b.writeGauges)
	return b, nil
}

// serve shows it until ctx ends.
func (b *board) serve(ctx context.Context, log *slog.Logger) {
	if b.ln != nil {
		b.shown.Go(func() { serveWeb(ctx, b.ln, b.Handler(b.view, b.well), log) })
	}
}

// watch has a route's sessions counted.
func (b *board) watch(r *served) {
	name := r.Label
	r.Ended = func(e gateway.Ended) {
		b.Ended(status.Session{Route: name, Outcome: e.Outcome, TLS: e.TLS, Group: e.Group, Resumed: e.Resumed, In: e.In, Out: e.Out, Took: e.Took})
	}
}

// view is what there is now.
func (b *board) view() status.View {
	v := status.View{Name: hostname(), Version: version(), Started: b.started}
	for _, r := range *b.routes.Load() {
		shown := status.Route{Name: r.Label, Listen: r.listen.String(), Backend: r.back, Level: r.demands(), Live: r.server.Live()}
		if shown.Backends = r.poolState(); shown.Backends != nil {
			shown.Backend = ""
		}
		if r.certs != nil {
			for _, c := range r.certs.Leaves() {
				shown.Certificates = append(shown.Certificates, status.Certificate{Names: c.DNSNames, From: c.NotBefore, Until: c.NotAfter, TLSA: cert.TLSA(c), Self: r.self})
			}
		}
		v.Routes = append(v.Routes, shown)
	}
	return v
}

// writeGauges writes what changes without anything being counted.
func (b *board) writeGauges(w io.Writer) {
	b.tickets.write(w)
	for _, r := range *b.routes.Load() {
		if o, ok := r.server.(*openOutbound); ok && o.kept != nil {
			writeStore(w, fmt.Sprintf("{route=%q}", r.Label), o.kept)
		}
	}
	for _, r := range b.view().Routes {
		metrics.WriteGaugeUint64(w, fmt.Sprintf(`starttls_sessions_live{route=%q}`, r.Name), uint64(max(r.Live, 0)))
		writePool(w, r)
		for i, c := range r.Certificates {
			metrics.WriteGaugeFloat64(w, fmt.Sprintf(`starttls_certificate_expiry_seconds{route=%q,certificate="%d"}`, r.Name, i), float64(c.Until.Unix()))
		}
	}
}

// well reports what is wrong: a route without sessions is well, one whose certificate has expired is not.
func (b *board) well() error {
	var wrong error
	for _, r := range b.view().Routes {
		for _, c := range r.Certificates {
			if c.Until.Before(time.Now()) {
				wrong = errors.Join(wrong, fmt.Errorf("%s: the certificate for %v has expired", r.Name, c.Names))
			}
		}
	}
	return wrong
}

// demands says what is demanded of clients.
func (r *running) demands() string {
	if r.Front.Implicit {
		return "TLS from the first byte"
	}
	return map[starttls.Level]string{
		starttls.None:    "no TLS",
		starttls.May:     "TLS offered, clients without it are served",
		starttls.Encrypt: "TLS demanded",
	}[r.Front.Level]
}
