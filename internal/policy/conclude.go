package policy

import "starttls/tlsrpt"

// Conclude returns what is told to who sent a message that no attempt could take: the sum of the refusals
// of all attempts, in their order, those that were passed over included. An attempt that could not be
// connected to has a temporary refusal without Failure, such as 451 4.4.1. Conclude returns the plan's
// own refusal if there is one, and must not be called when a message went through.
//
// What may pass makes the whole temporary. Only a message with REQUIRETLS is refused for good because of
// TLS, and only when every host was reached and none will do (RFC 8689 §4.2.1).
func (p *Plan) Conclude(all []*Refusal) *Refusal {
	if p.Refusal != nil {
		return p.Refusal
	}
	if len(all) == 0 {
		return &Refusal{Code: 550, Enhanced: "5.4.4", Text: p.Domain + " has no host for mail"}
	}
	if p.RequireTLS {
		if r := concludeRequireTLS(all); r != nil {
			return r
		}
	}
	told := all[0]
	for _, r := range all[1:] {
		if weight(r) > weight(told) {
			told = r
		}
	}
	return told
}

// weight orders refusals by what a sender should rather hear: what may pass before what will not, and a
// failure of TLS before a host that is down.
func weight(r *Refusal) int {
	switch {
	case r.Temporary() && r.Failure != nil:
		return 2
	case r.Temporary():
		return 1
	}
	return 0
}

// concludeRequireTLS returns nil where TLS has nothing to do with it.
func concludeRequireTLS(all []*Refusal) *Refusal {
	var tls, lacks, passing *Refusal
	for _, r := range all {
		switch {
		case r.Enhanced == "5.7.30":
			lacks = first(lacks, r)
		case r.Failure != nil && r.Failure.Type != tlsrpt.DNSSECInvalid:
			tls = first(tls, r)
		case r.Temporary():
			passing = first(passing, r)
		}
	}
	switch {
	case lacks == nil && tls == nil:
		return nil
	case passing != nil:
		return &Refusal{Code: 451, Enhanced: "4.7.10", Failure: passing.Failure, Text: "REQUIRETLS: a host may still do: " + passing.Text}
	case lacks != nil:
		return lacks
	}
	return &Refusal{Code: 550, Enhanced: "5.7.10", Failure: tls.Failure, Text: "REQUIRETLS: no host gives the TLS that is demanded: " + tls.Text}
}

func first(a, b *Refusal) *Refusal {
	if a != nil {
		return a
	}
	return b
}
