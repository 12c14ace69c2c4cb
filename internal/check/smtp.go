package check

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/finding"
)

// mailScheme is that of mail between servers.
const mailScheme = "smtp"

// nobodyPatience is how long nobody has to answer.
const nobodyPatience = 2 * time.Second

// askNobody connects to where nobody is, and returns the first words of who answers.
func (c *Checker) askNobody() string {
	ctx, cancel := context.WithTimeout(context.Background(), nobodyPatience)
	defer cancel()
	conn, err := c.config.Dial(ctx, "tcp", c.config.Nobody)
	if err != nil {
		return ""
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(nobodyPatience))
	words, _ := bufio.NewReader(io.LimitReader(conn, 200)).ReadString('\n')
	return words
}

// judgeNobody tells of a network in which every address has the same mail server, once a server of the
// port that is led elsewhere was asked.
func (c *Checker) judgeNobody(t Target, r *finding.Result) {
	_, port, _ := net.SplitHostPort(c.config.Nobody)
	led := func(s finding.Service) bool { return strings.HasSuffix(s.Address, ":"+port) }
	if c.config.Nobody == "" || !slices.ContainsFunc(r.Services, led) {
		return
	}
	if words := c.nobody(); strings.HasPrefix(words, "220") {
		c.whole(t, r).signed("strip.port-redirected", c.config.Nobody+" says "+finding.Quote([]byte(words)))
	}
}

// mailRows are conversations that only mail has.
var mailRows = []row{
	{ids: []string{"strip.hello-refused"}, edit: oldHello, judge: judgeOldHello, quiet: true},
}

// oldHello says HELO to a server that refused EHLO.
func oldHello(v *visit) (edit, bool) {
	refusal, ok := errors.AsType[*starttls.Error](v.honest.road)
	refused := ok && errors.Is(refusal, starttls.ErrRefused) && refusal.At == dialect.Caps
	return edit{before: []step{{words: "HELO " + v.config.Name + "\r\n"}}, short: true, anyway: true}, refused && odds[v.endpoint.Dialect.Name].work != nil
}

func judgeOldHello(v *visit, t *talk) {
	if len(t.replies) == 0 || len(t.replies[0].answer) == 0 {
		return
	}
	if m := t.replies[0].answer[0]; m.Kind != dialect.No {
		v.signed("strip.hello-refused", "EHLO: "+cause(v.honest)+"; HELO: "+finding.Quote(m.Said()))
	}
}

// odds are what only some protocols have, by the dialect's name.
var odds = map[string]odd{"smtp": mailOdd, "lmtp": mailOdd, dialect.NBD.Name: {unsure: true}}

// An odd is what a protocol adds to the row of the first work.
type odd struct {
	work  func(*edit)
	judge func(*visit, *talk)
	// unsure says that what counts as the offer is that TLS may be asked for: the greeting of NBD is the
	// same with and without it.
	unsure bool
}

// offersLogin begins a login without a password.
const offersLogin = "AUTH PLAIN\r\n"

// mailOdd offers a login without giving one, begins a transaction, and goes on with it inside TLS.
var mailOdd = odd{
	work: func(e *edit) {
		e.short, e.gone = false, true
		begun := func(first []dialect.Message) bool { return !refused(first) } // some servers hang up on giving up what is not
		e.before = append([]step{{words: offersLogin}, {"*\r\n", begun}}, e.before...)
		e.inside = append(e.inside, dialect.Message{Kind: dialect.Secret, Raw: []byte("RCPT TO:<postmaster>\r\n")})
	},
	judge: judgeMailState,
}

// judged are the answers to RCPT by which a recipient was looked at, so that the transaction was known.
var judged = regexp.MustCompile(`^(2\d\d|4\d\d|55[0-4])`)

func judgeMailState(v *visit, t *talk) {
	const login, state = "clear.login-before-tls", "clear.state-kept"
	if begun := t.answerTo(offersLogin); strings.HasPrefix(begun, "334") {
		v.say(login, finding.Insufficient, "a login is begun in the clear: %s", finding.Quote([]byte(begun)))
	}
	mail, rcpt := t.answerTo(v.endpoint.Dialect.Work), string(inner(t))
	switch {
	case !strings.HasPrefix(mail, "250"):
		v.say(state, finding.Good, "no transaction is begun in the clear: %s", finding.Quote([]byte(mail)))
	case errors.Is(t.err, errRefused):
		v.say(state, finding.Good, "the upgrade is refused within a transaction: %s", finding.Quote(t.ready.Said()))
	case rcpt == "":
		v.say(state, finding.NotTestable, "%s", cause(t))
	case judged.MatchString(rcpt):
		v.say(state, finding.Insufficient, "MAIL was said in the clear, and RCPT inside TLS is answered by %s", finding.Quote([]byte(rcpt)))
	default:
		v.say(state, finding.Good, "%s", finding.Quote([]byte(rcpt)))
	}
}
