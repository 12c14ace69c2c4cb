package acme

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// Prepare sees to it that there is a file for the certificate: until the CA has given one, a placeholder
// signed by its own key, which is the key that the CA will be asked to certify. A TLSA record "3 1 1" can
// be published from the first moment.
func (m *Manager) Prepare(w Wanted) error {
	if have, err := m.load(w); err != nil || have != nil {
		return err
	}
	key, err := m.keyOf(w, nil)
	if err != nil {
		return err
	}
	text, err := m.selfSigned(w, key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(m.Folder, 0o700); err != nil {
		return err
	}
	return replace(m.File(w), text)
}

// placeholderLife is how long a placeholder is good: longer than a CA is away.
const placeholderLife = 90 * 24 * time.Hour

func (m *Manager) selfSigned(w Wanted, key crypto.Signer) ([]byte, error) {
	now := m.now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: w.Names[0]}, DNSNames: w.Names,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(placeholderLife), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	text, err := keyPEM(key)
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...), err
}

// placeholder reports whether a certificate is one that nobody but its own key has signed.
func placeholder(leaf *x509.Certificate) bool {
	return leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil
}

// A Task is a certificate to be kept fresh.
type Task struct {
	Wanted
	// Life is how old a key may become before it is rolled over as Roll says. If zero, it stays.
	Life time.Duration
	Roll Roll
}

// Run keeps certificates fresh until ctx ends. What fails is logged and tried again, ever more seldom, up
// to once an hour: a CA has limits.
func (m *Manager) Run(ctx context.Context, tasks []Task) {
	due := make([]time.Time, len(tasks))
	wait := make([]time.Duration, len(tasks))
	for {
		for i, task := range tasks {
			if m.now().Before(due[i]) {
				continue
			}
			next, err := m.work(ctx, task)
			if err == nil {
				due[i], wait[i] = next, 0
				continue
			}
			if ctx.Err() != nil {
				return
			}
			wait[i] = min(max(2*wait[i], time.Minute), time.Hour)
			due[i] = m.now().Add(wait[i] + mathrand.N(wait[i]/4))
			m.log().Error("certificate not obtained", "name", task.Names[0], "retry_at", due[i].UTC().Format(time.RFC3339), "err", cut(err))
		}
		if !m.sleep(ctx, due) {
			return
		}
	}
}

// maxSleep is how long the loop sleeps at most: what the CA suggests may change (RFC 9773 §4.3), and so
// may the clock.
const maxSleep = 6 * time.Hour

// sleep waits until something is due. It returns false when ctx has ended.
func (m *Manager) sleep(ctx context.Context, due []time.Time) bool {
	least := maxSleep
	for _, at := range due {
		least = min(least, at.Sub(m.now()))
	}
	timer := time.NewTimer(max(least, time.Second))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// work takes the next step for one certificate and returns when the one after it is due.
func (m *Manager) work(ctx context.Context, task Task) (time.Time, error) {
	_, next, err := m.Ensure(ctx, task.Wanted)
	if err != nil || task.Life == 0 {
		return next, err
	}
	born, err := m.born(task.Wanted)
	if err != nil {
		return next, err
	}
	if old := born.Add(task.Life); m.now().Before(old) {
		return earlier(next, old), nil
	}
	done, step, err := m.RollOver(ctx, task.Wanted, task.Roll)
	if err != nil {
		return next, err
	}
	if done {
		return next, os.Remove(m.bornFile(task.Wanted))
	}
	return earlier(next, step), nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (m *Manager) bornFile(w Wanted) string { return filepath.Join(m.Folder, w.String()+".born") }

// born is when the present key was first seen in use; now, if that is not written down.
func (m *Manager) born(w Wanted) (time.Time, error) {
	info, err := os.Stat(m.bornFile(w))
	if errors.Is(err, os.ErrNotExist) {
		return m.now(), replace(m.bornFile(w), nil)
	}
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}
