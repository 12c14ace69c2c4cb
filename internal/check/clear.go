package check

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/finding"
	"starttls/internal/hello"
)

// clearRows are the conversations about the clear phase.
var clearRows = []row{
	{ids: []string{"clear.command-injection", "clear.bytes-after-ready"}, edit: injects(edit{}, dialect.Ask, dialect.Hello), judge: judgeInjection},
	{ids: []string{"clear.command-injection", "clear.bytes-after-ready"}, edit: injects(edit{apart: true}, dialect.Ask, dialect.Hello), judge: judgeInjection},
	{ids: []string{"clear.command-injection", "clear.bytes-after-ready"}, edit: injects(edit{rush: true}, dialect.Ask, dialect.Hello), judge: judgeInjection},
	{ids: []string{"clear.command-injection", "clear.bytes-after-ready"}, edit: fragment, judge: judgeInjection},
	{ids: []string{"clear.login-before-tls", "clear.state-kept"}, edit: workFirst, judge: judgeWork},
	{ids: []string{"clear.early-hello"}, edit: early, judge: judgeEarly},
	{ids: []string{"clear.word-variants"}, edit: variants, judge: judgeVariants},
}

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
	if errors.Is(t.err, starttls.ErrInjected) {
		v.say("clear.bytes-after-ready", finding.Insufficient, "behind the go-ahead comes something else than TLS: %v", t.err)
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
		v.say("clear.offer-unlisted", finding.Insufficient, "the upgrade works and is not in the list %s", finding.Quote(t.heard.Caps.Raw))
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
	return t.heard.Caps.Kind == dialect.Caps || has(dialect.Greeting) && !has(dialect.Caps)
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
	caps := insideCaps(t)
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

// insideCaps returns the last list of capabilities that was said inside TLS, nil if there is none.
func insideCaps(t *talk) *dialect.Message {
	var caps *dialect.Message
	for _, answer := range append([][]dialect.Message{t.first}, t.inside...) {
		for i := range answer {
			if answer[i].Kind == dialect.Caps {
				caps = &answer[i]
			}
		}
	}
	return caps
}

func judgeSecond(v *visit, answer []dialect.Message, err error) {
	switch {
	case len(answer) == 0:
		v.say("clear.second-upgrade", finding.Good, "the server hangs up: %v", err)
	case answer[len(answer)-1].Kind == dialect.Ready:
		v.say("clear.second-upgrade", finding.Insufficient, "the server goes ahead: %s", finding.Quote(answer[len(answer)-1].Raw))
	default:
		v.say("clear.second-upgrade", finding.Good, "%s", finding.Quote(answer[len(answer)-1].Raw))
	}
}

// aboutTLS are capabilities that TLS is expected to change.
var aboutTLS = regexp.MustCompile(`(?i)^"?(STARTTLS|STLS|AUTH\b|SASL|USER|LOGINDISABLED|REQUIRETLS|AUTHINFO|TLS|PBSZ|PROT|CCC|XCLIENT|XFORWARD)`)

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

// injects glues a question to the upgrade, in one of three ways.
func injects(way edit, kinds ...dialect.Kind) func(*visit) (edit, bool) {
	return func(v *visit) (edit, bool) {
		e, d := way, v.endpoint.Dialect
		if v.honest.stage < secured || e.rush && !rushes(d) {
			return edit{}, false
		}
		for _, kind := range kinds {
			if e.glue = words(d, kind, v.calls()); len(e.glue) > 0 {
				break
			}
		}
		if len(e.glue) == 0 {
			e.glue = []byte(d.Work)
		}
		return e, len(e.glue) > 0
	}
}

// fragment glues words without an end to the upgrade: who keeps them puts them before the first line
// that comes inside TLS.
func fragment(v *visit) (edit, bool) {
	return edit{glue: []byte("XYZ")}, v.honest.stage >= secured && textual(v.endpoint.Dialect)
}

// textual reports whether the dialect's upgrade is a line of text.
func textual(d *dialect.Dialect) bool {
	upgrade := words(d, dialect.Upgrade, "localhost")
	return len(upgrade) > 0 && upgrade[len(upgrade)-1] == '\n' && !slices.ContainsFunc(upgrade, func(b byte) bool { return b >= 0x7f || b < '\n' })
}

// judgeInjection compares what the server says to our goodbye with what it says when nothing was
// injected. Whatever was executed has been answered before that.
func judgeInjection(v *visit, t *talk) {
	const injection, behind = "clear.command-injection", "clear.bytes-after-ready"
	switch {
	case errors.Is(t.err, starttls.ErrInjected):
		v.judgeBehind(behind, t.behind)
		v.say(injection, finding.Good, "not inside TLS")
		return
	case t.stage == goAhead:
		v.say(injection, finding.Good, "the handshake fails on what stands behind the upgrade")
	case t.stage < goAhead:
		v.say(injection, finding.Good, "the server does not go ahead: %s", cause(t))
	case t.stage < left:
		v.say(injection, finding.NotTestable, "%v", t.err)
	case noticed.Match(t.refusal):
		v.say(injection, finding.Good, "the server notices it: %s", finding.Quote(t.refusal))
	case !slices.Equal(kindsOf(t), kindsOf(v.control)):
		v.say(injection, finding.Insufficient, "the goodbye inside TLS is answered by %s, and without injection by %s", kindNames(kindsOf(t)), kindNames(kindsOf(v.control)))
	default:
		v.say(injection, finding.Good, "what stands behind the upgrade is dropped")
	}
	v.say(behind, finding.Good, "TLS follows the go-ahead")
}

// noticed are the words of a server that has seen that something stood behind the upgrade.
var noticed = regexp.MustCompile(`(?i)received unencrypted data after`)

// judgeBehind reads what was said in the clear where TLS must follow: an answer to what was sent behind the
// upgrade, or that the handshake has failed on it, which some servers say in the clear before they hang up.
func (v *visit) judgeBehind(id string, words []byte) {
	if len(words) > 0 && words[0] == recordAlert {
		v.say(id, finding.Good, "the handshake fails on what stands behind the upgrade, before it is begun")
		return
	}
	s := v.endpoint.Dialect.Speak(dialect.Client, false)
	s.Read(v.honest.heard.Greeting.Raw)
	for _, kind := range []dialect.Kind{dialect.Ask, dialect.Hello} {
		if len(s.Write(nil, dialect.Message{Kind: kind, Name: v.calls()})) > 0 {
			break
		}
	}
	for {
		m, n, err := s.Read(words)
		switch {
		case err != nil, n == 0, m.Kind == dialect.No, m.Kind == dialect.Bye:
			v.say(id, finding.Sufficient, "the handshake fails on what stands behind the upgrade, which is told in the clear: %s", finding.Quote(words))
			return
		case m.Kind == dialect.Caps, !s.Pending():
			v.say(id, finding.Insufficient, "the server answers in the clear, behind its go-ahead, what was sent behind the upgrade: %s", finding.Quote(words))
			return
		}
		words = words[n:]
	}
}

// recordAlert is the first byte of a TLS alert (RFC 8446 §5.1).
const recordAlert = 0x15

// refused reports whether an answer is a refusal.
func refused(answer []dialect.Message) bool {
	return len(answer) > 0 && answer[len(answer)-1].Kind == dialect.No
}

// kindsOf are the kinds of all that was said inside TLS without a question but the goodbye.
func kindsOf(t *talk) (all []dialect.Kind) {
	for _, m := range t.first {
		all = append(all, m.Kind)
	}
	return append(all, t.last...)
}

func kindNames(kinds []dialect.Kind) string {
	var names []string
	for _, k := range kinds {
		if k == noise {
			names = append(names, "something else")
		} else {
			names = append(names, fmt.Sprintf("%q", k))
		}
	}
	return list(names)
}

// early sends a ClientHello in the segment of the upgrade.
func early(v *visit) (edit, bool) {
	d := v.endpoint.Dialect
	h := (&probing{visit: v}).base(hello.TLS13, hello.TLS12)
	h.Suites = append(hello.Suites(hello.TLS13, hello.Any), suitesOf(everyClass)...)
	text, err := h.Marshal()
	return edit{glue: text, bare: func(conn net.Conn) error {
		conn.SetReadDeadline(time.Now().Add(v.earlyPatience()))
		_, err := hello.Read(conn)
		return err
	}}, err == nil && v.honest.stage >= secured && d.Script.Acknowledged() && d.Carrier == nil
}

// earlyPatience is how long a server has to answer a ClientHello that came early: several times what its
// whole honest session took, and a second at least.
func (v *visit) earlyPatience() time.Duration {
	const times, least, most = 4, time.Second, 3 * time.Second
	return min(v.config.Timeout/2, most, max(least, times*v.honest.times[tHandshake]))
}

func judgeEarly(v *visit, t *talk) {
	const id = "clear.early-hello"
	_, alert := errors.AsType[hello.Alert](t.err)
	switch {
	case t.stage < goAhead:
		v.say(id, finding.Sufficient, "the server does not go ahead: %s", cause(t))
	case t.err == nil, alert:
		v.say(id, finding.Good, "it is answered")
	case errors.Is(t.err, os.ErrDeadlineExceeded):
		v.say(id, finding.PhaseOut, "the server has thrown it away, and waits for another")
	default:
		v.say(id, finding.Sufficient, "the server ends the session: %v", t.err)
	}
}

// workFirst does the first real work before it asks for TLS.
func workFirst(v *visit) (edit, bool) {
	d := v.endpoint.Dialect
	e := edit{before: []string{d.Work}, short: true}
	if odd := odds[d.Name]; odd.work != nil {
		odd.work(&e)
	}
	return e, d.Work != "" && v.honest.stage >= greeted
}

// tlsWords say that a refusal is for want of TLS, in the words of servers of all kinds.
var tlsWords = regexp.MustCompile(`(?i)tls|ssl|encrypt|secur|privacy|confidential|cleartext|plaintext`)

func judgeWork(v *visit, t *talk) {
	const id = "clear.login-before-tls"
	d := v.endpoint.Dialect
	if odd := odds[d.Name]; odd.judge != nil {
		odd.judge(v, t)
	}
	if v.honest.heard.Offer == dialect.Required {
		v.say(id, finding.Good, "the server says that there is no login before TLS")
		return
	}
	if len(t.answers) == 0 {
		v.say(id, finding.NotTestable, "%v", t.err)
		return
	}
	answer := t.answers[len(t.answers)-1]
	if len(answer) == 0 {
		v.say(id, finding.Good, "the server hangs up: %v", t.err)
		return
	}
	m := answer[len(answer)-1]
	refused := m.Kind == dialect.No || m.Kind == dialect.Bye
	switch {
	case refused && (m.Why == dialect.TLSRequired || tlsWords.Match(m.Raw)):
		v.say(id, finding.Good, "%s", finding.Quote(m.Raw))
	case refused && d.Password:
		v.say(id, finding.Insufficient, "a password was judged in the clear: %s", finding.Quote(m.Raw))
	case refused:
		v.say(id, finding.Good, "refused, for another reason: %s", finding.Quote(m.Raw))
	case v.open():
		v.say(id, finding.Sufficient, "taken in the clear, as between servers: %s", finding.Quote(m.Raw))
	default:
		v.say(id, finding.Insufficient, "taken in the clear: %s", finding.Quote(m.Raw))
	}
}

// open reports whether strangers may work at the endpoint.
func (v *visit) open() bool {
	_, scheme := dialect.ByScheme(v.endpoint.Scheme)
	return scheme.Open
}

// variants say the upgrade wrongly.
func variants(v *visit) (edit, bool) {
	return edit{mangle: []func([]byte) []byte{
		func(upgrade []byte) []byte { return append(trimmed(upgrade), "X\r\n"...) },
		func(upgrade []byte) []byte { return append(trimmed(upgrade), " junk\r\n"...) },
	}}, v.honest.stage >= secured && textual(v.endpoint.Dialect)
}

func trimmed(line []byte) []byte { return []byte(strings.TrimRight(string(line), "\r\n")) }

func judgeVariants(v *visit, t *talk) {
	const id = "clear.word-variants"
	switch n := len(t.mangled); {
	case errors.Is(t.err, errMangled) && n == 1:
		v.say(id, finding.Insufficient, "the server goes ahead on another word")
	case errors.Is(t.err, errMangled):
		v.say(id, finding.Sufficient, "the server goes ahead on the right word with something behind it")
	case n == 0:
		v.say(id, finding.Good, "the server hangs up: %s", cause(t))
	default:
		v.say(id, finding.Good, "%s", finding.Quote(t.mangled[n-1].Raw))
	}
}
