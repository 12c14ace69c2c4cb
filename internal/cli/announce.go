package cli

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"

	"starttls/internal/cert"
	"starttls/internal/config"
)

// forMachines is how standard output is written when the log is JSON, nil when it is text for a person.
func forMachines(file *config.File, std streams) slog.Handler {
	if file.Log.Format != "json" {
		return nil
	}
	return slog.NewJSONHandler(std.out, nil)
}

// announce tells what was started and with which certificate.
func (s *service) announce(r *served) {
	where := r.listen.Scheme + "://" + r.ln.Addr().String()
	if r.listen.Network == "unix" {
		where = r.listen.String()
	}
	if out := forMachines(s.first, s.std); out != nil {
		slog.New(out).Info("listening", "route", r.Name, "at", where, "demands", r.demands(), "backends", append([]string{r.back}, r.others...), "certificates", r.shown())
		return
	}
	r.describe(s.std, where)
}

// A shownCertificate is one of a route, for machines.
type shownCertificate struct {
	Is     string `json:"is"`
	SHA256 string `json:"sha256"`
	TLSA   string `json:"tlsa"`
}

func (r *running) shown() (all []shownCertificate) {
	if r.certs == nil {
		return nil
	}
	for _, c := range r.certs.Leaves() {
		all = append(all, shownCertificate{r.kindOf(c), cert.Fingerprint(c), cert.TLSA(c)})
	}
	return all
}

// describe tells a person.
func (r *running) describe(std streams, where string) {
	fmt.Fprintf(std.out, "listening  %s (%s)\n", where, r.demands())
	for _, back := range append([]string{r.back}, r.others...) {
		fmt.Fprintf(std.out, "backend    %s\n", back)
	}
	for _, c := range r.shown() {
		fmt.Fprintf(std.out, "certificate %s\n  SHA-256  %s\n  TLSA     %s\n", c.Is, c.SHA256, c.TLSA)
	}
}

// announceBoard tells where the status page is, if it is anywhere.
func (s *service) announceBoard() {
	if s.board.ln == nil {
		return
	}
	url := "http://" + s.board.ln.Addr().String()
	if out := forMachines(s.first, s.std); out != nil {
		slog.New(out).Info("status", "url", url)
		return
	}
	fmt.Fprintf(s.std.out, "status     %s\n", url)
}

// kindOf says whose certificate it is and how long it is good.
func (r *running) kindOf(c *x509.Certificate) string {
	switch {
	case !r.self:
		return fmt.Sprintf("%s, until %s", c.Subject, c.NotAfter.Format(time.DateOnly))
	case r.made:
		return "self-signed, made now and kept in " + r.state
	case c.VerifyHostname(r.Name) != nil:
		return fmt.Sprintf("self-signed for %s and kept in %s; remove it there to have one for %s", c.Subject.CommonName, r.state, r.Name)
	}
	return "self-signed, kept in " + r.state
}
