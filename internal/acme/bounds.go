package acme

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// What a CA can make us do. It is trusted to say who we are, and with nothing else.
const (
	maxBytes  = 4 << 20          // of its answers, in one step; each costs at least minBytes
	minBytes  = 2 << 10          // as the heads of question and answer do
	maxAnswer = 256 << 10        // of one of them
	maxChain  = 64 << 10         // of a certificate with its authorities, which every client is sent
	maxOrder  = 15 * time.Minute // from the order to the certificate, whatever Retry-After says
	minPause  = time.Hour        // between two certificates, whatever the renewal information says
	pollEvery = time.Second      // while it works, where it does not say how often
	maxSkew   = 5 * time.Minute  // between its clock and ours
	maxReason = 500              // of its words in the log
)

var (
	errTooMuch = errors.New("the CA says too much")
	errTooSlow = errors.New("the CA takes too long")
)

// A budget is a way to the CA by which no more than so many bytes come.
type budget struct {
	http.RoundTripper
	left int
}

func (b *budget) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.left -= minBytes; b.left <= 0 {
		return nil, errTooMuch
	}
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &spender{resp.Body, b, maxAnswer}
	}
	return resp, err
}

// A spender is the body of an answer.
type spender struct {
	io.ReadCloser
	budget *budget
	left   int
}

func (s *spender) Read(p []byte) (int, error) {
	most := min(len(p), s.left, s.budget.left)
	if most <= 0 {
		return 0, errTooMuch
	}
	n, err := s.ReadCloser.Read(p[:most])
	s.left -= n
	s.budget.left -= n
	return n, err
}

// room reports whether the disk has room for a certificate: a CA is not asked for what would be lost, for it
// gives the same only so often.
func (m *Manager) room() error {
	file := filepath.Join(m.Folder, "room")
	if err := replace(file, make([]byte, maxChain)); err != nil {
		return err
	}
	return os.Remove(file)
}

func cut(err error) string {
	text := err.Error()
	return text[:min(len(text), maxReason)]
}

// A murmur is a log in which all is for who debugs. What matters of the library's words comes back as an
// error, and is told once.
type murmur struct{ slog.Handler }

func (m murmur) Enabled(ctx context.Context, _ slog.Level) bool {
	return m.Handler.Enabled(ctx, slog.LevelDebug)
}

func (m murmur) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return m.Handler.Handle(ctx, r)
}

func (m murmur) WithAttrs(attrs []slog.Attr) slog.Handler { return murmur{m.Handler.WithAttrs(attrs)} }
func (m murmur) WithGroup(name string) slog.Handler       { return murmur{m.Handler.WithGroup(name)} }
