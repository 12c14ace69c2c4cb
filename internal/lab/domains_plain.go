package lab

import (
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"

	"starttls"
	"starttls/internal/zone"
	"starttls/tlsrpt"
)

// bogus is the outcome where MX cannot be believed, and so no policy be found.
func bogus(why string) Outcome {
	return refused("451 4.4.3", why).told(tlsrpt.NoPolicy, tlsrpt.DNSSECInvalid, "")
}

// plainRows are domains without any policy.
var plainRows = []row{
	{
		name: "tls", about: "STARTTLS with a good certificate, no policy", zone: unsigned,
		mx:   []mx{{}},
		want: delivered(starttls.May, "TLS is offered"),
	},
	{
		name: "signed", about: "a signed zone without TLSA; STARTTLS",
		mx:   []mx{{}},
		want: delivered(starttls.May, "it is proved that there is no TLSA"),
	},
	{
		name: "clear", about: "a server without STARTTLS", zone: unsigned,
		mx:   []mx{{clear: true}},
		want: inClear("nothing demands TLS"),
	},
	{
		name: "self-signed", about: "STARTTLS with a self-signed certificate", zone: unsigned,
		mx:   []mx{{leaf: leaf{by: bySelf}}},
		want: delivered(starttls.May, "nobody looks at the certificate"),
	},
	{
		name: "expired", about: "STARTTLS with a certificate that has expired", zone: unsigned,
		mx:   []mx{{leaf: leaf{expired: true}}},
		want: delivered(starttls.May, "nobody looks at the certificate"),
	},
	{
		name: "old-tls", about: "STARTTLS with TLS 1.1 at most", zone: unsigned,
		mx:   []mx{{old: true}},
		want: delivered(starttls.May, "old TLS is better than none; a sender that has no such thing goes on in the clear"),
	},
	{
		name: "no-mx", about: "no MX; the domain itself has an address", zone: unsigned,
		mx:   []mx{{name: "@"}},
		want: delivered(starttls.May, "it is its own mail server (RFC 5321 §5.1)"),
	},
	{
		name: "alias-mx", about: "the MX host is an alias", zone: unsigned,
		mx:   []mx{{name: "real", alias: "mx"}},
		want: delivered(starttls.May, "it must not be (RFC 5321 §5.1), and everybody bears it").by("real"),
	},
	{
		name: "many-mx", about: "400 MX of one preference, all at one address", zone: zone.Config{Unsigned: true, Text: manyMX(400)},
		mx:   []mx{{name: "mx0"}},
		want: delivered(starttls.May, "any of them will do"),
	},
	{
		name: "null-mx", about: "a null MX", zone: zone.Config{Unsigned: true, Text: "@ MX 0 .\n@ A 192.0.2.1\n"},
		want: refused("556 5.1.10", "the domain takes no mail (RFC 7505)"),
	},
	{
		name: "no-address", about: "the MX host has no address", zone: zone.Config{Unsigned: true, Text: "@ MX 10 mx\n"},
		want: refused("550 5.4.4", "there is nowhere to go"),
	},
	{
		name: "mx-address", about: "the MX names an address", zone: zone.Config{Unsigned: true, Text: "@ MX 10 127.0.0.1.\n"},
		want: refused("550 5.4.4", "an address is not the name of a host (RFC 5321 §5.1)"),
	},
	{
		name: "nothing", about: "neither MX nor address", zone: zone.Config{Unsigned: true, Text: "@ TXT nothing\n"},
		want: refused("550 5.4.4", "there is nowhere to go"),
	},
	{
		name: "nowhere", about: "no such domain", absent: true,
		want: refused("550 5.1.2", "it is proved that there is none"),
	},
}

func manyMX(n int) string {
	var text strings.Builder
	for i := 1; i < n; i++ {
		fmt.Fprintf(&text, "@ MX 10 mx%d\nmx%d CNAME mx0\n", i, i)
	}
	return text.String()
}

// dnsRows are domains whose DNS is not to be believed, or fails.
var dnsRows = []row{
	{
		name: "bogus", about: "signatures that do not fit", zone: zone.Config{Spoiled: true},
		mx:   []mx{{tlsa: right}},
		want: bogus("MX is bogus"),
	},
	{
		name: "bogus-expired", about: "signatures that have expired", zone: zone.Config{From: -60 * 24 * time.Hour, Until: -30 * 24 * time.Hour},
		mx:   []mx{{tlsa: right}},
		want: bogus("MX is bogus"),
	},
	{
		name: "bogus-ds", about: "DS of another key", zone: zone.Config{DS: zone.DSWrong},
		mx:   []mx{{tlsa: right}},
		want: bogus("MX is bogus"),
	},
	{
		name: "bogus-host", about: "the MX host is in a zone whose signatures do not fit",
		mx:   []mx{{name: "bogus-host.bogus-hosts.test.", tlsa: right}},
		want: refused("451 4.4.4", "the host's address is bogus").told(tlsrpt.NoPolicy, tlsrpt.DNSSECInvalid, ""),
	},
	{
		name: "island", about: "signed, without DS in the zone above; TLSA of another key", zone: zone.Config{DS: zone.DSMissing},
		mx:   []mx{{tlsa: []string{"3 1 1 other"}}},
		want: delivered(starttls.May, "nobody can follow the signatures, so TLSA does not count"),
	},
	{
		name: "mx-servfail", about: "the name server fails when it is asked for MX", zone: unsigned,
		mx:   []mx{{}},
		lies: []lie{{"", dns.TypeMX, zone.Servfail}},
		want: refused("451 4.4.3", "it is not known who takes mail"),
	},
	{
		name: "mx-silent", about: "the name server is silent when it is asked for MX", zone: unsigned, slow: true,
		mx:   []mx{{}},
		lies: []lie{{"", dns.TypeMX, zone.Silence}},
		want: refused("451 4.4.3", "it is not known who takes mail"),
	},
}

// serverRows are domains whose mail servers have their ways.
var serverRows = []row{
	{
		name: "down", about: "the mail server refuses connections", zone: unsigned,
		mx:   []mx{{down: true}},
		want: refused("451 4.4.1", "it may come back"),
	},
	{
		name: "down-second", about: "the first MX refuses connections, the second does not", zone: unsigned,
		mx:   []mx{{name: "mx1", down: true}, {name: "mx2"}},
		want: delivered(starttls.May, "the next host is tried").by("mx2"),
	},
	{
		name: "busy", about: "421 for a banner", zone: unsigned,
		mx:   []mx{{faults: []Fault{{At: AtGreeting, Reply: "421 4.3.2 Too busy"}}}},
		want: refused("451 4.4.2", "it may come back"),
	},
	{
		name: "busy-second", about: "421 for a banner from the first MX", zone: unsigned,
		mx:   []mx{{name: "mx1", faults: []Fault{{At: AtGreeting, Reply: "421 4.3.2 Too busy"}}}, {name: "mx2"}},
		want: delivered(starttls.May, "the next host is tried").by("mx2"),
	},
	{
		name: "greylist", about: "451 for a sender and recipient that come for the first time", zone: unsigned,
		mx:   []mx{{greylist: true}},
		want: refused("451 4.7.1", "the second try will do"),
	},
	{
		name: "reject", about: "550 for every recipient", zone: unsigned,
		mx:   []mx{{faults: []Fault{{At: AtRcpt, Reply: "550 5.1.1 No such user"}}}},
		want: refused("550 5.1.1", "the server's own answer"),
	},
	{
		name: "reject-message", about: "554 for every message", zone: unsigned,
		mx:   []mx{{faults: []Fault{{At: AtData, Reply: "554 5.7.1 Not that"}}}},
		want: refused("554 5.7.1", "the server's own answer"),
	},
	{
		name: "full", about: "452 for every recipient, over DANE",
		mx:   []mx{{tlsa: right, faults: []Fault{{At: AtRcpt, Reply: "452 4.2.2 Mailbox full"}}}},
		want: refused("452 4.2.2", "the server's own answer"),
	},
	{
		name: "slow", about: "two seconds for each answer but those of TLS", zone: unsigned, slow: true,
		mx: []mx{{faults: []Fault{{At: AtGreeting, Delay: 2 * time.Second}, {At: AtHello, Delay: 2 * time.Second}, {At: AtMail, Delay: 2 * time.Second},
			{At: AtRcpt, Delay: 2 * time.Second}, {At: AtData, Delay: 2 * time.Second}, {At: AtDot, Delay: 2 * time.Second}}}},
		want: delivered(starttls.May, "slow is not broken"),
	},
	{
		name: "drops-greeting", about: "the connection ends before the banner", zone: unsigned,
		mx:   []mx{{faults: []Fault{{At: AtGreeting, Drop: true}}}},
		want: refused("451 4.4.2", "it may come back"),
	},
	{
		name: "drops-handshake", about: "the connection ends in the handshake; MTA-STS enforce", zone: unsigned, dane: &Outcome{Level: starttls.May, Clear: true, Deferrable: true, Why: "nothing demands TLS"},
		mx: []mx{{faults: []Fault{{At: AtHandshake, Drop: true}}}}, sts: &sts{},
		want: refused("451 4.7.5", "the policy demands TLS").told(tlsrpt.STS, tlsrpt.ValidationFailure, ""),
	},
	{
		name: "drops-data", about: "the connection ends at DATA", zone: unsigned,
		mx:   []mx{{faults: []Fault{{At: AtData, Drop: true}}}},
		want: refused("451 4.4.2", "it may come back"),
	},
	{
		name: "drops-body", about: "the connection ends in the middle of the message", zone: unsigned,
		mx:   []mx{{faults: []Fault{{At: AtBody, Drop: true}}}},
		want: refused("451 4.4.2", "it may come back"),
	},
}
