package tlsrpt

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// MaxDatagram is the longest datagram, in bytes: what a unix socket takes by default, and more than any
// session needs.
const MaxDatagram = 64 << 10

// policyCodes and failureCodes are the numbers of libtlsrpt's datagrams.
var (
	policyCodes  = map[PolicyType]int{TLSA: 1, STS: 2, NoPolicy: 9}
	failureCodes = map[ResultType]int{
		StartTLSNotSupported: 201, CertificateHostMismatch: 202, CertificateNotTrusted: 203, CertificateExpired: 204, ValidationFailure: 205,
		STSPolicyFetchError: 301, STSPolicyInvalid: 302, STSWebPKIInvalid: 303, TLSAInvalid: 304, DNSSECInvalid: 305, DANERequired: 306,
	}
)

// A datagram is a session as a collector of tlsrpt-reporter takes it, with its keys in the order in which
// libtlsrpt has them: the collector counts what is the same byte for byte.
type datagram struct {
	Version  string           `json:"dpv"`
	Domain   string           `json:"d"`
	Record   string           `json:"pr"`
	Policies []datagramPolicy `json:"policies"`
}

type datagramPolicy struct {
	Type     int               `json:"policy-type"`
	Domain   string            `json:"policy-domain,omitempty"`
	String   []string          `json:"policy-string,omitempty"`
	MX       []string          `json:"mx-host,omitempty"`
	Failures []datagramFailure `json:"failure-details,omitempty"`
	Count    int               `json:"t"`
	Failed   int               `json:"f"`
}

type datagramFailure struct {
	Code          int    `json:"c"`
	SendingIP     string `json:"s,omitempty"`
	ReceivingHost string `json:"n,omitempty"`
	ReceivingHelo string `json:"h,omitempty"`
	ReceivingIP   string `json:"r,omitempty"`
	Info          string `json:"a,omitempty"`
	Reason        string `json:"f,omitempty"`
}

// Datagram returns the session as a datagram for the socket of a tlsrpt-reporter's collector, version 1 of
// its protocol. record is the domain's, as published ("v=TLSRPTv1; rua=…"). It fails for a session without
// outcomes, of types that the protocol has no number for, or longer than [MaxDatagram].
func (s Session) Datagram(record string) ([]byte, error) {
	d := datagram{Version: "1", Domain: s.Domain, Record: record}
	for _, o := range s.Outcomes {
		p, err := o.datagram()
		if err != nil {
			return nil, err
		}
		d.Policies = append(d.Policies, p)
	}
	if len(d.Policies) == 0 {
		return nil, fmt.Errorf("a session with %s without outcomes", s.Domain)
	}
	b := &strings.Builder{}
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		return nil, err
	}
	if b.Len() > MaxDatagram {
		return nil, fmt.Errorf("a session with %s is %d bytes long", s.Domain, b.Len())
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}

func (o Outcome) datagram() (datagramPolicy, error) {
	kind, ok := policyCodes[o.Policy.Type]
	if !ok {
		return datagramPolicy{}, fmt.Errorf("no number for the policy type %q", o.Policy.Type)
	}
	p := datagramPolicy{Type: kind, Domain: o.Policy.Domain, String: slices.Clone(o.Policy.String), MX: o.Policy.MX, Count: len(o.Failures)}
	if o.Failed {
		p.Failed = 1
	}
	for _, f := range o.Failures {
		code, ok := failureCodes[f.Type]
		if !ok {
			return datagramPolicy{}, fmt.Errorf("no number for the result type %q", f.Type)
		}
		p.Failures = append(p.Failures, datagramFailure{
			code, f.SendingIP, f.ReceivingHost, shorten(f.ReceivingHelo), f.ReceivingIP, shorten(f.Info), shorten(f.Reason),
		})
	}
	return p, nil
}

// maxText is how much of a peer's text goes into a datagram, in bytes.
const maxText = 500

// shorten makes text of a peer fit for a report: valid UTF-8, without control characters, not long.
func shorten(text string) string {
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
	return strings.ToValidUTF8(text[:min(len(text), maxText)], "")
}
