package lab

import (
	"starttls"
	"starttls/tlsrpt"
)

// pathRows are domains whose mail goes past an attacker, under each kind of policy.
func pathRows() (rows []row) {
	for _, attack := range Attacks {
		about := "somebody on the path: " + string(attack)
		alone := attackedMay(attack)
		rows = append(rows,
			row{name: string(attack) + "-may", about: about + "; no policy", zone: unsigned,
				mx: []mx{{attack: attack}}, want: alone},
			row{name: string(attack) + "-sts", about: about + "; MTA-STS enforce", zone: unsigned,
				mx: []mx{{attack: attack}}, sts: &sts{}, want: attacked(attack, tlsrpt.STS), dane: &alone},
			row{name: string(attack) + "-dane", about: about + "; TLSA",
				mx: []mx{{attack: attack, tlsa: right}}, want: attacked(attack, tlsrpt.TLSA)})
	}
	for i := range rows {
		rows[i].slow = rows[i].mx[0].attack == Blackhole
	}
	return rows
}

// attacked is the outcome under a policy: nothing goes to the attacker.
func attacked(a Attack, policy tlsrpt.PolicyType) Outcome {
	switch a {
	case Strip, MaskX, NoEHLO, MaskCommand, Say454, Say501:
		return refused("451 4.7.4", "TLS is demanded").told(policy, tlsrpt.StartTLSNotSupported, "")
	case Inject, Reset, Blackhole, ThenPlain:
		return refused("451 4.7.5", "TLS is demanded").told(policy, tlsrpt.ValidationFailure, "")
	case MaskBanner:
		if policy == tlsrpt.TLSA {
			return delivered(starttls.Dane, "a banner says nothing of TLS")
		}
		return delivered(starttls.Secure, "a banner says nothing of TLS")
	case Intercept:
		if policy == tlsrpt.TLSA {
			return noMatch(refused("451 4.7.5", "the attacker's key matches no record"))
		}
		return refused("451 4.7.5", "the attacker's certificate is not trusted").told(policy, tlsrpt.CertificateNotTrusted, "")
	}
	if policy == tlsrpt.TLSA { // ForgeMX
		return bogus("a forged MX of a signed zone is bogus")
	}
	return refused("451 4.7.5", "the forged MX is not in the policy").told(policy, tlsrpt.ValidationFailure, tlsrpt.ReasonMXNotInPolicy)
}

// attackedMay is the outcome without a policy and without a memory.
func attackedMay(a Attack) Outcome {
	switch a {
	case Strip, MaskX, NoEHLO, MaskCommand, Say454, Say501:
		return inClear("nothing demands TLS: the attack succeeds")
	case Inject, Reset, Blackhole, ThenPlain:
		o := inClear("nothing demands TLS: the attack succeeds with a sender that comes again without it")
		o.Deferrable = true
		return o
	case MaskBanner:
		return delivered(starttls.May, "a banner says nothing of TLS")
	case Intercept:
		return delivered(starttls.May, "nobody looks at the certificate: the attack succeeds")
	}
	return delivered(starttls.May, "nobody can tell a forged MX: the attack succeeds").by(evil + ".")
}
