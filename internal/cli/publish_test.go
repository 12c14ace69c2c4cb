package cli

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starttls/internal/zone"
	"starttls/test/peers/peer"
)

func publish(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newPublish(streams{nil, &out, &out})
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// TestPublishPins: the records are of the keys, whatever they come in.
func TestPublishPins(t *testing.T) {
	pki := peer.NewPKI(t)
	want := func(p peer.Pair) string {
		leaf, err := x509.ParseCertificate(p.TLS.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("_465._tcp.xmpp.test.   IN TLSA  3 1 1 %x\n", sha256.Sum256(leaf.RawSubjectPublicKeyInfo))
	}
	public := filepath.Join(t.TempDir(), "public.pem")
	leaf, _ := x509.ParseCertificate(pki.Other.TLS.Certificate[0])
	if err := os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: leaf.RawSubjectPublicKeyInfo}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, next := range []string{pki.Other.CertFile, pki.Other.KeyFile, public} {
		out, err := publish(t, "example.org", "--port", "465", "--mx", "xmpp.test", "--mx", "other.example",
			"--cert", pki.Server.CertFile, "--cert", pki.ServerRSA.CertFile, "--next", next)
		for _, line := range []string{want(pki.Server), want(pki.ServerRSA), want(pki.Other)} {
			if err != nil || !strings.Contains(out, line) {
				t.Errorf("%v, no %q in\n%s", err, line, out)
			}
		}
		// A key to come is nothing for a host without one of now: no server could match.
		if strings.Contains(out, "_tcp.other.example") || !strings.Contains(out, "; no --cert names other.example") {
			t.Errorf("other.example in\n%s", out)
		}
	}
}

// TestPublishLooksHostsUp: and says how sure that is.
func TestPublishLooksHostsUp(t *testing.T) {
	_, dns := zones(t,
		zone.Config{Origin: "."},
		zone.Config{Origin: "example", Text: `
@    MX 20 b.mail
@    MX 10 a.mail
null MX 0 .
a.mail A 192.0.2.1
b.mail A 192.0.2.2
@ A 192.0.2.3
bare A 192.0.2.4
`})
	for domain, want := range map[string]string{
		"example":      ";   mx: a.mail.example\n;   mx: b.mail.example\n",
		"bare.example": ";   mx: bare.example\n", // its own host, RFC 5321 §5.1
	} {
		if out, err := publish(t, append(dns, domain)...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v\n%s", domain, err, out)
		}
	}
	for domain, want := range map[string]string{
		"null.example": "takes no mail",
		"gone.example": "does not exist",
	} {
		if out, err := publish(t, append(dns, domain)...); err == nil || !strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("%s: %v\n%s", domain, err, out)
		}
	}
}
