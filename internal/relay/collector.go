package relay

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"time"

	"starttls/resolver"
	"starttls/tlsrpt"
)

// A Collector hands sessions to the collector of a tlsrpt-reporter that is there already, by its socket.
// Only Socket and Resolver are needed. Add is for [Config].Tally; Run does the work.
type Collector struct {
	Socket   string // path of a unix datagram socket
	Resolver resolver.Resolver
	// Log is told when the collector cannot be reached. If nil, nobody is.
	Log *slog.Logger

	waiting outbox[tlsrpt.Session]
}

// Add hands a session over without waiting. When too many wait it is lost.
func (c *Collector) Add(s tlsrpt.Session) { c.waiting.put(s) }

// Run sends what was added until ctx ends. Domains that ask for no reports are left out.
func (c *Collector) Run(ctx context.Context) {
	c.waiting.run(ctx, func(s tlsrpt.Session) {
		asking, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		record := c.record(asking, s.Domain)
		if record == "" {
			return
		}
		err := c.send(s, record)
		if err != nil && c.Log != nil {
			c.Log.Warn("a session was not handed to the collector of reports", "socket", c.Socket, "err", err)
		}
	})
}

// record returns the domain's record, empty if it has not exactly one (RFC 8460 §3).
func (c *Collector) record(ctx context.Context, domain string) (record string) {
	a, err := c.Resolver.Lookup(ctx, "_smtp._tls."+domain, resolver.TXT)
	if err != nil {
		return ""
	}
	for _, text := range a.TXT {
		if !strings.HasPrefix(text, "v=TLSRPTv1;") {
			continue
		}
		if record != "" {
			return ""
		}
		record = text
	}
	return record
}

func (c *Collector) send(s tlsrpt.Session, record string) error {
	datagram, err := s.Datagram(record)
	if err != nil {
		return err
	}
	conn, err := net.Dial("unixgram", c.Socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetWriteDeadline(time.Now().Add(time.Second)) // a collector that is busy loses it, as with libtlsrpt
	_, err = conn.Write(datagram)
	return err
}
