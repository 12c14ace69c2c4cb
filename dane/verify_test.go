package dane

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"starttls/dane/danetest"
	"starttls/resolver"
	"starttls/tlsrpt"
)

// A row is a chain, the records that are published for it, and what must come of it.
type row struct {
	name    string
	records []resolver.TLSARecord
	chain   []*danetest.Cert
	names   []string // if nil, "mx.example.net" and "example.com"
	// want is the failure, empty where the server is let in; why is said in the error.
	want tlsrpt.ResultType
	why  string
	// openssl says why OpenSSL's verdict is the other one, empty where it agrees.
	openssl string
}

// good and bad make rows.
func good(name string, chain []*danetest.Cert, records ...resolver.TLSARecord) row {
	return row{name: name, chain: chain, records: records}
}

func bad(name string, want tlsrpt.ResultType, why string, chain []*danetest.Cert, records ...resolver.TLSARecord) row {
	return row{name: name, chain: chain, records: records, want: want, why: why}
}

func (r row) otherwise(why string) row { r.openssl = why; return r }

func (r row) named(names ...string) row { r.names = names; return r }

func certs(all ...*danetest.Cert) []*danetest.Cert { return all }

const (
	noMatch   = tlsrpt.ValidationFailure
	hostname  = tlsrpt.CertificateHostMismatch
	outOfDate = tlsrpt.CertificateExpired
	untrusted = tlsrpt.CertificateNotTrusted
)

func never(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = danetest.Now.Add(time.Hour), danetest.Now.Add(-time.Hour)
}

func pathLen0(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true }

// rows is the table of certificates, by the numbers of docs/policy.md.
func rows(t testing.TB) []row {
	mx := []string{"mx.example.net"}
	root := danetest.Issue(t, nil, "Root", nil, danetest.CA)
	inter := danetest.Issue(t, root, "Intermediate", nil, danetest.CA)
	leaf := danetest.Issue(t, inter, "leaf", mx)
	other := danetest.Issue(t, inter, "other", mx)
	full := certs(leaf, inter, root)
	wrong := func(r resolver.TLSARecord) resolver.TLSARecord {
		r.Data = append([]byte{r.Data[0] ^ 1}, r.Data[1:]...)
		return r
	}

	rows := []row{
		good("D08 a leaf's key", full, danetest.TLSA(3, 1, 1, leaf)),
		bad("D14 the digest of another key", noMatch, "is not of the server's certificate", full, danetest.TLSA(3, 1, 1, other)),
		bad("D16 3 1 1 of an issuer", noMatch, "is not of the server's certificate", full, danetest.TLSA(3, 1, 1, inter)),
		good("D17 one of two, before a change of keys", full, danetest.TLSA(3, 1, 1, other), danetest.TLSA(3, 1, 1, leaf)),
		good("D13 the leaf alone", certs(leaf), danetest.TLSA(3, 1, 1, leaf)),
	}
	for _, kind := range [][2]uint8{{0, 1}, {0, 2}, {1, 2}, {0, 0}, {1, 0}} {
		r := danetest.TLSA(3, kind[0], kind[1], leaf)
		rows = append(rows,
			good("D15 "+r.String()[:5], full, r),
			bad("D15 "+r.String()[:5]+" of another", noMatch, "", full, danetest.TLSA(3, kind[0], kind[1], other)))
	}
	for _, c := range []struct {
		name string
		leaf *danetest.Cert
	}{
		{"D09 expired", danetest.Issue(t, inter, "leaf", mx, danetest.Expired)},
		{"D10 never valid", danetest.Issue(t, inter, "leaf", mx, never)},
		{"D11 for another name", danetest.Issue(t, inter, "leaf", []string{"other.example"})},
		{"D12 without subject, issuer and names", danetest.Issue(t, nil, "", nil)},
	} {
		rows = append(rows, good(c.name, certs(c.leaf), danetest.TLSA(3, 1, 1, c.leaf)))
	}

	rows = append(rows,
		good("D18 an intermediate", full, danetest.TLSA(2, 0, 1, inter)),
		good("D19 the key of the root", full, danetest.TLSA(2, 1, 1, root)),
		bad("D20 a digest of what was not sent", noMatch, "is of no certificate that the server sent", certs(leaf, inter), danetest.TLSA(2, 1, 1, root)),
		good("D21 2 0 0, the anchor only in DNS", certs(leaf, inter), danetest.TLSA(2, 0, 0, root)),
		bad("D21 2 0 0 of an authority that issued none of it", untrusted, "", certs(leaf, inter), danetest.TLSA(2, 0, 0, danetest.Issue(t, nil, "Root", nil, danetest.CA))),
		good("D22 2 1 0, the key only in DNS", certs(leaf, inter), danetest.TLSA(2, 1, 0, root)),
		good("D22 2 1 0, the key only in DNS, no intermediate", certs(leaf), danetest.TLSA(2, 1, 0, inter)),
		bad("D22 2 1 0 of a key that signed none of it", untrusted, "", certs(leaf, inter), danetest.TLSA(2, 1, 0, other)),
		good("D65 agility does not reach across usages", full, wrong(danetest.TLSA(3, 1, 2, leaf)), danetest.TLSA(2, 0, 1, inter)),
	)

	oldInter := danetest.Issue(t, root, "Old", nil, danetest.CA, danetest.Expired)
	oldRoot := danetest.Issue(t, nil, "Old root", nil, danetest.CA, danetest.Expired)
	underOldRoot := danetest.Issue(t, oldRoot, "leaf", mx)
	late := danetest.Issue(t, inter, "leaf", mx, danetest.Expired)
	rows = append(rows,
		bad("D23 an anchor, and an expired leaf", outOfDate, "expired on 2026-11-25", certs(late, inter, root), danetest.TLSA(2, 1, 1, root)),
		bad("D24 an expired intermediate below the anchor", outOfDate, "CN=Old, expired", certs(danetest.Issue(t, oldInter, "leaf", mx), oldInter, root), danetest.TLSA(2, 0, 1, root)),
		bad("D24 an expired anchor", outOfDate, "CN=Old root, expired", certs(underOldRoot, oldRoot), danetest.TLSA(2, 0, 1, oldRoot)),
		bad("D23 an anchor, and a leaf of tomorrow", outOfDate, "not valid before", certs(danetest.Issue(t, inter, "leaf", mx, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = danetest.Now.Add(24*time.Hour), danetest.Now.Add(48*time.Hour)
		}), inter), danetest.TLSA(2, 0, 1, inter)),
		bad("D24 expired, and of another authority all the same", outOfDate, "", certs(late, inter), danetest.TLSA(2, 0, 0, danetest.Issue(t, nil, "Root", nil, danetest.CA))),
	)

	named := func(names ...string) []*danetest.Cert {
		return certs(danetest.Issue(t, inter, "leaf", names), inter)
	}
	cn := func(cn string, names ...string) []*danetest.Cert {
		return certs(danetest.Issue(t, inter, cn, names), inter)
	}
	ta := danetest.TLSA(2, 0, 1, inter)
	rows = append(rows,
		bad("D25 another name", hostname, "other.example", named("other.example"), ta),
		good("D26 the next hop's name", named("example.com"), ta),
		good("D27 the alias of the next hop", named("exchange.example.org"), ta).named("mx.example.net", "exchange.example.org", "example.com"),
		good("D27 what the next hop is an alias of", named("example.com"), ta).named("mx.example.net", "exchange.example.org", "example.com"),
		bad("D28 the next hop's name, and the MX is insecure", hostname, "", named("example.com"), ta).named("mx.example.net"),
		good("D33 a wildcard", named("*.example.net"), ta),
		good("D33 a wildcard in another case", named("*.Example.NET"), ta),
		bad("D33 a wildcard within a label", hostname, "", named("mx*.example.net"), ta).
			otherwise("it lets such wildcards pass unless it is told (RFC 7672 §3.2.3 does not)"),
		bad("D33 a wildcard that is not first", hostname, "", named("mx.*.net"), ta),
		bad("D33 a wildcard over two labels", hostname, "", named("*.net"), ta),
		bad("D33 a wildcard alone", hostname, "", named("*"), ta),
		bad("D33 a wildcard for its own parent", hostname, "", named("*.example.net"), ta).named("example.net"),
		bad("D34 the common name beside other DNS names", hostname, "", cn("mx.example.net", "other.example"), ta),
		good("D34 the common name where there is no DNS name", cn("mx.example.net"), ta),
		bad("D34 no name at all", hostname, "", cn(""), ta),
		good("D78 an A-label", named("xn--mx-eka.example.net"), ta).named("xn--mx-eka.example.net"),
	)

	self := danetest.Issue(t, nil, "mx.example.net", mx)
	selfCA := danetest.Issue(t, nil, "mx.example.net", mx, danetest.CA)
	twin := danetest.IssueFor(t, nil, selfCA.Key, "mx.example.net", nil, danetest.CA)
	short := danetest.Issue(t, nil, "Short", nil, danetest.CA, pathLen0)
	below := danetest.Issue(t, short, "Below", nil, danetest.CA)
	noCA := danetest.Issue(t, inter, "No authority", nil)
	rows = append(rows,
		bad("D29 the leaf's own key", noMatch, "no trust anchor", certs(self), danetest.TLSA(2, 1, 1, self)),
		bad("D29 the leaf's own key, and it may issue", noMatch, "no trust anchor", certs(selfCA), danetest.TLSA(2, 1, 1, selfCA)),
		bad("D29 the leaf in full", noMatch, "no trust anchor", certs(selfCA), danetest.TLSA(2, 0, 0, selfCA)),
		bad("D29 the leaf's bare key", noMatch, "no trust anchor", certs(self), danetest.TLSA(2, 1, 0, self)).
			otherwise("it looks for a signature of the key; a key that is in the chain is matched as one (RFC 7671 §5.2.3)"),
		bad("D29 the leaf sent twice", noMatch, "no trust anchor", certs(selfCA, selfCA), danetest.TLSA(2, 0, 1, selfCA)),
		good("D29 an authority that has the leaf's key", certs(selfCA, twin), danetest.TLSA(2, 0, 1, twin)).
			otherwise("it looks no further than a certificate that is signed with its own key"),
		bad("D30 an anchor that did not issue the leaf", untrusted, "", certs(danetest.Issue(t, nil, "leaf", mx), root), danetest.TLSA(2, 0, 1, root)),
		bad("D30 an anchor of the issuer's name, with another key", untrusted, "", certs(leaf, danetest.Issue(t, nil, "Intermediate", nil, danetest.CA), root), danetest.TLSA(2, 0, 1, root)),
		bad("D31 more below the anchor than it allows", untrusted, "", certs(danetest.Issue(t, below, "leaf", mx), below, short), danetest.TLSA(2, 0, 1, short)),
		good("D31 as much below the anchor as it allows", certs(danetest.Issue(t, short, "leaf", mx), short), danetest.TLSA(2, 0, 1, short)),
		bad("D32 an anchor that may not issue", noMatch, "may not issue others", certs(danetest.Issue(t, noCA, "leaf", mx), noCA, inter), danetest.TLSA(2, 0, 1, noCA)),
		bad("D32 an anchor only in DNS that may not issue", noMatch, "may not issue others", certs(danetest.Issue(t, noCA, "leaf", mx)), danetest.TLSA(2, 0, 0, noCA)),
		bad("D32 an issuer below the anchor that may not issue", untrusted, "", certs(danetest.Issue(t, noCA, "leaf", mx), noCA, inter), danetest.TLSA(2, 0, 1, inter)),
	)

	rows = append(rows,
		good("D36 usage 1 beside usage 3", full, danetest.TLSA(1, 1, 1, other), danetest.TLSA(3, 1, 1, leaf)),
		bad("D36 usage 1 that matches beside usage 3 that does not", noMatch, "", full, danetest.TLSA(1, 1, 1, leaf), danetest.TLSA(3, 1, 1, other)),
		bad("D62 the weaker digest matches", noMatch, "", full, danetest.TLSA(3, 1, 1, leaf), wrong(danetest.TLSA(3, 1, 2, leaf))),
		good("D63 the stronger digest matches", full, wrong(danetest.TLSA(3, 1, 1, leaf)), danetest.TLSA(3, 1, 2, leaf)),
		good("D64 full data matches", full, danetest.TLSA(3, 1, 0, leaf), wrong(danetest.TLSA(3, 1, 2, leaf))),
		good("D66 the stronger digest is malformed", full, resolver.TLSARecord{Usage: 3, Selector: 1, Matching: 2, Data: make([]byte, 63)}, danetest.TLSA(3, 1, 1, leaf)),
	)
	var many []resolver.TLSARecord
	for i := range 300 {
		r := danetest.TLSA(3, 1, 1, leaf)
		r.Data[0], r.Data[1] = byte(i), byte(i>>8)
		many = append(many, r)
	}
	rows = append(rows,
		good("D76 the last of 301 records", full, append(many, danetest.TLSA(3, 1, 1, leaf))...),
		bad("D76 none of 300 records", noMatch, "and 296 more", full, many...))
	return rows
}

func TestVerify(t *testing.T) {
	for _, r := range rows(t) {
		t.Run(r.name, func(t *testing.T) {
			records, _ := Select(r.records)
			if len(records) == 0 {
				t.Fatal("no record counts")
			}
			matched, err := Verify(records, r.references(), danetest.Chain(r.chain...), danetest.Now)
			if r.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(all(r.records), matched.String()) {
					t.Errorf("matched by a record of nobody: %v", matched)
				}
				return
			}
			failed, ok := errors.AsType[*Error](err)
			if !ok || failed.Type != r.want || !strings.Contains(err.Error(), r.why) {
				t.Errorf("got %v; want %s, with %q", err, r.want, r.why)
			}
			if ok && len(failed.Tried) != len(records) {
				t.Errorf("%d records count, and %d are told of", len(records), len(failed.Tried))
			}
		})
	}
}

// references returns the names that the certificate may be for.
func (r row) references() []string {
	if r.names != nil {
		return r.names
	}
	return []string{"mx.example.net", "example.com"}
}

func all(records []resolver.TLSARecord) string {
	var b strings.Builder
	for _, r := range records {
		b.WriteString(r.String() + "\n")
	}
	return b.String()
}
