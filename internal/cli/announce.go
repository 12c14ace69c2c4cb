package cli

import (
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
	c := r.certs.First()
	kind := fmt.Sprintf("%s, until %s", c.Subject, c.NotAfter.Format(time.DateOnly))
	if r.self {
		kind = "self-signed, kept in the state folder"
	}
	if r.self && c.VerifyHostname(r.Name) != nil {
		kind = fmt.Sprintf("self-signed for %s and kept in the state folder; remove it there to have one for %s", c.Subject.CommonName, r.Name)
	}
	if r.made {
		kind = "self-signed, made now and kept in the state folder"
	}
	fmt.Fprintf(std.out, "certificate %s\n  SHA-256  %s\n  TLSA     %s\n", kind, cert.Fingerprint(c), cert.TLSA(c))
}
