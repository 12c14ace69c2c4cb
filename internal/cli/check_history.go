package cli

import (
	"context"
	"errors"
	"fmt"

	"starttls/internal/check"
	"starttls/internal/finding"
	"starttls/internal/store"
)

// openHistory opens the store of --store, nil if there is none. Who asks for one gets no run without.
func (f *checkFlags) openHistory(ctx context.Context) (*store.Store, error) {
	if f.history == "" {
		return nil, nil
	}
	s, err := store.Open(store.Config{URL: f.history})
	if err != nil {
		return nil, fmt.Errorf("--store: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	if err := s.Flush(ctx); err != nil {
		return nil, failed(errors.Join(fmt.Errorf("--store: %s cannot be used: %w", s, err), s.Close()))
	}
	return s, nil
}

// recall says in a result what has changed since the runs before, and returns what keeps it: if something has
// changed as it is, else that it was found again. Of a target that was never reached nothing is kept, and one
// that was not wholly asked is not said to be as before.
func (r *checkRun) recall(ctx context.Context, result *finding.Result) (keep func() error, err error) {
	if r.history == nil {
		return func() error { return nil }, nil
	}
	past, err := r.history.Past(ctx, result.Target, r.here)
	if err != nil {
		return nil, fmt.Errorf("--store: %w", err)
	}
	same := check.Since(result, past, r.out.live)
	return func() (err error) {
		switch {
		case same != nil && result.Whole():
			err = r.history.Again(ctx, same.ID, result.Started)
		case same == nil && len(past) > 0 && hindered(result) && hindered(past[0].Result):
			err = r.history.Replace(ctx, past[0].ID, result)
		case same == nil && (result.Reached || len(past) > 0):
			err = r.history.Add(ctx, result.Target, r.here, result)
		}
		if err != nil {
			err = fmt.Errorf("--store: %w", err)
		}
		return err
	}, nil
}

// hindered reports whether somebody on the path may have had a hand in a result.
func hindered(r *finding.Result) bool { return r.Stripped() || !r.Reached }
