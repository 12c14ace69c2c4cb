// Package tlsrpt has the words of SMTP TLS reporting (RFC 8460): the record that asks for reports, the
// types of failures, and what one session was under each policy that applied to it.
//
// It counts nothing and sends nothing.
package tlsrpt

// A ResultType says how TLS failed (RFC 8460 §4.3).
type ResultType string

// All result types of RFC 8460 §4.3.
const (
	StartTLSNotSupported    ResultType = "starttls-not-supported"
	CertificateHostMismatch ResultType = "certificate-host-mismatch"
	CertificateExpired      ResultType = "certificate-expired"
	CertificateNotTrusted   ResultType = "certificate-not-trusted"
	ValidationFailure       ResultType = "validation-failure"
	TLSAInvalid             ResultType = "tlsa-invalid"
	DNSSECInvalid           ResultType = "dnssec-invalid"
	DANERequired            ResultType = "dane-required"
	STSPolicyFetchError     ResultType = "sts-policy-fetch-error"
	STSPolicyInvalid        ResultType = "sts-policy-invalid"
	STSWebPKIInvalid        ResultType = "sts-webpki-invalid"
)

// Reason codes where RFC 8460 has no result type of its own; the names are mox's.
const (
	ReasonDANENoMatch   = "dane-no-match"             // no TLSA record matches, under ValidationFailure
	ReasonMXNotInPolicy = "mtasts-policy-mx-mismatch" // the MX is not in the MTA-STS policy, under ValidationFailure
)

// A PolicyType is the kind of a policy (RFC 8460 §4.4).
type PolicyType string

// The policy types.
const (
	TLSA     PolicyType = "tlsa"
	STS      PolicyType = "sts"
	NoPolicy PolicyType = "no-policy-found"
)

// A Policy is one policy that applied to a session, as reports name it (RFC 8460 §4.4).
type Policy struct {
	Type   PolicyType
	Domain string // A-labels; for TLSA the base domain of the records (RFC 7672 §2.2.1), as Postfix has it
	// String are the lines of the MTA-STS policy, or the TLSA records, "3 1 1 0123…".
	String []string
	// MX are the patterns of an MTA-STS policy; for TLSA the host.
	MX []string
}

// A Failure is one way in which a session failed a policy (RFC 8460 §4.3). Texts come from peers.
type Failure struct {
	Type          ResultType
	SendingIP     string
	ReceivingHost string // the MX
	ReceivingHelo string
	ReceivingIP   string
	Info          string // for people
	Reason        string // failure-reason-code
}
