package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/metrics"

	"starttls/internal/pool"
	"starttls/internal/status"
)

// several puts servers behind that do the same.
func (a *assembly) several(r *running) (err error) {
	var texts []string
	for i, url := range a.servers {
		if passesMail(url) {
			return fmt.Errorf("%s: such a backend stands alone", url)
		}
		back, text, err := a.behind(r, url)
		switch {
		case err != nil:
			return err
		case slices.Contains(r.servers, back.Addr):
			return fmt.Errorf("%s is there twice", back.Addr)
		case i == 0:
			r.Back = back
		case back.Early != r.Back.Early:
			return errors.New("dial= is the same for all backends, or for none")
		default:
			r.Others = append(r.Others, &back)
		}
		r.servers, texts = append(r.servers, back.Addr), append(texts, text)
	}
	r.back, r.others = texts[0], texts[1:]
	config, err := a.poolConfig(r)
	if err != nil {
		return err
	}
	r.Pool = pool.New(len(r.servers), config)
	return nil
}

// poolConfig reads how servers are chosen and checked.
func (a *assembly) poolConfig(r *running) (c pool.Config, err error) {
	if c.Balance, err = pool.ParseBalance(a.Balance); err != nil {
		return c, a.wrong("balance", err)
	}
	if c.Every, err = a.file.Duration(a.key+".health.interval", a.Health.Interval, 0); err != nil {
		return c, err
	}
	if c.Timeout, err = a.file.Duration(a.key+".health.timeout", a.Health.Timeout, 0); err != nil {
		return c, err
	}
	if c.Fall, c.Rise = a.Health.Fall, a.Health.Rise; min(c.Fall, c.Rise) < 0 {
		return c, a.wrong("health", errors.New("fall and rise are counts"))
	}
	c.Changed = func(i int, why error) {
		if why != nil {
			r.Log.Warn("backend is down", "route", r.Label, "backend", r.servers[i], "reason", reasonOf(why))
			return
		}
		r.Log.Info("backend is well again", "route", r.Label, "backend", r.servers[i])
	}
	return c, nil
}

// reasonOf says why a server is down: it may be in its own words, of any length.
func reasonOf(why error) string {
	text := why.Error()
	return strings.ToValidUTF8(text[:min(len(text), 500)], "?")
}

// poolState is how the servers of a route are, for people.
func (r *running) poolState() (all []status.Backend) {
	if r.Pool == nil {
		return nil
	}
	for i, s := range r.Pool.States() {
		b := status.Backend{Addr: r.servers[i], Live: s.Uses}
		if s.Down != nil {
			b.Down = reasonOf(s.Down)
		}
		all = append(all, b)
	}
	return all
}

// writePool writes how the servers of a route are, for machines.
func writePool(w io.Writer, r status.Route) {
	for _, b := range r.Backends {
		up := uint64(1)
		if b.Down != "" {
			up = 0
		}
		labels := fmt.Sprintf(`{route=%q,backend=%q}`, r.Name, b.Addr)
		metrics.WriteGaugeUint64(w, "starttls_backend_up"+labels, up)
		metrics.WriteGaugeUint64(w, "starttls_backend_sessions"+labels, uint64(max(b.Live, 0)))
	}
}
