package check

import (
	"bytes"
	"errors"
	"regexp"
	"strings"

	"starttls/dialect"
	"starttls/internal/finding"
)

// clearRows are the conversations about the clear phase.
var clearRows = []row{
	{ids: []string{"clear.command-injection", "clear.bytes-after-ready"}, edit: injects(edit{}), judge: judgeInjection},
	{ids: []string{"clear.command-injection", "clear.bytes-after-ready"}, edit: injects(edit{apart: true}), judge: judgeInjection},
	{ids: []string{"clear.command-injection", "clear.bytes-after-ready"}, edit: injects(edit{rush: true}), judge: judgeInjection},
	{ids: []string{"clear.command-injection", "clear.bytes-after-ready"}, edit: fragment, judge: judgeInjection},
	{ids: []string{"clear.login-before-tls", "clear.state-kept"}, edit: workFirst, judge: judgeWork},
	{ids: []string{"clear.early-hello"}, edit: early, judge: judgeEarly},
	{ids: []string{"clear.early-hello"}, edit: earlyAgain, judge: judgeEarly},
	{ids: []string{"clear.word-variants"}, edit: variants, judge: judgeVariants},
}

// workFirst does the first real work before it asks for TLS. Where a login can be begun without a password, one is
// said only to a server that refuses that: a login that fails is slow, and makes the next ones slow.
func workFirst(v *visit) (edit, bool) {
	d := v.endpoint.Dialect
	e := edit{before: []step{{words: d.Work}}, short: true}
	if d.Guess != "" && v.honest.heard.Offer != dialect.Required {
		e.before = append(e.before, step{d.Guess, refused})
	}
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
	if len(t.replies) == 0 {
		v.say(id, finding.NotTestable, "%s", cause(t))
		return
	}
	said := t.replies[len(t.replies)-1]
	switch {
	case len(said.answer) > 0:
	case t.err == nil:
		v.say(id, finding.NotTestable, "the protocol has no answer to it")
		return
	case errors.Is(t.err, errSilent):
		v.say(id, finding.NotTestable, "%v", t.err)
		return
	default:
		v.say(id, finding.Good, "%v", t.err)
		return
	}
	m := last(said.answer)
	refused := m.Kind == dialect.No || m.Kind == dialect.Bye
	switch {
	case refused && (m.Why == dialect.TLSRequired || tlsWords.Match(m.Raw)):
		v.say(id, finding.Good, "%s", finding.Quote(m.Said()))
	case refused && (d.Password || said.words == d.Guess):
		v.say(id, finding.Insufficient, "a password was judged in the clear: %s", finding.Quote(m.Said()))
	case refused:
		v.say(id, finding.Good, "refused, for another reason: %s", finding.Quote(m.Said()))
	case v.open():
		v.say(id, finding.Sufficient, "taken in the clear, as between servers: %s", finding.Quote(m.Said()))
	default:
		v.say(id, finding.Insufficient, "taken in the clear: %s", finding.Quote(m.Said()))
	}
}

// open reports whether strangers may work at the endpoint.
func (v *visit) open() bool {
	_, scheme := dialect.ByScheme(v.endpoint.Scheme)
	return scheme.Open
}

// variants say the upgrade wrongly.
func variants(v *visit) (edit, bool) {
	name := []byte(" " + v.calls()) // which stands behind the upgrade in some protocols, and may be any
	return edit{mangle: []func([]byte) []byte{
		func(upgrade []byte) []byte {
			words, named := bytes.CutSuffix(trimmed(upgrade), name)
			if words = append(words, 'X'); named {
				words = append(words, name...)
			}
			return append(words, "\r\n"...)
		},
		func(upgrade []byte) []byte { return append(trimmed(upgrade), " junk\r\n"...) },
	}}, v.honest.stage >= secured && textual(v.endpoint.Dialect) && bytes.Count(words(v.endpoint.Dialect, dialect.Upgrade, v.calls()), []byte("\n")) == 1
}

func trimmed(line []byte) []byte { return []byte(strings.TrimRight(string(line), "\r\n")) }

func judgeVariants(v *visit, t *talk) {
	const id = "clear.word-variants"
	switch n := len(t.mangled); {
	case errors.Is(t.err, errMangled) && n == 1:
		v.say(id, finding.Insufficient, "the server goes ahead on another word")
	case errors.Is(t.err, errMangled):
		v.say(id, finding.Sufficient, "the server goes ahead on the right word with something behind it")
	case n == 0 && errors.Is(t.err, errSilent):
		v.say(id, finding.NotTestable, "%v", t.err)
	case n == 0:
		v.say(id, finding.Good, "%v", t.err)
	default:
		v.say(id, finding.Good, "%s", finding.Quote(t.mangled[n-1].Said()))
	}
}
