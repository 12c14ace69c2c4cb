package policy

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"starttls"
	"starttls/resolver"
)

// An Override is what an operator demands of a destination, whatever the evidence.
type Override struct {
	Level starttls.Level
	// Names replace those that the certificate must be for, at Verify and Secure. ".example.org" is any
	// name below example.org.
	Names []string
	// Fingerprints are SHA-256 of leaf certificates or public keys, one of which must match. Where there
	// are any, Level and Names have no meaning.
	Fingerprints [][32]byte
}

// Overrides are those of an operator, by domain; ".example.org" is for all domains below example.org.
type Overrides map[string]*Override

// Of returns what was set for a domain: for itself, else for the nearest one above it; nil if nothing was.
func (o Overrides) Of(domain string) *Override {
	if own := o[domain]; own != nil {
		return own
	}
	for {
		_, above, ok := strings.Cut(domain, ".")
		if !ok {
			return nil
		}
		if own := o["."+above]; own != nil {
			return own
		}
		domain = above
	}
}

// ParseOverrides reads overrides, a line each, in the manner of Postfix's smtp_tls_policy_maps:
//
//	example.org      secure match=mx.example.org:.example.net
//	.example.com     encrypt
//	example.net      fingerprint match=AB:CD:…|…
//
// Fingerprints are SHA-256, in hexadecimal, with colons or without. What begins with "#" is passed over.
// Errors name the line.
func ParseOverrides(r io.Reader) (Overrides, error) {
	all := make(Overrides)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		domain, o, err := parseOverride(fields)
		if err == nil && all[domain] != nil {
			err = fmt.Errorf("%s was set before", fields[0])
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all[domain] = o
	}
	return all, lines.Err()
}

func parseOverride(fields []string) (domain string, o *Override, err error) {
	name, below := strings.CutPrefix(fields[0], ".")
	if domain, err = resolver.Name(name); err != nil {
		return "", nil, err
	}
	if below {
		domain = "." + domain
	}
	if len(fields) < 2 {
		return "", nil, fmt.Errorf("%s has no level", fields[0])
	}
	o = &Override{}
	word := fields[1]
	if word != "fingerprint" {
		if o.Level, err = starttls.ParseLevel(word); err != nil {
			return "", nil, err
		}
	}
	for _, field := range fields[2:] {
		match, ok := strings.CutPrefix(field, "match=")
		if !ok {
			return "", nil, fmt.Errorf("%q is unknown; meant is match=", field)
		}
		if err := o.match(word, match); err != nil {
			return "", nil, err
		}
	}
	if word == "fingerprint" && len(o.Fingerprints) == 0 {
		return "", nil, fmt.Errorf("%s: fingerprint needs match=", fields[0])
	}
	return domain, o, nil
}

// match reads what stands behind match=.
func (o *Override) match(level, text string) error {
	switch level {
	case "fingerprint":
		for print := range strings.SplitSeq(text, "|") {
			raw, err := hex.DecodeString(strings.ReplaceAll(print, ":", ""))
			if err != nil || len(raw) != 32 {
				return fmt.Errorf("%q is no SHA-256 in hexadecimal", print)
			}
			o.Fingerprints = append(o.Fingerprints, [32]byte(raw))
		}
	case "verify", "secure":
		for name := range strings.SplitSeq(text, ":") {
			host, below := strings.CutPrefix(name, ".")
			host, err := resolver.Name(host)
			if err != nil {
				return err
			}
			if below {
				host = "." + host
			}
			o.Names = append(o.Names, host)
		}
	default:
		return fmt.Errorf("match= has no meaning at %s", level)
	}
	return nil
}
