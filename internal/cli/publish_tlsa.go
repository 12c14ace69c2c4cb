package cli

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"starttls/internal/acme"
)

// addTLSA adds the TLSA records of hosts: "3 1 1" of each key (RFC 7672 §3.1.1).
func (f *publishFlags) addTLSA(p *publication, hosts []string) error {
	hosts = slices.DeleteFunc(slices.Clone(hosts), func(host string) bool { return strings.HasPrefix(host, "*.") })
	switch {
	case len(f.next) > 0 && len(f.certs) == 0:
		return errors.New("--next is published beside the key in use: say --cert as well")
	case len(f.certs) == 0:
		p.note("without --cert there is no DANE")
		return nil
	}
	if len(hosts) == 0 {
		return errors.New("--cert: TLSA records are for hosts, and --mx has patterns only")
	}
	for _, file := range f.certs {
		leaf, err := readLeaf(file)
		if err != nil {
			return failed(fmt.Errorf("--cert: %w", err))
		}
		named := slices.DeleteFunc(slices.Clone(hosts), func(host string) bool { return leaf.VerifyHostname(host) != nil })
		if len(named) == 0 {
			return fmt.Errorf("--cert %s is for %q, and for none of the hosts %q", file, leaf.DNSNames, hosts)
		}
		f.pin(p, named, leaf.PublicKey)
	}
	// A key to come alone would be as good as no match: only hosts with their key of now have it as well.
	pinned := slices.DeleteFunc(hosts, func(host string) bool {
		bare := !slices.ContainsFunc(p.Records, func(r published) bool { return r.Name == f.at(host) })
		if bare {
			p.note("no --cert names " + host + ": it stays without DANE")
		}
		return bare
	})
	for _, file := range f.next {
		key, err := readPublic(file)
		if err != nil {
			return failed(fmt.Errorf("--next: %w", err))
		}
		f.pin(p, pinned, key)
	}
	p.note("TLSA records count in a zone that is signed with DNSSEC, and nowhere else")
	return nil
}

// pin adds a key's record for each host.
func (f *publishFlags) pin(p *publication, hosts []string, key crypto.PublicKey) {
	for _, host := range hosts {
		if r := (published{f.at(host), "TLSA", acme.TLSA(key)}); !slices.Contains(p.Records, r) {
			p.Records = append(p.Records, r)
		}
	}
}

// at is the name of a host's TLSA records (RFC 6698 §3).
func (f *publishFlags) at(host string) string { return fmt.Sprintf("_%d._tcp.%s", f.port, host) }

// readLeaf reads the first certificate of a PEM file.
func readLeaf(file string) (*x509.Certificate, error) {
	block, err := readPEM(file, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(block.Bytes)
}

// readPublic reads the public key of the first certificate or key of a PEM file.
func readPublic(file string) (crypto.PublicKey, error) {
	block, err := readPEM(file, "CERTIFICATE", "PUBLIC KEY", "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	var key any
	switch block.Type {
	case "CERTIFICATE":
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return leaf.PublicKey, nil
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a key of a kind that signs nothing", file)
	}
	return signer.Public(), nil
}

// readPEM reads the first block of a file that is of one of the types.
func readPEM(file string, types ...string) (*pem.Block, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, fmt.Errorf("%s has no %s in PEM", file, strings.ToLower(strings.Join(types[:min(2, len(types))], " or ")))
		}
		if slices.Contains(types, block.Type) {
			return block, nil
		}
	}
}
