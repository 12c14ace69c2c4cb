package check

import (
	"context"
	"crypto/tls"
	"slices"

	"starttls/internal/finding"
	"starttls/internal/hello"
)

// judgeTLS judges TLS and the chain, as far as the depth wants it.
func (v *visit) judgeTLS(ctx context.Context) {
	if v.honest.state == nil {
		return
	}
	p := &probing{visit: v, chains: map[string][][]byte{}, unknown: map[string]error{}}
	state := v.honest.state
	p.fact("version", hello.VersionName(state.Version))
	p.fact("suite", hello.SuiteName(state.CipherSuite))
	if state.CurveID != 0 {
		p.fact("group", hello.Group(state.CurveID).String())
	}
	v.judgeChain(ctx, p)
	v.judgeAsked(p)
	v.judgeEarlyData(p)
	if v.config.Depth == Full {
		p.look(ctx)
		if len(p.parts["tls.sni"]) == 0 {
			p.say("tls.sni", finding.NotTestable, "no ClientHello with another name was answered")
		}
		v.judgeBoth(p)
		v.judgeQuantum(p)
	}
	v.service.Facts, v.service.More = p.facts, p.more || p.err != nil
	findings, standings := finding.Judge(p.facts, v.config.Standards)
	v.service.Standards = standings
	for _, f := range findings {
		// What was seen to be bad is bad; what was seen to be good is not all there is.
		if err := p.unknown[f.ID]; err != nil && !f.Verdict.Bad() {
			judged := f.Judged
			f = finding.New(f.ID, finding.NotTestable, f.Evidence+"; what else there is could not be asked: "+err.Error())
			f.Judged = judged
		}
		v.keep(f)
	}
	v.settle("tls.sni", "tls.alpn", "tls.resumption", "tls.client-certificate")
	if p.err != nil {
		v.service.Why = "not everything could be asked: " + p.err.Error()
	}
}

func (v *visit) judgeAsked(p *probing) {
	p.fact("client-certificate", yes(v.asked))
	if v.asked {
		v.say("tls.client-certificate", finding.Sufficient, "one is asked for")
	} else {
		v.say("tls.client-certificate", finding.Good, "none is asked for")
	}
}

// judgeEarlyData reads what the server said inside the handshake of TLS 1.3. Before it there is no early
// data.
func (v *visit) judgeEarlyData(p *probing) {
	state := v.honest.state
	if state.Version < tls.VersionTLS13 {
		p.fact("early-data", "off")
		return
	}
	opened, err := hello.Open(state.CipherSuite, v.honest.keylog.String(), v.honest.records)
	if err != nil {
		return
	}
	p.fact("early-data", map[bool]string{true: "on", false: "off"}[opened.EarlyData > 0])
	if opened.Scheme != 0 {
		p.fact("exchange-signature", opened.Scheme.String())
	}
}

// judgeQuantum looks for a group with ML-KEM among those that were seen.
func (v *visit) judgeQuantum(p *probing) {
	const id = "tls.post-quantum"
	pq := slices.DeleteFunc(hello.Groups(hello.Group.PostQuantum), func(g hello.Group) bool {
		return !slices.Contains(p.facts, finding.Fact{Kind: "group", Value: g.String()})
	})
	switch {
	case len(pq) > 0:
		v.say(id, finding.Good, "%s", pq[0])
	case p.err != nil:
		v.say(id, finding.NotTestable, "%v", p.err)
	default:
		v.say(id, finding.Sufficient, "no such group is taken")
	}
	v.settle(id)
}

// rest is what comes last: a second handshake with the session of a first.
func (p *probing) rest(ctx context.Context) {
	const id = "tls.resumption"
	t, err := p.briefly(ctx, edit{gone: true, config: func(config *tls.Config) { config.ClientSessionCache = p.cache }})
	switch {
	case err != nil:
		p.say(id, finding.NotTestable, "%v", err)
	case t.state == nil:
		p.say(id, finding.Insufficient, "a handshake with a ticket fails: %s", cause(t))
	case t.state.DidResume:
		p.say(id, finding.Good, "by ticket")
	default:
		p.say(id, finding.Sufficient, "the session is not resumed")
	}
}
