package cli

import (
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"starttls/internal/cert"
)

// announce tells a person what was started and with which certificate.
func (r *running) announce(std streams, addr net.Addr) {
	where := r.listen.Scheme + "://" + addr.String()
	if r.listen.Network == "unix" {
		where = r.listen.String()
	}
	fmt.Fprintf(std.out, "listening  %s (%s)\n", where, r.demands())
	for _, back := range append([]string{r.back}, r.others...) {
		fmt.Fprintf(std.out, "backend    %s\n", back)
	}
	if r.certs == nil {
		return
	}
	for _, c := range r.certs.Leaves() {
		fmt.Fprintf(std.out, "certificate %s\n  SHA-256  %s\n  TLSA     %s\n", r.kindOf(c), cert.Fingerprint(c), cert.TLSA(c))
	}
}

// kindOf says whose certificate it is and how long it is good.
func (r *running) kindOf(c *x509.Certificate) string {
	switch {
	case !r.self:
		return fmt.Sprintf("%s, until %s", c.Subject, c.NotAfter.Format(time.DateOnly))
	case r.made:
		return "self-signed, made now and kept in the state folder"
	case c.VerifyHostname(r.Name) != nil:
		return fmt.Sprintf("self-signed for %s and kept in the state folder; remove it there to have one for %s", c.Subject.CommonName, r.Name)
	}
	return "self-signed, kept in the state folder"
}
