package check

import (
	"crypto/tls"
	"errors"
	"regexp"
	"slices"
	"strings"

	"starttls"
	"starttls/dialect"
	"starttls/internal/finding"
)

// honestEdit asks inside TLS for what there is, and for TLS once more.
func honestEdit(v *visit) edit {
	return edit{
		inside: append(asks(v), again(v)...), record: true,
		config: func(config *tls.Config) { config.ClientSessionCache = v.cache },
	}
}

// asks are the questions of a client inside TLS.
func asks(v *visit) (all []dialect.Message) {
	script := v.endpoint.Dialect.Script
	lines := script.Inside
	if v.endpoint.Implicit {
		lines = script.Clear
	}
	for _, line := range lines {
		if line.Says == dialect.Client && line.Kind != dialect.Upgrade {
			all = append(all, dialect.Message{Kind: line.Kind, Name: v.calls()})
		}
	}
	return all
}

// again is the upgrade inside TLS, where it is answered.
func again(v *visit) []dialect.Message {
	upgrade := words(v.endpoint.Dialect, dialect.Upgrade, v.calls())
	if len(upgrade) == 0 || !v.endpoint.Dialect.Script.Acknowledged() {
		return nil
	}
	return []dialect.Message{{Kind: dialect.Upgrade, Raw: upgrade}}
}

// words returns how a client of the dialect says the first of kinds that it has words for, at the start
// of a conversation.
func words(d *dialect.Dialect, kind dialect.Kind, name string) []byte {
	return d.Speak(dialect.Client, false).Write(nil, dialect.Message{Kind: kind, Name: name})
}

// judgeHonest reads the honest session.
func (v *visit) judgeHonest(t *talk) {
	if odds[v.endpoint.Dialect.Name].unsure && errors.Is(t.err, errRefused) {
		t.heard.Offer = dialect.Unsaid
	}
	v.describe(t)
	for _, s := range signatures {
		s.look(v, t)
	}
	if v.endpoint.Implicit {
		v.judgeImplicit(t)
		return
	}
	judgeOffer(v, t)
	judgeMechanisms(v, t)
	if errors.Is(t.err, starttls.ErrInjected) && !t.presumed() {
		v.say("clear.bytes-after-ready", finding.Insufficient, "behind the go-ahead comes something else than TLS")
	}
	judgeInside(v, t)
	v.settle("clear.offer", "clear.offer-unlisted", "clear.upgrade-works", "clear.mechanisms-before-tls",
		"clear.offer-inside", "clear.second-upgrade", "clear.capabilities-differ")
}

// judgeImplicit reads a session that begins with TLS.
func (v *visit) judgeImplicit(t *talk) {
	if t.stage >= secured {
		v.say("clear.upgrade-works", finding.Good, "TLS begins with the first byte")
		judgeInside(v, t)
	} else {
		v.say("clear.upgrade-works", finding.Insufficient, "%s", cause(t))
	}
	v.settle("clear.upgrade-works", "clear.offer-inside", "clear.second-upgrade")
}

// judgeOffer compares what is offered with what works.
func judgeOffer(v *visit, t *talk) {
	silent := !lists(v.endpoint.Dialect, t)
	listed := silent || t.heard.Offer != dialect.Unsaid
	works := t.stage >= secured
	switch {
	case works && listed:
		v.say("clear.offer", finding.Good, "%s", offerWords(silent))
		v.say("clear.upgrade-works", finding.Good, "%s", tls.VersionName(t.state.Version))
		v.say("clear.offer-unlisted", finding.Good, "%s", offerWords(silent))
	case works:
		v.say("clear.offer", finding.Insufficient, "it is not in the list")
		v.say("clear.offer-unlisted", finding.Insufficient, "the upgrade works and is not in the list %s", finding.Quote(listOf(t)))
		v.say("clear.upgrade-works", finding.Good, "%s", tls.VersionName(t.state.Version))
	case t.stage == dialled:
		v.say("clear.offer", finding.Insufficient, "%s", cause(t))
	case listed && !silent:
		v.say("clear.offer", finding.Good, "it is in the list")
		v.say("clear.upgrade-works", finding.Insufficient, "%s", cause(t))
	default:
		v.say("clear.offer", finding.Insufficient, "%s", cause(t))
	}
}

// lists reports whether a server of the dialect that offers TLS has said so by the time of the upgrade.
func lists(d *dialect.Dialect, t *talk) bool {
	has := func(k dialect.Kind) bool {
		return slices.ContainsFunc(d.Script.Clear, func(l dialect.Line) bool { return l.Kind == k })
	}
	return t.heard.Caps.Kind == dialect.Caps || t.heard.Greeting.Offer != dialect.Unsaid || has(dialect.Greeting) && !has(dialect.Caps)
}

// listOf returns what a server says that it can do, in the clear.
func listOf(t *talk) []byte {
	if t.heard.Caps.Kind == dialect.Caps {
		return t.heard.Caps.Raw
	}
	return t.heard.Greeting.Raw
}

func offerWords(silent bool) string {
	if silent {
		return "the protocol has no list, and the upgrade works"
	}
	return "it is in the list"
}

// plain are SASL mechanisms that say the password so that who listens can use it.
var plain = []string{"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"}

func judgeMechanisms(v *visit, t *talk) {
	heard := t.heard.Caps.Kind == dialect.Caps || t.heard.Greeting.Kind == dialect.Greeting
	var open []string
	for _, mech := range t.heard.Mechs {
		if slices.Contains(plain, strings.ToUpper(mech)) {
			open = append(open, mech)
		}
	}
	switch {
	case !heard:
		v.say("clear.mechanisms-before-tls", finding.NotApplicable, "the protocol lists none")
	case t.heard.Offer == dialect.Required:
		v.say("clear.mechanisms-before-tls", finding.Good, "the server says that there is no login before TLS")
	case len(open) > 0:
		v.say("clear.mechanisms-before-tls", finding.Insufficient, "in the clear the server lists %s", strings.Join(open, ", "))
	case len(t.heard.Mechs) > 0:
		v.say("clear.mechanisms-before-tls", finding.Sufficient, "in the clear the server lists %s, which do not say the password", strings.Join(t.heard.Mechs, ", "))
	default:
		v.say("clear.mechanisms-before-tls", finding.Good, "none is listed in the clear")
	}
}

// judgeInside reads what was answered inside TLS to the questions of honestEdit.
func judgeInside(v *visit, t *talk) {
	if t.stage < secured {
		return
	}
	caps := insideCaps(v.endpoint.Dialect, t)
	switch {
	case caps == nil:
		v.say("clear.offer-inside", finding.NotApplicable, "the server lists nothing inside TLS")
	case caps.Offer != dialect.Unsaid:
		v.say("clear.offer-inside", finding.Insufficient, "inside TLS the server says %s", finding.Quote(caps.Raw))
	default:
		v.say("clear.offer-inside", finding.Good, "it is not in the list inside TLS")
	}
	if v.service.Clear != nil && v.service.Inside != nil && len(v.service.Clear.Capabilities) > 0 && len(v.service.Inside.Capabilities) > 0 {
		judgeDifference(v)
	}
	if n := len(t.inside); n > 0 && n == len(honestEdit(v).inside) {
		judgeSecond(v, t.inside[n-1], t.err)
	}
}

// insideCaps returns the last list of capabilities that was said inside TLS, nil if there is none. Where the
// script has a greeting there and no list, the greeting is the list.
func insideCaps(d *dialect.Dialect, t *talk) *dialect.Message {
	greets := slices.Equal(d.Script.Inside, []dialect.Line{{Says: dialect.Server, Kind: dialect.Greeting}})
	var caps *dialect.Message
	for _, answer := range append([][]dialect.Message{t.first}, t.inside...) {
		for i, m := range answer {
			if m.Kind == dialect.Caps || greets && m.Kind == dialect.Greeting {
				caps = &answer[i]
			}
		}
	}
	return caps
}

func judgeSecond(v *visit, answer []dialect.Message, err error) {
	switch {
	case len(answer) == 0 && errors.Is(err, errSilent):
		v.say("clear.second-upgrade", finding.NotTestable, "%v", err)
	case len(answer) == 0 && err == nil:
		v.say("clear.second-upgrade", finding.NotApplicable, "inside TLS the protocol has no answer to it")
	case len(answer) == 0:
		v.say("clear.second-upgrade", finding.Good, "%v", err)
	case answer[len(answer)-1].Kind == dialect.Ready:
		v.say("clear.second-upgrade", finding.Insufficient, "the server goes ahead: %s", finding.Quote(answer[len(answer)-1].Said()))
	default:
		v.say("clear.second-upgrade", finding.Good, "%s", finding.Quote(answer[len(answer)-1].Said()))
	}
}

// aboutTLS are capabilities that TLS is expected to change.
var aboutTLS = regexp.MustCompile(`(?i)^"?(STARTTLS|STLS|AUTH\b|SASL|MECHANISMS|USER|LOGINDISABLED|REQUIRETLS|AUTHINFO|TLS|PBSZ|PROT|CCC|XCLIENT|XFORWARD)`)

func judgeDifference(v *visit) {
	differ := func(a, b []string) (only []string) {
		for _, word := range a {
			if !slices.Contains(b, word) && !aboutTLS.MatchString(word) {
				only = append(only, word)
			}
		}
		return only
	}
	// The first line of a list is often a name.
	outside := differ(v.service.Clear.Capabilities, v.service.Inside.Capabilities)
	inside := differ(v.service.Inside.Capabilities, v.service.Clear.Capabilities)
	if len(outside)+len(inside) == 0 {
		v.say("clear.capabilities-differ", finding.Good, "they are the same")
		return
	}
	v.say("clear.capabilities-differ", finding.Sufficient, "only in the clear: %s; only inside: %s", list(outside), list(inside))
}

func list(words []string) string {
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}
