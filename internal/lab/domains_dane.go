package lab

import (
	"fmt"

	"github.com/miekg/dns"

	"starttls"
	"starttls/internal/zone"
	"starttls/tlsrpt"
)

// right is the record that most servers have: the key of their certificate.
var right = []string{"3 1 1 leaf"}

// noMatch is what a report tells of a certificate that no TLSA record matches.
func noMatch(o Outcome) Outcome {
	return o.told(tlsrpt.TLSA, tlsrpt.ValidationFailure, tlsrpt.ReasonDANENoMatch)
}

// daneRows are domains with TLSA records (RFC 7672).
var daneRows = []row{
	{
		name: "dane-ee", about: "TLSA 3 1 1 of the server's key, certificate of the hoster's own CA",
		mx:   []mx{{tlsa: right, leaf: leaf{by: byPrivate}}},
		want: delivered(starttls.Dane, "the key matches; who signed it does not matter (RFC 7672 §3.1.1)"),
	},
	{
		name: "dane-kinds", about: "TLSA 3 0 1, 3 1 2, 3 0 2 and 3 1 0, all of the right certificate",
		mx:   []mx{{tlsa: []string{"3 0 1 leaf", "3 1 2 leaf", "3 0 2 leaf", "3 1 0 leaf"}}},
		want: delivered(starttls.Dane, "each of the records matches"),
	},
	{
		name: "dane-ta", about: "TLSA 2 1 1 of the hoster's own CA, which is in the chain",
		mx:   []mx{{tlsa: []string{"2 1 1 ca"}, leaf: leaf{by: byPrivate}}},
		want: delivered(starttls.Dane, "the chain ends at the authority, and the name is right"),
	},
	{
		name: "dane-ta-absent", about: "TLSA 2 0 0, the whole CA certificate, which is not in the chain",
		mx:   []mx{{tlsa: []string{"2 0 0 ca"}, leaf: leaf{by: byPrivate, alone: true}}},
		want: delivered(starttls.Dane, "the record has all that the chain lacks (RFC 7671 §5.2.2)"),
	},
	{
		name: "dane-ta-domain", about: "TLSA 2 1 1, the certificate is for the domain and not for the MX host",
		mx:   []mx{{tlsa: []string{"2 1 1 ca"}, leaf: leaf{by: byPrivate, name: "dane-ta-domain.test"}}},
		want: delivered(starttls.Dane, "the next hop is a reference name too where MX is secure (RFC 7672 §3.2.2)"),
	},
	{
		name: "dane-rollover", about: "two TLSA records, of the key before and of the one now",
		mx:   []mx{{tlsa: []string{"3 1 1 other", "3 1 1 leaf"}}},
		want: delivered(starttls.Dane, "one record matches"),
	},
	{
		name: "dane-rolled", about: "the server has a new key, and TLSA is still of the old one",
		mx:   []mx{{tlsa: []string{"3 1 1 other"}, leaf: leaf{by: byPrivate}}},
		want: noMatch(refused("451 4.7.5", "no record matches")),
	},
	{
		name: "dane-wrong", about: "TLSA of another key, and a certificate that everybody trusts",
		mx:   []mx{{tlsa: []string{"3 1 1 other"}}},
		want: noMatch(refused("451 4.7.5", "no record matches, and a public CA cannot mend that")),
	},
	{
		name: "dane-agility", about: "TLSA 3 1 1 right, 3 1 2 wrong",
		mx:   []mx{{tlsa: []string{"3 1 1 leaf", "3 1 2 other"}}},
		want: noMatch(refused("451 4.7.5", "only the strongest digest counts (RFC 7671 §9)")),
	},
	{
		name: "dane-expired-ee", about: "TLSA 3 1 1, the certificate has expired",
		mx:   []mx{{tlsa: right, leaf: leaf{expired: true}}},
		want: delivered(starttls.Dane, "with usage 3 dates do not matter (RFC 7672 §3.1.1)"),
	},
	{
		name: "dane-expired-ta", about: "TLSA 2 1 1, the certificate has expired",
		mx:   []mx{{tlsa: []string{"2 1 1 ca"}, leaf: leaf{by: byPrivate, expired: true}}},
		want: refused("451 4.7.5", "with usage 2 dates matter").told(tlsrpt.TLSA, tlsrpt.CertificateExpired, ""),
	},
	{
		name: "dane-name-ee", about: "TLSA 3 1 1, the certificate is for another name",
		mx:   []mx{{tlsa: right, leaf: leaf{name: "other.test"}}},
		want: delivered(starttls.Dane, "with usage 3 names do not matter (RFC 7672 §3.1.1)"),
	},
	{
		name: "dane-name-ta", about: "TLSA 2 1 1, the certificate is for another name",
		mx:   []mx{{tlsa: []string{"2 1 1 ca"}, leaf: leaf{by: byPrivate, name: "other.test"}}},
		want: refused("451 4.7.5", "with usage 2 the name must be right").told(tlsrpt.TLSA, tlsrpt.CertificateHostMismatch, ""),
	},
	{
		name: "dane-no-tls", about: "TLSA, and a server without STARTTLS",
		mx:   []mx{{tlsa: right, clear: true}},
		want: refused("451 4.7.4", "TLSA demands TLS (RFC 7672 §2.2)").told(tlsrpt.TLSA, tlsrpt.StartTLSNotSupported, ""),
	},
	{
		name: "dane-unusable", about: "TLSA 1 1 1 alone, and a certificate that nobody trusts",
		mx:   []mx{{tlsa: []string{"1 1 1 leaf"}, leaf: leaf{by: bySelf}}},
		want: delivered(starttls.Encrypt, "no record is usable, so TLS is demanded and not authenticated (RFC 7672 §2.2)").told(tlsrpt.TLSA, tlsrpt.TLSAInvalid, ""),
	},
	{
		name: "dane-unusable-no-tls", about: "TLSA 1 1 1 alone, and a server without STARTTLS",
		mx:   []mx{{tlsa: []string{"1 1 1 leaf"}, clear: true}},
		want: refused("451 4.7.4", "also unusable records demand TLS").told(tlsrpt.TLSA, tlsrpt.StartTLSNotSupported, ""),
	},
	{
		name: "dane-servfail", about: "the name server fails when it is asked for TLSA",
		mx:   []mx{{tlsa: right}},
		lies: []lie{{"_25._tcp.mx", dns.TypeTLSA, zone.Servfail}},
		want: refused("451 4.7.5", "not to know is not the same as none (RFC 7672 §2.1.1)").told(tlsrpt.TLSA, tlsrpt.DNSSECInvalid, ""),
	},
	{
		name: "dane-silent", about: "the name server is silent when it is asked for TLSA", slow: true,
		mx:   []mx{{tlsa: right}},
		lies: []lie{{"_25._tcp.mx", dns.TypeTLSA, zone.Silence}},
		want: refused("451 4.7.5", "not to know is not the same as none").told(tlsrpt.TLSA, tlsrpt.DNSSECInvalid, ""),
	},
	{
		name: "dane-stripped-dns", about: "signatures are taken out of the answer for TLSA, on the path",
		mx:   []mx{{tlsa: right}},
		lies: []lie{{"_25._tcp.mx", dns.TypeTLSA, zone.Without(dns.TypeRRSIG)}},
		want: refused("451 4.7.5", "an answer without signatures from a signed zone is bogus").told(tlsrpt.TLSA, tlsrpt.DNSSECInvalid, ""),
	},
	{
		name: "dane-denied-dns", about: "somebody on the path says that there is no TLSA, and has no proof",
		mx:   []mx{{tlsa: right}},
		lies: []lie{{"_25._tcp.mx", dns.TypeTLSA, zone.Code(dns.RcodeNameError)}},
		want: refused("451 4.7.5", "a denial without proof from a signed zone is bogus").told(tlsrpt.TLSA, tlsrpt.DNSSECInvalid, ""),
	},
	{
		name: "dane-second", about: "the first MX does not match its TLSA, the second does",
		mx:   []mx{{name: "mx1", tlsa: []string{"3 1 1 other"}}, {name: "mx2", tlsa: right}},
		want: noMatch(delivered(starttls.Dane, "the first host is passed over like one that is down")).by("mx2"),
	},
	{
		name: "dane-mixed", about: "the first MX does not match its TLSA, the second has none",
		mx:   []mx{{name: "mx1", tlsa: []string{"3 1 1 other"}}, {name: "mx2"}},
		want: noMatch(delivered(starttls.May, "each host is judged by its own records")).by("mx2"),
	},
	{
		name: "dane-alias", about: "the MX host is an alias; TLSA is where it leads",
		mx:   []mx{{name: "real", alias: "mx", tlsa: right}},
		want: delivered(starttls.Dane, "the expanded name is asked first (RFC 7672 §2.2.2)").by("real"),
	},
	{
		name: "dane-tlsa-alias", about: "the TLSA name is an alias of a shared record",
		mx:   []mx{{tlsa: right, tlsaAt: "tlsa._dane"}},
		want: delivered(starttls.Dane, "an alias of the record does not change whose it is"),
	},
	{
		name: "dane-no-mx", about: "no MX; the domain itself has an address and TLSA",
		mx:   []mx{{name: "@", tlsa: right}},
		want: delivered(starttls.Dane, "it is its own mail server, by secure denial (RFC 7672 §2.2.1)"),
	},
	{
		name: "dane-insecure-mx", about: "the domain is not signed; its MX host is, and has TLSA",
		zone: zone.Config{Unsigned: true},
		mx:   []mx{{name: "dane-insecure-mx.signed-hosts.test.", tlsa: right}},
		want: delivered(starttls.Dane, "the host is held to its records, though MX might be forged (RFC 7672 §2.2.1)"),
	},
	{
		name: "insecure-address", about: "the domain is signed; its MX host is in a zone that is not, and cannot answer for TLSA",
		mx:   []mx{{name: "insecure-address.unsigned-hosts.test.", tlsa: right}},
		lies: []lie{{"_25._tcp.insecure-address.unsigned-hosts.test.", dns.TypeTLSA, zone.Servfail}},
		want: delivered(starttls.May, "the address is insecure, so TLSA is not asked for (RFC 7672 §2.2.2)"),
	},
	{
		name: "dane-many", about: "300 TLSA records, the right one last",
		mx:   []mx{{tlsa: append(manyTLSA(299), right...)}},
		want: delivered(starttls.Dane, "all count; the answer comes by TCP"),
	},
	{
		name: "dane-nsec3", about: "the zone proves denial by NSEC3",
		zone: zone.Config{NSEC3: &zone.NSEC3{}},
		mx:   []mx{{tlsa: right}},
		want: delivered(starttls.Dane, "one kind of DNSSEC is as good as another"),
	},
	{
		name: "dane-ed25519", about: "the zone is signed with Ed25519",
		zone: zone.Config{Algorithms: []uint8{dns.ED25519}},
		mx:   []mx{{tlsa: right}},
		want: delivered(starttls.Dane, "one kind of DNSSEC is as good as another"),
	},
	{
		name: "dane-unknown-algorithm", about: "TLSA, in a zone that is signed with an algorithm that nobody knows",
		zone: zone.Config{Algorithms: []uint8{200}},
		mx:   []mx{{tlsa: []string{"3 1 1 other"}}},
		want: delivered(starttls.May, "a zone with unknown algorithms counts as unsigned (RFC 4035 §5.2)"),
	},
	{
		name: "dane-aaaa-servfail", about: "the name server fails when it is asked for AAAA",
		mx:   []mx{{tlsa: right}},
		lies: []lie{{"mx", dns.TypeAAAA, zone.Servfail}},
		want: delivered(starttls.Dane, "one family of addresses is enough"),
	},
	{
		name: "xn--bcher-kva", about: "bücher.test, its MX mx.bücher.test; TLSA",
		mx:   []mx{{tlsa: right}},
		want: delivered(starttls.Dane, "names are A-labels in DNS, SNI and certificates (RFC 5890)"),
	},
	{
		name: "requiretls", about: "TLSA, and REQUIRETLS is offered inside TLS",
		mx:   []mx{{tlsa: right, requireTLS: true}},
		want: delivered(starttls.Dane, "a message with REQUIRETLS may go there too (RFC 8689)"),
	},
}

// manyTLSA returns records that match nothing.
func manyTLSA(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("3 1 1 %064x", i))
	}
	return all
}
