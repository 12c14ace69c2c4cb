package acme

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"time"
)

// A Roll is how a key is rolled over where TLSA records pin it.
type Roll struct {
	// Owners are the names of the TLSA records: "_25._tcp.mx.example.org".
	Owners []string
	// DNS publishes them. If nil, somebody else does: the log says which are to be published.
	DNS Publisher
	// TTL of the records that DNS publishes. If zero, one hour.
	TTL time.Duration
	// Shown reports whether every name server of the owner's zone shows a record there, and the longest
	// TTL that one shows. See [Servers].
	Shown func(ctx context.Context, r Record) (ttl time.Duration, everywhere bool, err error)
}

// askAgain is when to look again whether a record is shown everywhere.
const askAgain = 5 * time.Minute

// RollOver takes the next step from the present key to a new one. The new key's records are published
// beside the old, every name server must have shown them for two TTLs, and only then is a certificate
// for the new key ordered and put in place (RFC 7671 §8.4, RFC 7672 §8.1). Nothing is lost when the
// program ends in between: the steps are read off the files.
//
// done says that the new key is in use; else next is when to take the next step.
func (m *Manager) RollOver(ctx context.Context, w Wanted, roll Roll) (done bool, next time.Time, err error) {
	have, err := m.load(w)
	if err == nil && have == nil {
		err = errors.New("there is no certificate whose key could be rolled over")
	}
	if err != nil {
		return false, time.Time{}, err
	}
	key, err := m.nextKey(ctx, w, roll)
	if err != nil {
		return false, time.Time{}, err
	}
	if at, err := m.shownLongEnough(ctx, w, roll, key); err != nil || m.now().Before(at) {
		return false, at, err
	}
	if _, err := m.obtain(ctx, w, key, have); err != nil {
		return false, time.Time{}, err
	}
	err = errors.Join(os.Remove(m.nextFile(w)), os.Remove(m.sinceFile(w)))
	if roll.DNS != nil {
		err = errors.Join(err, roll.each(have.PrivateKey.(crypto.Signer), func(r Record) error { return roll.DNS.Remove(ctx, r) }))
	}
	return true, time.Time{}, err
}

func (m *Manager) nextFile(w Wanted) string  { return m.File(w) + ".next" }
func (m *Manager) sinceFile(w Wanted) string { return m.File(w) + ".shown" }

// nextKey returns the key to come. At the first call it is made, and its records are published.
func (m *Manager) nextKey(ctx context.Context, w Wanted, roll Roll) (crypto.Signer, error) {
	key, err := readKey(m.nextFile(w))
	if !errors.Is(err, os.ErrNotExist) {
		return key, err
	}
	if key, err = newKey(w); err != nil {
		return nil, err
	}
	if roll.DNS != nil {
		if err := roll.each(key, func(r Record) error { return roll.DNS.Add(ctx, r) }); err != nil {
			return nil, err // the key was never kept: it begins anew
		}
	}
	for _, owner := range roll.Owners {
		m.log().Info("key roll-over begun: publish this record beside the others", "owner", owner, "tlsa", TLSA(key.Public()), "published", roll.DNS != nil)
	}
	text, err := keyPEM(key)
	if err != nil {
		return nil, err
	}
	return key, replace(m.nextFile(w), text)
}

// each does something with each record of a key.
func (r Roll) each(key crypto.Signer, do func(Record) error) error {
	ttl := r.TTL
	if ttl == 0 {
		ttl = time.Hour
	}
	var failed error
	for _, owner := range r.Owners {
		failed = errors.Join(failed, do(Record{Name: owner, Type: "TLSA", Data: TLSA(key.Public()), TTL: ttl}))
	}
	return failed
}

// shownLongEnough is when the new key's records will have been shown everywhere for two TTLs, if nothing
// changes. When they are not shown somewhere, the time begins anew.
func (m *Manager) shownLongEnough(ctx context.Context, w Wanted, roll Roll, key crypto.Signer) (time.Time, error) {
	var longest time.Duration
	missing := ""
	err := roll.each(key, func(r Record) error {
		ttl, everywhere, err := roll.Shown(ctx, r)
		longest = max(longest, ttl)
		if err == nil && !everywhere {
			missing = r.Name
		}
		return err
	})
	if err != nil || missing != "" {
		os.Remove(m.sinceFile(w))
		m.log().Info("key roll-over waits for name servers", "name", w.Names[0], "not_everywhere", missing, "err", err)
		return m.now().Add(askAgain), nil
	}
	since, err := m.since(w)
	return since.Add(2 * longest), err
}

// since is when the records were first shown everywhere: now, if that is not written down.
func (m *Manager) since(w Wanted) (time.Time, error) {
	text, err := os.ReadFile(m.sinceFile(w))
	if err == nil {
		var at time.Time
		if at, err = time.Parse(time.RFC3339, string(text)); err != nil {
			return time.Time{}, fmt.Errorf("%s: %w", m.sinceFile(w), err)
		}
		return at, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return time.Time{}, err
	}
	now := m.now().UTC().Truncate(time.Second).Add(time.Second) // never too short
	return now, replace(m.sinceFile(w), []byte(now.Format(time.RFC3339)))
}
