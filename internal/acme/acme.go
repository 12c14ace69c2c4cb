// Package acme gets certificates from a CA by ACME (RFC 8555) and renews them: when the CA says so
// (RFC 9773), else when a third of their life is left.
//
// What it gets is kept as PEM files, chain and key in one, which package cert reads. Files are replaced
// whole, so that nobody ever reads half of one, or a key without its certificate.
//
// The key stays across renewals, so that a TLSA record "3 1 1" stays true (RFC 7671 §8.1), until it is
// rolled over on purpose: see [Manager.RollOver].
package acme

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// LetsEncrypt is the directory of the CA of that name.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// A Manager gets the certificates of one account at one CA. Its methods must not be called at the same
// time.
type Manager struct {
	// Directory is the URL of the CA's. If empty, LetsEncrypt.
	Directory string
	// Contact are addresses for the CA, "mailto:postmaster@example.org". Using the CA means to agree to
	// its terms.
	Contact []string
	// Folder is where account, keys and certificates are kept.
	Folder string
	// Solvers prove that names are ours, by the challenge's type: "http-01", "tls-alpn-01", "dns-01".
	Solvers map[string]acmez.Solver
	// Roots are trusted for the CA's own HTTPS. If nil, the system's.
	Roots *x509.CertPool
	// Transport is how the CA is reached. If nil, by HTTPS, Roots trusted.
	Transport http.RoundTripper
	// Log is told of what is done. If nil, nobody is.
	Log *slog.Logger
	// Now is the clock. If nil, time.Now.
	Now func() time.Time

	client *acmez.Client
	budget *budget // of the client, for one step
}

// A Wanted certificate.
type Wanted struct {
	Names []string // DNS names, the first names the file
	RSA   bool     // with a key of RSA-2048, for old clients; else P-256
}

// String returns what the certificate's files are called.
func (w Wanted) String() string {
	name := strings.ReplaceAll(w.Names[0], "*", "_")
	if w.RSA {
		name += "-rsa"
	}
	return name
}

// File returns the path of the PEM file in which the certificate is kept with its key.
func (m *Manager) File(w Wanted) string { return filepath.Join(m.Folder, w.String()+".pem") }

func (m *Manager) log() *slog.Logger {
	if m.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return m.Log
}

func (m *Manager) now() time.Time {
	if m.Now == nil {
		return time.Now()
	}
	return m.Now()
}

// Ensure gets the certificate if there is none, it lacks a name, or the time to renew it has come.
// next is when to ask again; changed says that the file is new.
func (m *Manager) Ensure(ctx context.Context, w Wanted) (changed bool, next time.Time, err error) {
	have, err := m.load(w)
	if err != nil {
		return false, time.Time{}, err
	}
	if have != nil && !placeholder(have.Leaf) {
		if next = m.renewAt(ctx, have.Leaf); m.now().Before(next) {
			return false, next, nil
		}
	}
	key, err := m.keyOf(w, have)
	if err != nil {
		return false, time.Time{}, err
	}
	leaf, err := m.obtain(ctx, w, key, have)
	if err != nil {
		return false, time.Time{}, err
	}
	if next = m.renewAt(ctx, leaf); next.Before(m.now().Add(minPause)) {
		next = m.now().Add(minPause)
	}
	return true, next, nil
}

// load returns what there is, nil if it is not there or lacks a name.
func (m *Manager) load(w Wanted) (*tls.Certificate, error) {
	file := m.File(w)
	have, err := tls.LoadX509KeyPair(file, file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, name := range w.Names {
		if !slices.Contains(have.Leaf.DNSNames, name) {
			return nil, nil
		}
	}
	return &have, nil
}

// renewAt is when to renew: the CA's wish, or when a third of the life is left.
func (m *Manager) renewAt(ctx context.Context, leaf *x509.Certificate) time.Time {
	at := leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3)
	client, err := m.dial()
	if err == nil {
		var info acme.RenewalInfo
		info, err = client.GetRenewalInfo(ctx, leaf)
		if err == nil && info.HasWindow() && info.SelectedTime.Before(leaf.NotAfter) {
			return info.SelectedTime
		}
	}
	if err != nil {
		m.log().Debug("no renewal information", "name", leaf.DNSNames[0], "err", err)
	}
	return at
}

// keyOf returns the key to use: the one there is, also where names have changed.
func (m *Manager) keyOf(w Wanted, have *tls.Certificate) (crypto.Signer, error) {
	if have == nil {
		file := m.File(w)
		if old, err := tls.LoadX509KeyPair(file, file); err == nil {
			have = &old
		}
	}
	if have != nil {
		return have.PrivateKey.(crypto.Signer), nil // that of our own file
	}
	return newKey(w)
}

// obtain orders a certificate for the key and writes both.
func (m *Manager) obtain(ctx context.Context, w Wanted, key crypto.Signer, old *tls.Certificate) (*x509.Certificate, error) {
	client, err := m.dial()
	if err == nil {
		err = m.room()
	}
	if err != nil {
		return nil, err
	}
	chain, err := m.order(ctx, client, w, key, old)
	if err != nil {
		return nil, err
	}
	leaf, err := m.keep(w, chain, key)
	if err != nil {
		return nil, err
	}
	m.log().Info("certificate obtained", "name", w.Names[0], "expires", leaf.NotAfter.Format(time.DateOnly), "tlsa", TLSA(key.Public()))
	return leaf, nil
}

// order orders a certificate, and returns it with its authorities.
func (m *Manager) order(ctx context.Context, client *acmez.Client, w Wanted, key crypto.Signer, old *tls.Certificate) (chain []byte, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, maxOrder, errTooSlow)
	defer cancel()
	account, err := m.account(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("account at the CA: %w", err)
	}
	csr, err := acmez.NewCSR(key, w.Names)
	if err != nil {
		return nil, err
	}
	params, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return nil, err
	}
	if old != nil && !placeholder(old.Leaf) {
		params.Replaces = old.Leaf
	}
	chains, err := client.ObtainCertificate(ctx, params)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("certificate for %s: %w", strings.Join(w.Names, ", "), err)
	}
	return chains[0].ChainPEM, nil
}

// keep checks that what the CA gave is what was ordered, and writes it.
func (m *Manager) keep(w Wanted, chain []byte, key crypto.Signer) (*x509.Certificate, error) {
	text, err := keyPEM(key)
	if err != nil {
		return nil, err
	}
	if len(chain) > maxChain {
		return nil, fmt.Errorf("what the CA gave for %s: %w", w.Names[0], errTooMuch)
	}
	text = append(text, chain...)
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("what the CA gave for %s: %w", w.Names[0], err)
	}
	for _, name := range w.Names {
		if err := pair.Leaf.VerifyHostname(strings.Replace(name, "*", "any", 1)); err != nil {
			return nil, fmt.Errorf("what the CA gave for %s: %w", w.Names[0], err)
		}
	}
	switch now := m.now(); {
	case now.After(pair.Leaf.NotAfter):
		return nil, fmt.Errorf("what the CA gave for %s has expired", w.Names[0])
	case now.Add(maxSkew).Before(pair.Leaf.NotBefore):
		return nil, fmt.Errorf("what the CA gave for %s is not good before %s", w.Names[0], pair.Leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return pair.Leaf, replace(m.File(w), text)
}

// dial returns the client for one step. It is made at the first call.
func (m *Manager) dial() (*acmez.Client, error) {
	if m.client != nil {
		m.budget.left = maxBytes
		return m.client, nil
	}
	if err := os.MkdirAll(m.Folder, 0o700); err != nil {
		return nil, err
	}
	directory := m.Directory
	if directory == "" {
		directory = LetsEncrypt
	}
	transport := m.Transport
	if transport == nil {
		https := http.DefaultTransport.(*http.Transport).Clone()
		https.TLSClientConfig = &tls.Config{RootCAs: m.Roots}
		transport = https
	}
	m.budget = &budget{transport, maxBytes}
	m.client = &acmez.Client{
		Client: &acme.Client{
			Directory:  directory,
			HTTPClient: &http.Client{Transport: m.budget, Timeout: time.Minute},
			UserAgent:  "starttls",
			Logger:     slog.New(murmur{m.log().Handler()}),

			PollInterval: pollEvery,
		},
		ChallengeSolvers: m.Solvers,
	}
	return m.client, nil
}

// account returns ours at the CA, made at the first call. Its key alone is kept: the CA knows the account
// by it (RFC 8555 §7.3.1).
func (m *Manager) account(ctx context.Context, client *acmez.Client) (acme.Account, error) {
	key, err := m.accountKey()
	if err != nil {
		return acme.Account{}, err
	}
	return client.NewAccount(ctx, acme.Account{Contact: m.Contact, TermsOfServiceAgreed: true, PrivateKey: key})
}

func (m *Manager) accountKey() (crypto.Signer, error) {
	file := filepath.Join(m.Folder, "account.key")
	if key, err := readKey(file); err == nil || !errors.Is(err, os.ErrNotExist) {
		return key, err
	}
	key, err := newKey(Wanted{})
	if err != nil {
		return nil, err
	}
	text, err := keyPEM(key)
	if err != nil {
		return nil, err
	}
	return key, replace(file, text)
}

// replace writes a file whole: who opens it sees the old or the new one.
func replace(file string, text []byte) error {
	var random [6]byte
	rand.Read(random[:])
	temp := file + "." + hex.EncodeToString(random[:])
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(temp, file)
	}
	if err != nil {
		os.Remove(temp)
	}
	return err
}
