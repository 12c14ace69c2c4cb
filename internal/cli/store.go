package cli

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/spf13/pflag"

	"starttls/internal/store"
)

// storeFlags say where the program keeps what it has learned.
type storeFlags struct{ url, state string }

func (f *storeFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.state, "state", defaultState(), "folder for what the program keeps")
	fs.StringVar(&f.url, "store", "", "keep what was learned at `URL`, sqlite:PATH or postgres://USER@HOST/DATABASE, which several programs may share (default: a file in the state folder)")
}

// storeFile is where things are kept in a state folder.
const storeFile = "store.db"

// openTime is how long a store is waited for at the start.
const openTime = 3 * time.Second

// openStore opens the store at a URL, or the one in the state folder, which is then made, if that is empty. One that is away is
// open all the same; one that is not is there when it returns, for what it keeps is needed by the first delivery
// as by any other.
func openStore(url, state string, log *slog.Logger) (*store.Store, error) {
	if url == "" {
		os.MkdirAll(state, 0o700) // that it failed is found out with the file
	}
	s, err := store.Open(store.Config{URL: cmp.Or(url, "sqlite:"+filepath.Join(state, storeFile)), Log: log})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	s.Flush(ctx) // that it is away is in the log
	return s, nil
}

// closeStore writes what waits. What cannot be written is lost, and told.
func closeStore(s *store.Store, log *slog.Logger) {
	if err := s.Close(); err != nil {
		log.Error("not everything was written to the store", "store", s.String(), "err", err)
	}
}

// writeStore writes how a store is, for metrics; labels are "" or in braces.
func writeStore(w io.Writer, labels string, s *store.Store) {
	h := s.Health()
	up := uint64(1)
	if h.Err != nil {
		up = 0
	}
	metrics.WriteGaugeUint64(w, "starttls_store_up"+labels, up)
	metrics.WriteGaugeUint64(w, "starttls_store_waiting"+labels, uint64(h.Waiting))
	metrics.WriteCounterUint64(w, "starttls_store_lost_total"+labels, h.Lost)
}
