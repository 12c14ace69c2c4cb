package check

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"starttls/internal/finding"
)

// insideTLS serves with TLS from the first byte.
func insideTLS(serve func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) { serve(tls.Server(conn, serverTLS())) }
}

// mapped dials other addresses in the place of those that are asked for.
func mapped(to map[string]string) func(*Config) {
	return func(c *Config) {
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if other, ok := to[address]; ok {
				address = other
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	}
}

// TestThePortForImplicitTLS: of the services of users it is looked for, where it must be known.
func TestThePortForImplicitTLS(t *testing.T) {
	whole := func(conn net.Conn) { animal{ehlo: []string{"mx.example.org", "SIZE 1000"}, work: true}.serve(conn) }
	for _, row := range []struct {
		name, evidence string
		serve          func(net.Conn) // nil if nobody listens
		want           finding.Verdict
	}{
		{"there", "port 465: TLS 1.3", insideTLS(whole), finding.Good},
		{"nobody listens", "port 465: nobody listens", nil, finding.Sufficient},
		{"in the clear", "TLS does not begin", animal{}.serve, finding.PhaseOut},
		{"another protocol", "inside TLS is not smtp", insideTLS(func(conn net.Conn) { fmt.Fprint(conn, "* OK IMAP4rev1\r\n") }), finding.PhaseOut},
		{"hangs up", "port 465: ", func(net.Conn) {}, finding.NotTestable},
		{"hangs up inside", "port 465: ", insideTLS(func(conn net.Conn) { conn.(*tls.Conn).Handshake() }), finding.NotTestable},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			to := map[string]string{"127.0.0.1:587": served(t, animal{}.serve), "127.0.0.1:465": "127.0.0.1:1"}
			if row.serve != nil {
				to["127.0.0.1:465"] = served(t, row.serve)
			}
			for range 3 {
				r := result(t, "submission://127.0.0.1", mapped(to))
				f := one(t, r, "tls.implicit-port")
				if f.Verdict != row.want || !strings.Contains(f.Evidence, row.evidence) {
					t.Fatalf("%s: %s", f.Verdict, f.Evidence)
				}
				if n := r.Services[0].Connections; n > 20 {
					t.Fatalf("%d connections", n)
				}
			}
		})
	}
}

// implicitPorts are a service that is at the port for implicit TLS as well, and one that is not.
func implicitPorts() (all []specimen) {
	for there, want := range map[bool]finding.Verdict{true: finding.Good, false: finding.Sufficient} {
		all = append(all, specimen{fmt.Sprintf("tls.implicit-port/%v", there), sightings{"tls.implicit-port": want}, func(t *testing.T) look {
			to := map[string]string{"127.0.0.1:587": served(t, animal{}.serve), "127.0.0.1:465": "127.0.0.1:1"}
			if there {
				to["127.0.0.1:465"] = served(t, insideTLS(animal{ehlo: []string{"mx.example.org", "SIZE 1000"}, work: true}.serve))
			}
			return lookingAt("submission://127.0.0.1", mapped(to))
		}})
	}
	return all
}

// one returns the finding of an id, the zero one if there is none.
func one(t *testing.T, r *finding.Result, id string) (found finding.Finding) {
	t.Helper()
	for _, f := range r.All {
		if f.ID == id {
			found = f
		}
	}
	return found
}

// TestWhereNoPortForImplicitTLSIsKnown: not of a service at a port of its own, of mail between servers, or of
// one that begins with TLS; nor with one connection.
func TestWhereNoPortForImplicitTLSIsKnown(t *testing.T) {
	addr := served(t, animal{}.serve)
	for _, row := range []struct {
		url   string
		depth Depth
		want  finding.Verdict
	}{
		{"submission://" + addr, Full, finding.NotApplicable},
		{"smtp://127.0.0.1", Full, ""},
		{"submissions://127.0.0.1", Full, ""},
		{"submission://127.0.0.1", Quick, ""},
	} {
		to := map[string]string{"127.0.0.1:25": addr, "127.0.0.1:587": addr, "127.0.0.1:465": addr}
		r := result(t, row.url, mapped(to), func(c *Config) { c.Depth = row.depth })
		if f := one(t, r, "tls.implicit-port"); f.Verdict != row.want {
			t.Errorf("%s: %q: %s", row.url, f.Verdict, f.Evidence)
		}
	}
}

// TestThePortForImplicitTLSIsInTheBudget: it is one connection of those that are allowed.
func TestThePortForImplicitTLSIsInTheBudget(t *testing.T) {
	var dialled counted
	to := map[string]string{"127.0.0.1:587": served(t, animal{}.serve), "127.0.0.1:465": served(t, insideTLS(animal{}.serve))}
	r := result(t, "submission://127.0.0.1", mapped(to), func(c *Config) {
		dial := c.Dial
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialled.through(ctx, dial, network, address)
		}
		c.Budget = 6
	})
	if r.Services[0].Connections > 6 || int(dialled.all.Load()) != r.Services[0].Connections || dialled.most.Load() != 1 {
		t.Errorf("%d of 6, %d dialled, %d at once", r.Services[0].Connections, dialled.all.Load(), dialled.most.Load())
	}
}
