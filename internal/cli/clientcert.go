package cli

import (
	"crypto/tls"
	"errors"
	"fmt"

	"starttls"
)

// clientCerts returns a configuration that asks clients for certificates, if the listener says so. If it
// does not, nobody is asked: many programs fail, or ask their user, when they are (RFC 8314 §4.2).
//
// Of a client that is only asked, a certificate that is not good ends the handshake all the same: who
// shows one wants to be known by it.
func (a *assembly) clientCerts(r *running) (*tls.Config, error) {
	word := r.listen.Options.Get("client-cert")
	fail := func(text string) (*tls.Config, error) {
		return nil, a.wrong("listen", fmt.Errorf("client-cert=%s: %s", word, text))
	}
	config := &tls.Config{}
	switch word {
	case "":
		if a.ClientCA != "" {
			return nil, a.wrong("client-ca", errors.New("--client-ca is for a listener with client-cert=ask or client-cert=demand"))
		}
		return config, nil
	case "ask":
		config.ClientAuth = tls.VerifyClientCertIfGiven
	case "demand":
		config.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return fail("meant is ask or demand")
	}
	switch {
	case r.Front.Level == starttls.None:
		return fail("there is no TLS in front")
	case word == "demand" && r.Front.Level != starttls.Encrypt:
		return fail("a client without TLS shows none; demand tls=encrypt as well")
	case a.ClientCA == "":
		return fail("which certificates are trusted is said by --client-ca FILE (in the file, client-ca)")
	}
	var err error
	config.ClientCAs, err = readRoots("--client-ca", a.ClientCA)
	return config, err
}
