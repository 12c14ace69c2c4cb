package check

import (
	"crypto/tls"
	"slices"

	"starttls/dialect"
	"starttls/internal/finding"
)

// An Account is what the checker may log in with, inside TLS and to a server that has proved who it is,
// and nowhere else.
type Account struct{ User, Password string }

// accountRows need an account.
var accountRows = []row{
	{ids: []string{"clear.offer-after-login"}, edit: logIn, judge: judgeLogin},
}

// logIn logs in inside TLS, asks what there is, and for TLS once more.
func logIn(v *visit) (edit, bool) {
	login := v.login()
	e := edit{inside: slices.Concat(asks(v), login, asks(v), again(v)), gone: true}
	e.config = func(config *tls.Config) { config.InsecureSkipVerify, config.RootCAs = false, v.config.Roots }
	return e, len(login) > 0 && v.honest.stage >= secured
}

// login is what logs in, nothing if there is no account or the protocol has none.
func (v *visit) login() (all []dialect.Message) {
	account, login := v.config.Account, v.endpoint.Dialect.Login
	if account == nil || login == nil {
		return nil
	}
	for _, words := range login(account.User, account.Password) {
		all = append(all, dialect.Message{Kind: dialect.Secret, Raw: []byte(words)})
	}
	return all
}

// judgeLogin reads what was offered and answered behind a login.
func judgeLogin(v *visit, t *talk) {
	const id = "clear.offer-after-login"
	done := len(asks(v)) + len(v.login())
	if len(t.inside) < done || len(t.inside[done-1]) == 0 {
		v.say(id, finding.NotTestable, "no login: %s", cause(t))
		return
	}
	if m := last(t.inside[done-1]); m.Kind == dialect.No || m.Kind == dialect.Bye {
		v.say(id, finding.NotTestable, "the login is refused: %s", finding.Quote(m.Said()))
		return
	}
	for _, m := range slices.Concat(t.inside[done:]...) {
		if m.Kind == dialect.Ready || m.Kind == dialect.Caps && m.Offer != dialect.Unsaid {
			v.say(id, finding.Insufficient, "the server says %s", finding.Quote(m.Said()))
		}
	}
	v.say(id, finding.Good, "neither listed nor taken")
}

// last returns the last message of an answer, which must have one.
func last(answer []dialect.Message) dialect.Message { return answer[len(answer)-1] }
