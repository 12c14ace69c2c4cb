package tlsrpt

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// NewRecord makes the record at _smtp._tls.DOMAIN that asks for reports to be sent to URIs, "mailto:…" or
// "https://…" (RFC 8460 §3).
func NewRecord(rua ...string) (string, error) {
	if len(rua) == 0 {
		return "", errors.New("nobody is named to send reports to")
	}
	for _, uri := range rua {
		if err := checkURI(uri); err != nil {
			return "", fmt.Errorf("%q: %w", uri, err)
		}
	}
	return "v=TLSRPTv1; rua=" + strings.Join(rua, ","), nil
}

// checkURI refuses what cannot stand in a record. "!", "," and ";" must be encoded there.
func checkURI(uri string) error {
	if i := strings.IndexFunc(uri, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("!,;", r) }); i >= 0 {
		return fmt.Errorf("%q must be written as %%%02X", uri[i], uri[i])
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return err
	case u.Scheme == "mailto" && strings.Contains(strings.Trim(u.Opaque, "@"), "@"):
		return nil
	case u.Scheme == "https" && u.Host != "":
		return nil
	}
	return errors.New("meant is mailto:ADDRESS or https://HOST/PATH")
}
