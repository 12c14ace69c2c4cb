package lab

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"
)

// A policyFault is how a policy host fails (RFC 8461 §3.3). What is wrong with its certificate is in the
// row's leaf.
type policyFault uint8

const (
	policyRight      policyFault = iota
	policyNowhere                // it has no address
	policyDown                   // it refuses connections
	policyMissing                // 404
	policyBroken                 // 500
	policyRedirected             // 301 to where the policy is
	policyHTML                   // text/html
	policyEndless                // it does not end
	policySlow                   // a byte a second
)

// policyPath is where a policy is (RFC 8461 §3.3).
const policyPath = "/.well-known/mta-sts.txt"

// policy returns the text that the policy host serves.
func (s *sts) policy(domain string) string {
	if s.text != "" {
		return s.text
	}
	mode, patterns := s.mode, s.mx
	if mode == "" {
		mode = "enforce"
	}
	if patterns == nil {
		patterns = []string{"mx." + domain}
	}
	text := "version: STSv1\r\nmode: " + mode + "\r\n"
	for _, pattern := range patterns {
		text += "mx: " + pattern + "\r\n"
	}
	return text + "max_age: 86400\r\n"
}

// servePolicies serves a policy host until the lab is closed.
func (l *Lab) servePolicies(ln net.Listener, domain string, s *sts, cert *tls.Certificate) {
	server := &http.Server{
		Handler:           l.policyHandler(domain, s),
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
	}
	ln = tls.NewListener(ln, &tls.Config{
		Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12, Time: l.now, NextProtos: []string{"h2", "http/1.1"},
	})
	l.stop = append(l.stop, func() { server.Close() })
	l.serving.Go(func() { server.Serve(ln) })
}

func (l *Lab) policyHandler(domain string, s *sts) http.Handler {
	text := s.policy(domain)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		switch s.host {
		case policyBroken:
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		case policyRedirected:
			if r.URL.Path == policyPath {
				http.Redirect(w, r, "/policy.txt", http.StatusMovedPermanently)
				return
			}
		case policyHTML:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
		case policyEndless:
			for line := strings.Repeat("x", 1000) + ": y\r\n"; ; {
				if _, err := io.WriteString(w, line); err != nil {
					return
				}
			}
		case policySlow:
			for i := range len(text) {
				if _, err := fmt.Fprintf(w, "%c", text[i]); err != nil || !l.sleep(time.Second) {
					return
				}
				http.NewResponseController(w).Flush()
			}
			return
		}
		if s.host == policyMissing || r.URL.Path != policyPath && s.host != policyRedirected {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, text)
	})
}
