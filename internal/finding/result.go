package finding

import "time"

// Schema names the version of Result's JSON. A field is never renamed or given another meaning under
// the same version; new ones may come.
const Schema = "starttls-check/1"

// An Outcome says how far a check came.
type Outcome string

// The outcomes.
const (
	Tested      Outcome = "tested"
	NoTLS       Outcome = "no-tls"       // the server was understood and has no TLS for us
	Busy        Outcome = "not-testable" // it put us off (421, a tarpit, greylisting, a limit), or speaks another protocol
	Unreachable Outcome = "unreachable"
)

// A Result is the check of one target.
type Result struct {
	Schema   string    `json:"schema"`
	Target   string    `json:"target"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"`
	Vantage  string    `json:"vantage,omitempty"` // from where, in the operator's words
	Verdict  Verdict   `json:"verdict"`           // the worst of all
	Reached  bool      `json:"reached"`           // some service was talked to
	Domain   *Domain   `json:"domain,omitempty"`
	Services []Service `json:"services"`
	Findings []Finding `json:"findings"` // about the target as a whole
	// Before is when a run was last compared with, nil if there was none.
	Before  *time.Time `json:"before,omitempty"`
	Changes []Change   `json:"changes,omitempty"` // of the target as a whole since then
}

// All returns every finding of the result, with the service that it is about, nil for the target.
func (r *Result) All(yield func(*Service, Finding) bool) {
	for _, f := range r.Findings {
		if !yield(nil, f) {
			return
		}
	}
	for i := range r.Services {
		for _, f := range r.Services[i].Findings {
			if !yield(&r.Services[i], f) {
				return
			}
		}
	}
}

// Settle fills in what follows from the parts.
func (r *Result) Settle() {
	r.Verdict, r.Reached = NotApplicable, false
	for s, f := range r.All {
		if f.Verdict.Worse(r.Verdict) {
			r.Verdict = f.Verdict
		}
		// A domain without hosts was reached if the DNS said that it has none, or lied.
		told := s == nil && f.ID == "mail.mx" && f.Verdict != NotTestable && f.Verdict != Good
		r.Reached = r.Reached || told && len(r.Services) == 0
	}
	for _, s := range r.Services {
		r.Reached = r.Reached || s.Outcome == Tested || s.Outcome == NoTLS
	}
}

// A Service is one protocol at one address.
type Service struct {
	URL         string        `json:"url"`  // as asked for
	Host        string        `json:"host"` // whose certificate it must have
	Address     string        `json:"address"`
	Protocol    string        `json:"protocol"`
	Implicit    bool          `json:"implicit"` // TLS from the first byte
	Outcome     Outcome       `json:"outcome"`
	Why         string        `json:"why,omitempty"` // of an outcome other than tested
	Connections int           `json:"connections"`
	Times       Times         `json:"times"`
	Clear       *Words        `json:"clear,omitempty"`
	Inside      *Words        `json:"inside,omitempty"`
	TLS         *TLS          `json:"tls,omitempty"`
	Chain       []Certificate `json:"chain,omitempty"`
	Others      []Certificate `json:"other_certificates,omitempty"` // leaves for clients with other kinds of keys
	Facts       []Fact        `json:"facts,omitempty"`
	More        bool          `json:"more,omitempty"` // there may be more suites and groups than are in Facts
	Standards   []Standing    `json:"standards,omitempty"`
	Findings    []Finding     `json:"findings"`
	Changes     []Change      `json:"changes,omitempty"` // since the runs before
	Quick       bool          `json:"quick,omitempty"`   // one connection was all: the facts are those of one handshake
}

// Times are those of the honest session, in milliseconds from its start.
type Times struct {
	Connect   float64 `json:"connect_ms"`
	Greeting  float64 `json:"greeting_ms,omitempty"` // the server's first words
	Upgrade   float64 `json:"upgrade_ms,omitempty"`  // the go-ahead
	Handshake float64 `json:"handshake_ms,omitempty"`
	All       float64 `json:"all_ms"` // of all conversations
}

// Words are what a server says of itself, in the clear or inside TLS.
type Words struct {
	Name         string   `json:"name,omitempty"`
	Greeting     string   `json:"greeting,omitempty"` // quoted
	Offer        string   `json:"offer"`              // unsaid, offered, required
	Mechanisms   []string `json:"mechanisms,omitempty"`
	Capabilities []string `json:"capabilities,omitempty"` // lines or words, quoted where they do not print
}

// TLS is what the honest handshake agreed on.
type TLS struct {
	Version string `json:"version"`
	Suite   string `json:"suite"`
	Group   string `json:"group,omitempty"`
	ALPN    string `json:"alpn,omitempty"`
}

// A Certificate is one of the served chain, the leaf first.
type Certificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Names     []string  `json:"names,omitempty"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Key       string    `json:"key"` // "RSA 2048", "P-256"
	Signature string    `json:"signature"`
	SHA256    string    `json:"sha256"`
	SPKI      string    `json:"spki_sha256"`
}

// A Domain is what the DNS and MTA-STS say of a mail domain, and what follows from it for senders.
type Domain struct {
	Name    string   `json:"name"`
	MX      []MX     `json:"mx,omitempty"`
	Secure  bool     `json:"secure"`            // the MX answer is validated by DNSSEC
	STS     string   `json:"mta_sts,omitempty"` // the mode of the policy that is in force
	Senders []Sender `json:"senders,omitempty"`
}

// An MX is one host of a mail domain, and what a careful sender demands of it.
type MX struct {
	Host      string   `json:"host"`
	Pref      uint16   `json:"preference"`
	Addresses []string `json:"addresses,omitempty"`
	Secure    bool     `json:"secure"` // the addresses are
	TLSA      []string `json:"tlsa,omitempty"`
	Level     string   `json:"level"` // that the plan demands
	Source    string   `json:"source"`
	Why       string   `json:"why"`
}

// A Sender is what a kind of sender would do with a message now.
type Sender struct {
	Kind     string `json:"kind"` // "opportunistic", "dane", "mta-sts", "careful"
	Delivers bool   `json:"delivers"`
	TLS      bool   `json:"tls"`
	Verified bool   `json:"verified"` // and the host was authenticated
	Host     string `json:"host,omitempty"`
	Level    string `json:"level,omitempty"`
	Reply    string `json:"reply,omitempty"` // to who sent the message, if it is not delivered
	Knows    bool   `json:"knows"`           // every host could be tested
}
