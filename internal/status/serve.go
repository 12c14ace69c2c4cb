package status

import (
	"bytes"
	"io"
	"net/http"

	"github.com/VictoriaMetrics/metrics"
)

// Handler serves the page at "/", and what [Watched] does. view and well are asked at each request.
func (b *Board) Handler(view func() View, well func() error) http.Handler {
	mux := Watched(b.Set, well)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		var text bytes.Buffer
		if err := b.Write(&text, view()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		w.Write(text.Bytes())
	})
	return mux
}

// Watched serves metrics at "/metrics", and at "/healthz" whether the program is well, which is 200, or 503 with the
// reason. set may be nil.
func Watched(set *metrics.Set, well func() error) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		if set != nil {
			io.WriteString(w, families(set))
		}
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := well(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	})
	return mux
}
