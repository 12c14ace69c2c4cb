package check

import (
	"bytes"
	"errors"

	"starttls/dialect"
	"starttls/internal/finding"
)

// stateRows are about logins in two steps: the name in the clear, and the password, a wrong one, inside
// TLS. Whether the server still knows the name is told by comparison with a password alone.
var stateRows = []row{
	{edit: passwordAlone, judge: func(v *visit, t *talk) { v.alone = inner(t) }, quiet: true},
	{ids: []string{"clear.state-kept"}, edit: nameBefore, judge: judgeName},
}

// twoSteps returns a login of a made-up name, if it has two steps and servers do not refuse it beforehand.
func twoSteps(v *visit) (name, password string, ok bool) {
	login := v.endpoint.Dialect.Login
	if login == nil || v.honest.stage < secured || v.honest.heard.Offer == dialect.Required {
		return "", "", false
	}
	words := login("verify", "verify")
	if len(words) != 2 {
		return "", "", false
	}
	return words[0], words[1], true
}

func passwordAlone(v *visit) (edit, bool) {
	_, password, ok := twoSteps(v)
	return edit{inside: []dialect.Message{{Kind: dialect.Secret, Raw: []byte(password)}}, gone: true}, ok
}

func nameBefore(v *visit) (edit, bool) {
	name, _, ok := twoSteps(v)
	e, _ := passwordAlone(v)
	e.before = []step{{words: name}}
	return e, ok
}

// inner is the last answer to what was said inside TLS.
func inner(t *talk) []byte {
	if len(t.inside) == 0 || len(t.inside[0]) == 0 {
		return nil
	}
	answer := t.inside[0]
	return answer[len(answer)-1].Raw
}

func judgeName(v *visit, t *talk) {
	const id = "clear.state-kept"
	switch known := inner(t); {
	case len(t.replies) > 0 && refused(t.replies[0].answer):
		v.say(id, finding.Good, "no login is begun in the clear: %s", finding.Quote(last(t.replies[0].answer).Said()))
	case errors.Is(t.err, errRefused):
		v.say(id, finding.Good, "the upgrade is refused within a login: %s", finding.Quote(t.ready.Said()))
	case known == nil || v.alone == nil:
		v.say(id, finding.NotTestable, "%s", cause(t))
	case bytes.Equal(known, v.alone):
		v.say(id, finding.Good, "%s", finding.Quote(known))
	default:
		v.say(id, finding.Insufficient, "with a name said in the clear the password inside TLS is answered by %s, without by %s", finding.Quote(known), finding.Quote(v.alone))
	}
}
