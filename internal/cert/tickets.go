package cert

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"sync"
)

// Tickets protects the tickets of TLS sessions (RFC 5077, RFC 8446 §4.6.1) by secrets that several nodes have,
// so that a session that began at one of them resumes at another. Until it has secrets, crypto/tls makes keys
// of its own, and changes them. The zero value is ready to use, and its methods may be called at the same time.
type Tickets struct {
	mu       sync.Mutex
	secrets  [][]byte
	services map[string]*tls.Config // used for their ticket keys alone
}

// Use sets the secrets. The first protects new tickets, all of them open tickets.
func (t *Tickets) Use(secrets [][]byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.secrets = secrets
	for name := range t.services {
		if err := t.key(name); err != nil {
			return err
		}
	}
	return nil
}

// Protect has the tickets of a configuration made and opened with keys of a service. A session resumes only at
// the same service: what a client was shown and had to show at another must not count here.
func (t *Tickets) Protect(config *tls.Config, service string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.services[service] == nil {
		if t.services == nil {
			t.services = make(map[string]*tls.Config)
		}
		t.services[service] = &tls.Config{}
		if err := t.key(service); err != nil {
			return err
		}
	}
	keys := t.services[service]
	config.WrapSession, config.UnwrapSession = keys.EncryptTicket, keys.DecryptTicket
	return nil
}

// key makes a service's keys of the secrets, if there are any.
func (t *Tickets) key(service string) error {
	if len(t.secrets) == 0 {
		return nil
	}
	keys := make([][32]byte, len(t.secrets))
	for i, secret := range t.secrets {
		key, err := hkdf.Key(sha256.New, secret, nil, "starttls session tickets\n"+service, len(keys[i]))
		if err != nil {
			return err
		}
		copy(keys[i][:], key)
	}
	t.services[service].SetSessionTicketKeys(keys)
	return nil
}
