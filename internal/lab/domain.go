package lab

import (
	"encoding/json"
	"strings"

	"starttls"
	"starttls/internal/zone"
	"starttls/tlsrpt"
)

// A Domain is one destination for mail in the lab.
type Domain struct {
	Name  string `json:"name"`
	About string `json:"about"` // what it is
	// Outcome is what a delivery must end in for a sender that does per MX DANE, else MTA-STS, else TLS if
	// it is offered, and has seen none of it before.
	Outcome Outcome `json:"outcome"`
	// DANEOnly is the same for a sender that does DANE and knows nothing of MTA-STS.
	DANEOnly Outcome `json:"dane_only"`
	// Slow says that to find the outcome takes a client's time limit, or seconds at least.
	Slow bool `json:"slow,omitempty"`
	// Hosts are its mail servers, by their names.
	Hosts []string `json:"hosts"`
}

// An Outcome is what a delivery ends in.
type Outcome struct {
	// Reply is empty if the message is delivered. If not, it is the code and the enhanced code that say
	// why not, "451 4.7.5": temporary by 4, for ever by 5. Our own gateway gives these; another sender
	// must at least agree in the first digit.
	Reply string `json:"reply,omitempty"`
	// Level is what is demanded of the host that takes the message, and Host its name.
	Level starttls.Level `json:"-"`
	Host  string         `json:"host,omitempty"`
	// Clear says that the message goes over in the clear, and nothing forbids it.
	Clear bool `json:"clear,omitempty"`
	// Deferrable says that a sender may as well come again later (4xx).
	Deferrable bool `json:"deferrable,omitempty"`
	// Result, Reason and Policy are the failure that a TLS report must tell (RFC 8460 §4.3), if any, also
	// of deliveries: of a host before the one that took the message, of a policy in testing mode.
	Result tlsrpt.ResultType `json:"result,omitempty"`
	Reason string            `json:"reason,omitempty"`
	Policy tlsrpt.PolicyType `json:"policy,omitempty"`
	// Why says it in a sentence.
	Why string `json:"why"`
}

// String says the outcome in one line, without the reason why.
func (o Outcome) String() string {
	var s strings.Builder
	switch {
	case o.Reply == "" && o.Clear:
		s.WriteString("delivered in the clear to " + o.Host)
	case o.Reply == "":
		s.WriteString("delivered, tls=" + o.Level.String() + ", to " + o.Host)
	case o.Reply[0] == '4':
		s.WriteString("deferred, " + o.Reply)
	default:
		s.WriteString("bounced, " + o.Reply)
	}
	if o.Deferrable {
		s.WriteString(", or deferred")
	}
	if o.Result != "" {
		s.WriteString("; report: " + string(o.Policy) + " " + string(o.Result))
	}
	if o.Reason != "" {
		s.WriteString(" (" + o.Reason + ")")
	}
	return s.String()
}

// MarshalJSON adds the level by its word.
func (o Outcome) MarshalJSON() ([]byte, error) {
	type plain Outcome
	level := ""
	if o.Reply == "" {
		level = o.Level.String()
	}
	return json.Marshal(struct {
		Delivered bool   `json:"delivered"`
		Level     string `json:"level,omitempty"`
		plain
	}{o.Reply == "", level, plain(o)})
}

// delivered is the outcome of a message that is taken under a level.
func delivered(level starttls.Level, why string) Outcome { return Outcome{Level: level, Why: why} }

// inClear is that of a message that goes over without TLS.
func inClear(why string) Outcome { return Outcome{Level: starttls.May, Clear: true, Why: why} }

// refused is that of a message that is not taken.
func refused(reply, why string) Outcome { return Outcome{Reply: reply, Why: why} }

// by sets the host that takes the message, when it is not the first.
func (o Outcome) by(host string) Outcome { o.Host = host; return o }

// told sets the failure that is reported.
func (o Outcome) told(policy tlsrpt.PolicyType, result tlsrpt.ResultType, reason string) Outcome {
	o.Policy, o.Result, o.Reason = policy, result, reason
	return o
}

// A row is a domain as data.
type row struct {
	name  string // below "test."
	about string
	zone  zone.Config // how it is signed, and further records
	mx    []mx
	sts   *sts
	lies  []lie
	slow  bool
	// absent domains have no zone.
	absent bool
	want   Outcome
	dane   *Outcome // DANEOnly, if it differs
}

// A lie is told about a name, as in mx; "" is the domain.
type lie struct {
	name  string
	qtype uint16
	tell  zone.Lie
}

// A mx is a mail server of a domain.
type mx struct {
	// name is relative to the domain, or whole with a dot at the end; "@" is the domain itself, which then
	// has no MX record. If empty, "mx". Preferences are 10, 20 … in order.
	name string
	// alias is the name in the MX record, if that is an alias of name.
	alias string
	leaf  leaf     // its certificate
	tlsa  []string // "3 1 1 leaf", "2 1 1 ca", "3 1 1 other"
	// tlsaAt is the name of the TLSA records if they are not at the usual one: that is an alias then.
	tlsaAt string

	clear      bool // no TLS
	old        bool // TLS 1.1 at most
	requireTLS bool // REQUIRETLS is offered (RFC 8689)
	greylist   bool
	down       bool // nothing listens
	faults     []Fault
	attack     Attack
}

// A sts is what a domain has of MTA-STS.
type sts struct {
	records []string // the TXT records; if nil, a right one
	mode    string   // of a right policy; if empty, enforce
	mx      []string // its mx patterns; if nil, "mx.DOMAIN"
	text    string   // the policy, instead of a right one
	host    policyFault
	leaf    leaf // the policy host's certificate
	hosted  bool // record and policy host are aliases of a hoster's
}

// whole returns a name that is relative to a domain as a whole one, without the last dot.
func whole(name, domain string) string {
	if name == "" || name == "@" {
		return domain
	}
	if name, ok := strings.CutSuffix(name, "."); ok {
		return name
	}
	return name + "." + domain
}

// domain returns the row as it is told.
func (r row) domain() Domain {
	d := Domain{Name: r.fqdn(), About: r.about, Outcome: r.want, DANEOnly: r.want, Slow: r.slow}
	for _, m := range r.mx {
		d.Hosts = append(d.Hosts, m.fqdn(d.Name))
	}
	if r.dane != nil {
		d.DANEOnly = *r.dane
	}
	for _, o := range []*Outcome{&d.Outcome, &d.DANEOnly} {
		switch {
		case o.Reply != "":
		case o.Host != "":
			o.Host = whole(o.Host, d.Name)
		default:
			o.Host = d.Hosts[0]
		}
	}
	return d
}

func (m mx) fqdn(domain string) string {
	if m.name == "" {
		return "mx." + domain
	}
	return whole(m.name, domain)
}

func (r row) fqdn() string { return r.name + "." + top }
