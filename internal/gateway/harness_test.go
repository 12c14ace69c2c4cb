package gateway_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"starttls"
	"starttls/internal/gateway"
)

// patience is how long the tests wait for what must come. It is not how long they take.
const patience = 30 * time.Second

// TestMain lets more tests run at the same time than there are processors: most of them wait.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "16")
	good() // made now, and not at the time of a test with a clock of its own
	m.Run()
}

var bg = context.Background()

// A running gateway on loopback.
type running struct {
	*gateway.Gateway
	*logs
	addr    string
	backend *backend // nil if the route dials another
	stop    context.CancelFunc
	served  chan error // what Serve returned
}

// to makes b the backend, in the clear.
func to(b *backend) func(*gateway.Route) {
	return func(r *gateway.Route) { r.Back.Dial = b.dial }
}

// start runs a gateway in front of a polite server in the clear. Its front leg is at level may, unless
// an edit says otherwise.
func start(t testing.TB, p *proto, edits ...func(*gateway.Route)) *running {
	t.Helper()
	g := &running{logs: newLogs(), served: make(chan error, 1)}
	r := gateway.Route{
		Name:    "test",
		Dialect: p.Dialect,
		Front:   gateway.Front{Level: starttls.May, TLS: serverTLS()},
		Back:    gateway.Back{Name: "back.test"},
		Log:     slog.New(g.logs),
	}
	for _, edit := range edits {
		edit(&r)
	}
	if r.Back.Dial == nil {
		g.backend = newBackend(t, p)
		r.Back.Dial = g.backend.dial
	}
	ln := listen(t)
	g.addr, g.Gateway = ln.Addr().String(), gateway.New(r)
	var ctx context.Context
	ctx, g.stop = context.WithCancel(bg)
	go func() { g.served <- g.Serve(ctx, ln) }()
	t.Cleanup(func() { g.end(t) })
	return g
}

// end stops the gateway. A session that then does not end is a leak.
func (g *running) end(t testing.TB) {
	g.stop()
	now, cancel := context.WithCancel(bg)
	cancel()
	drained := make(chan struct{})
	go func() { g.Drain(now); close(drained) }()
	select {
	case <-drained:
	case <-time.After(patience):
		t.Error("a session that was broken does not end")
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func dialer(addr string) func(context.Context) (net.Conn, error) { return dialerOf("tcp", addr) }

func dialerOf(network, addr string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, network, addr) }
}

// Edits of a route.
func frontNone(r *gateway.Route)    { r.Front.Level, r.Front.TLS = starttls.None, nil }
func frontEncrypt(r *gateway.Route) { r.Front.Level = starttls.Encrypt }

func within(d time.Duration) func(*gateway.Route) {
	return func(r *gateway.Route) { r.Timeout = d }
}

func backTo(addr string, level starttls.Level) func(*gateway.Route) {
	return func(r *gateway.Route) {
		r.Back.Dial, r.Back.Level = dialer(addr), level
		switch {
		case level >= starttls.Verify:
			r.Back.TLS = clientTLS()
		case level > starttls.None:
			r.Back.TLS = credulousTLS()
		}
	}
}

// levels are the two under which a client can begin TLS.
var levels = map[string]func(*gateway.Route){"may": func(*gateway.Route) {}, "encrypt": frontEncrypt}

// logs keeps the records of a log.
type logs struct {
	sessions, others chan map[string]any
	mu               sync.Mutex
	all              strings.Builder
}

func newLogs() *logs {
	return &logs{sessions: make(chan map[string]any, 4096), others: make(chan map[string]any, 4096)}
}

func (l *logs) Enabled(context.Context, slog.Level) bool { return true }
func (l *logs) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logs) WithGroup(string) slog.Handler            { return l }

func (l *logs) Handle(_ context.Context, r slog.Record) error {
	record := map[string]any{"msg": r.Message, "level": r.Level}
	r.Attrs(func(a slog.Attr) bool {
		record[a.Key] = a.Value.Any()
		return true
	})
	l.mu.Lock()
	fmt.Fprintln(&l.all, record)
	l.mu.Unlock()
	to := l.others
	if r.Message == "session" {
		to = l.sessions
	}
	select {
	case to <- record:
	default:
	}
	return nil
}

// text returns all that was logged.
func (l *logs) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// ended waits for the end of the next session and returns its line.
func (l *logs) ended() (map[string]any, error) {
	select {
	case record := <-l.sessions:
		return record, nil
	case <-time.After(patience):
		return nil, errors.New("the session does not end")
	}
}

// outcome waits for the end of the next session, which must have this outcome.
func (l *logs) outcome(want string) error {
	record, err := l.ended()
	if err == nil && record["outcome"] != want {
		err = fmt.Errorf("outcome %v, not %s: %v", record["outcome"], want, record)
	}
	return err
}

// must fails a test.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// finds checks that a check finds the flaw of a villain: a check that never fails is none.
func finds(t testing.TB, flaw error) {
	t.Helper()
	if flaw == nil {
		t.Error("the check does not find the villain's flaw")
	}
}

// unhurried is how long a session that is like one that began at begun, and has got there, may take: many
// times as long, for the machine may be busier by then.
func unhurried(begun time.Time) time.Duration {
	return max(300*time.Millisecond, 20*time.Since(begun))
}

// eventually waits for a condition that nobody signals.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("in vain: " + what)
		}
	}
}
