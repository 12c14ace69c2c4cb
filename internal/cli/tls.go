package cli

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"starttls"
	"starttls/internal/config"
)

// tlsVersions are the words of --min-version.
var tlsVersions = map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// parseVersion reads a TLS version; the empty word is the default.
func parseVersion(s string) (uint16, error) {
	if s == "" {
		return tls.VersionTLS12, nil
	}
	if v, ok := tlsVersions[s]; ok {
		return v, nil
	}
	return 0, fmt.Errorf("unknown TLS version %q; the versions are %s", s, strings.Join(slices.Sorted(maps.Keys(tlsVersions)), ", "))
}

// withVersion sets the minimum version. Devices that know nothing after TLS 1.1 (RFC 2246, RFC 4346)
// seldom know a key exchange other than RSA, which Go has taken off its list.
func withVersion(config *tls.Config, version uint16) *tls.Config {
	config.MinVersion = version
	if version >= tls.VersionTLS12 {
		return config
	}
	for _, suite := range tls.CipherSuites() {
		config.CipherSuites = append(config.CipherSuites, suite.ID)
	}
	config.CipherSuites = append(config.CipherSuites,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA)
	return config
}

// verification is how the certificate of a server is checked.
type verification struct {
	level starttls.Level
	host  string // as configured
	match string // the name that the certificate must be for, if not host
	ca    string // file of certificates to trust; the system's if empty
	min   uint16
}

// wanted returns the name that the certificate must be for.
func (v verification) wanted() string {
	if v.match != "" {
		return v.match
	}
	return v.host
}

// clientTLS returns the configuration of a leg towards a server.
func (v verification) clientTLS() (*tls.Config, error) {
	name := v.wanted()
	config := withVersion(&tls.Config{ServerName: name, InsecureSkipVerify: v.level < starttls.Verify}, v.min)
	if v.level >= starttls.Verify && name == "" {
		return nil, fmt.Errorf("tls=%s on a unix socket needs match=NAME, the name in the certificate", v.level)
	}
	if v.ca == "" {
		return config, nil
	}
	var err error
	config.RootCAs, err = readRoots("--ca", v.ca)
	return config, err
}

// readRoots reads the file of a flag.
func readRoots(flag, file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, failed(fmt.Errorf("%s: %w", flag, err))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, failed(fmt.Errorf("%s: no certificate in %s", flag, file))
	}
	return roots, nil
}

// pairs joins --cert and --key flags: the keys stand in the order of the certificates, or in the same
// files.
func pairs(certs, keys []string) ([]config.Certificate, error) {
	if len(keys) > 0 && len(keys) != len(certs) {
		return nil, fmt.Errorf("%d --cert and %d --key: give a key for each certificate, in the same order", len(certs), len(keys))
	}
	var all []config.Certificate
	for i, c := range certs {
		key := c
		if len(keys) > 0 {
			key = keys[i]
		}
		all = append(all, config.Certificate{Cert: c, Key: key})
	}
	return all, nil
}

// defaultState returns the folder for what the program keeps.
func defaultState() string {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" { // systemd
		return dir
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "starttls")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "starttls")
	}
	return "/var/lib/starttls"
}
