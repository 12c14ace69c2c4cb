package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"starttls/internal/cert"
	"starttls/internal/config"
	"starttls/internal/store"
)

// sharedTickets has the secrets of session tickets from the store, as other nodes have. They change each day.
type sharedTickets struct {
	cert.Tickets
	kept *store.Store // nil if every route has keys of its own
	log  *slog.Logger
	now  func() time.Time

	secrets map[int64][]byte // by day; for who refreshes
	alone   atomic.Bool      // today's is this node's alone
	work    sync.WaitGroup
	stop    context.CancelFunc
}

// How often the store is asked: also when nothing has changed, for a new day's secret is there the day before.
const (
	ticketsEvery = 10 * time.Minute
	ticketsRetry = 10 * time.Second // while it is away
)

// newTickets reads whose the keys are, and gets the secrets if they are shared. look says to read only.
func newTickets(file *config.File, log *slog.Logger, look bool) (*sharedTickets, error) {
	t := &sharedTickets{log: log, now: time.Now}
	switch word := file.TLS.Tickets; {
	case word != "" && word != "own" && word != "shared":
		return nil, file.Errorf("tls.tickets", "unknown tickets %q; meant is own or shared", word)
	case word != "shared" || look:
		return t, nil
	}
	var err error
	if t.kept, err = openStore(file.Store.URL, cmp.Or(file.State, defaultState()), log); err != nil {
		return nil, file.Errorf("store.url", "%v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	return t, t.refresh(ctx)
}

// protect has a route's tickets made with shared keys, if they are to be. Those of two routes are the same when
// a client could not tell them apart: by protocol, names of certificates, and what clients must show.
func (t *sharedTickets) protect(config *tls.Config, r *running, clientCA string) error {
	if t.kept == nil {
		return nil
	}
	authorities, _ := os.ReadFile(clientCA) // who needs it has told what is wrong
	var names []string
	for _, leaf := range r.certs.Leaves() {
		names = append(names, leaf.DNSNames...)
	}
	slices.Sort(names) // of an ECDSA and an RSA certificate they are the same
	service := []string{r.Dialect.Name, r.listen.Options.Get("client-cert"), string(authorities)}
	return t.Protect(config, strings.Join(append(service, slices.Compact(names)...), "\n"))
}

// refresh gets the secrets of today. While the store is away, those that are known go on; when the day of none
// of them is today, a new one is made, which no other node knows.
func (t *sharedTickets) refresh(ctx context.Context) error {
	today := t.now().Unix() / (24 * 60 * 60)
	known, err := t.kept.Tickets.Secrets(ctx, today)
	switch {
	case err == nil:
		t.secrets = known
		if t.alone.Swap(false) {
			t.log.Info("session tickets are those of all nodes again")
		}
	case t.secrets[today] == nil:
		t.log.Warn("session tickets are of this node alone until the store is back", "err", err)
		t.alone.Store(true)
		own := make([]byte, 32)
		rand.Read(own)
		if t.secrets == nil {
			t.secrets = make(map[int64][]byte)
		}
		t.secrets[today] = own
	}
	inUse := [][]byte{t.secrets[today]}
	for day, secret := range t.secrets {
		if day != today && day >= today-store.KeepSecrets {
			inUse = append(inUse, secret)
		}
	}
	return t.Use(inUse)
}

// run refreshes the secrets until close.
func (t *sharedTickets) run() {
	if t.kept == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	t.work.Go(func() {
		for {
			wait := min(ticketsEvery, t.now().Truncate(24*time.Hour).Add(24*time.Hour).Sub(t.now())) // to midnight, UTC
			if t.alone.Load() {
				wait = ticketsRetry
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
			if err := t.refresh(ctx); err != nil {
				t.log.Error("session tickets", "err", err)
			}
		}
	})
}

// close ends the use of the store.
func (t *sharedTickets) close() {
	if t.kept == nil {
		return
	}
	if t.stop != nil {
		t.stop()
	}
	t.work.Wait()
	closeStore(t.kept, t.log)
}

// write writes whether tickets are shared, for metrics.
func (t *sharedTickets) write(w io.Writer) {
	if t.kept == nil {
		return
	}
	writeStore(w, `{for="tickets"}`, t.kept)
	shared := uint64(1)
	if t.alone.Load() {
		shared = 0
	}
	metrics.WriteGaugeUint64(w, "starttls_tickets_shared", shared)
}
