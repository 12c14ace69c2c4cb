package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"starttls/internal/accept"
)

// newMetrics returns a set for one command's metrics, with those of the process and its descriptors.
func newMetrics() *metrics.Set {
	set := metrics.NewSet()
	set.RegisterMetricsWriter(metrics.WriteProcessMetrics)
	set.RegisterMetricsWriter(metrics.WriteFDMetrics)
	return set
}

// openMetrics opens the listener for metrics, which are on this machine alone unless anywhere is true.
func openMetrics(address string, anywhere bool) (net.Listener, error) {
	return new(handed).listenMetrics(address, anywhere)
}

// listenMetrics is openMetrics where the socket may have been handed over.
func (h *handed) listenMetrics(address string, anywhere bool) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("--metrics %s: meant is HOST:PORT", address)
	case !isLoopback(host) && !anywhere:
		return nil, fmt.Errorf("--metrics %s is not this machine alone: say --anywhere if that is meant", address)
	}
	ln, err := h.listen(address)
	return ln, failed(err)
}

// maxWeb is how many connections there may be at once where something small is read by few: strangers come there as
// well, where names are proved.
const maxWeb = 100

// serveWeb serves what is small and read by few, until ctx ends. Each connection is for one request, and short, so
// that nobody holds a place for long. Who has come by the end of ctx still gets the answer.
func serveWeb(ctx context.Context, ln net.Listener, handler http.Handler, log *slog.Logger) {
	server := &http.Server{
		Handler: handler, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	server.SetKeepAlivesEnabled(false)
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
		defer cancel()
		server.Shutdown(last)
		server.Close()
	})
	server.Serve(accept.AtMost(accept.Patiently(ln, log), maxWeb))
	if !stop() {
		<-ended
	}
}

// lastAnswers bounds the answers to those who come at the end.
const lastAnswers = 2 * time.Second

// isLoopback reports whether a listener's host is this machine alone.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
