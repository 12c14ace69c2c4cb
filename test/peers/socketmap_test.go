package peers

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"

	"starttls/internal/socketmap"
	"starttls/internal/zone"
	"starttls/test/peers/peer"
)

// replies is a table.
type replies map[string]socketmap.Reply

func (r replies) Answer(_ context.Context, _, key string) socketmap.Reply { return r[key] }

// answering serves a table to Postfix, and returns its name for main.cf.
func answering(t *testing.T, protocol socketmap.Protocol, r replies) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- (&socketmap.Server{Answerer: r, Protocol: protocol}).Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if protocol == socketmap.TCPTable {
		return "tcp:" + ln.Addr().String()
	}
	return "socketmap:inet:" + ln.Addr().String() + ":postfix"
}

// Postfix's own postmap asks, by both protocols.
func TestPostmapAsks(t *testing.T) {
	t.Parallel()
	p := peer.StartPostfix(t, peer.PostfixOptions{})
	long := strings.Repeat("x", 99_997)
	table := replies{
		"example.com":             {Status: socketmap.OK, Text: "secure match=mx.example.com:.example.net servername=hostname"},
		"[mx.example.net]:587":    {Status: socketmap.OK, Text: "dane-only { policy_string = 100% }"},
		"b\xc3\xbccher.example":   {Status: socketmap.OK, Text: "dane"},
		"down.example":            {Status: socketmap.Temp, Text: "the MX records of down.example could not be looked up"},
		"late.example":            {Status: socketmap.Timeout, Text: "no plan in time"},
		"a..b":                    {Status: socketmap.Perm, Text: "no domain name"},
		"long.example":            {Status: socketmap.OK, Text: long, Short: "secure match=long.example"},
		strings.Repeat("k", 1000): {Status: socketmap.OK, Text: "encrypt"},
		"unlimited.example":       {Status: socketmap.OK, Text: long + "x"},
	}
	for _, protocol := range []socketmap.Protocol{socketmap.Socketmap, socketmap.TCPTable} {
		t.Run(protocol.String(), func(t *testing.T) {
			name := answering(t, protocol, table)
			ask := func(key string) client { return cmd("postmap", "-c", p.Config, "-q", key, name) }
			for key, r := range table {
				switch {
				case r.Status != socketmap.OK:
					ask(key).fails(t, "query error")
				case key == "unlimited.example":
					ask(key).fails(t, "query error")
				case key == "long.example" && protocol == socketmap.TCPTable:
					is(t, ask(key), r.Short)
				default:
					is(t, ask(key), r.Text)
				}
			}
			for _, key := range []string{".example.com", "other.example"} {
				if out, status := peer.Run(t, limit, nil, "postmap", "-c", p.Config, "-q", key, name); status != 1 || out != "" {
					t.Errorf("%s: status %d, %q", key, status, out)
				}
			}
		})
	}
}

// is runs a client, which must print one line.
func is(t *testing.T, c client, want string) {
	t.Helper()
	if out, status := peer.Run(t, limit, c.env, c.args[0], c.args[1:]...); status != 0 || out != want+"\n" {
		t.Errorf("%q: status %d, %.200q", c.args, status, out)
	}
}

// Postfix takes each kind of answer and does as it says. The server behind has a certificate for
// mx.example.test and others; the DNS is not secure.
func TestPostfixObeysAnswers(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	leaf, err := x509.ParseCertificate(pki.Server.TLS.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	key := strings.ReplaceAll(fmt.Sprintf("% X", sha256.Sum256(leaf.RawSubjectPublicKeyInfo)), " ", ":")
	const other = "00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00"
	rows := []struct{ answer, delivery, tls string }{
		{"none", "status=sent", ""},
		{"may", "status=sent", "Trusted"},
		{"encrypt", "status=sent", "Trusted"},
		{"dane", "status=sent", "Trusted"},
		{"dane-only", "status=deferred (no TLSA records found)", ""},
		{"secure match=mx.example.test servername=hostname", "status=sent", "Verified"},
		{"secure match=.example.test:mx.example.com servername=hostname", "status=sent", "Verified"},
		{"secure match=mx.example.com servername=hostname", "status=deferred (Server certificate not verified)", "hostname mismatch"},
		{"fingerprint match=" + other + "|" + key, "status=sent", "Verified"},
		{"fingerprint match=" + other, "status=deferred (Server certificate not verified)", "Untrusted"},
		{"secure match=mx.example.test policy_type=sts", "client TLS configuration problem", ""}, // of 3.10, said to 3.7
	}
	table := replies{"temp.example": {Status: socketmap.Temp, Text: "the DNS is away"}}
	text := "temp A 127.0.0.1\nsub A 127.0.0.1\n"
	for i, row := range rows {
		name := fmt.Sprintf("row%d", i)
		table[name+".example"] = socketmap.Reply{Status: socketmap.OK, Text: row.answer}
		text += name + " A 127.0.0.1\n"
	}
	table[".example"] = socketmap.Reply{Status: socketmap.OK, Text: "dane-only"}
	behind := peer.StartPostfix(t, peer.PostfixOptions{
		Hostname: "behind.example.test", Domain: "-",
		Main: []string{"relay_domains = example", "relay_transport = discard:"},
	})
	_, port, _ := net.SplitHostPort(behind.StartTLS)
	sender := peer.StartPostfix(t, peer.PostfixOptions{
		Domain: "-", Resolver: resolving(t, zone.Config{Origin: "example", Text: text}),
		Main: []string{
			"smtp_tcp_port = " + port, "smtp_dns_support_level = dnssec", "smtp_tls_security_level = may",
			"smtp_tls_policy_maps = " + answering(t, socketmap.Socketmap, table),
		},
	})
	for i, row := range rows {
		t.Run(row.answer, func(t *testing.T) {
			_, got := deliver(t, sender, fmt.Sprintf("row%d.example", i))
			contains(t, got, row.delivery, row.tls)
		})
	}
	_, got := deliver(t, sender, "temp.example")
	contains(t, got, "the DNS is away", "status=deferred")
	_, got = deliver(t, sender, "sub.example") // by .example
	contains(t, got, "status=deferred (no TLSA records found)")
}
