package check

import (
	"errors"
	"regexp"

	"starttls"
	"starttls/dialect"
	"starttls/internal/finding"
)

// A signature is how an interception looks in the honest session.
type signature struct {
	id   string
	in   func(*talk) []byte // where it is looked for
	like *regexp.Regexp
	when func(*talk) bool // and in what case; nil is always
}

// signatures are those of one session. Those that need another place or the DNS are in other files.
var signatures = []signature{
	{id: "strip.banner-masked", in: greetingOf, like: regexp.MustCompile(`^[20 ]*\*[20 *]*\r?\n$`)},
	{id: "strip.keyword-masked-a", in: capsOf, like: regexp.MustCompile(`(?m)^\d{3}[ -]X{7}A\r?$`)},
	{id: "strip.keyword-masked", in: capsOf, like: regexp.MustCompile(`(?m)^\d{3}[ -]X{4,}( X+)*\r?$`)},
	{id: "strip.command-masked", in: readyOf, like: regexp.MustCompile(`(?i)^\d* ?5\d\d .*(not recognized|unrecognized|unknown|X{8}|5\.5\.1)`), when: offered},
	{id: "strip.upgrade-refused", in: readyOf, like: regexp.MustCompile(`.+`), when: offered},
	{id: "strip.preauth", in: roadOf, like: regexp.MustCompile(`(?i)^PREAUTH`)},
	{id: "strip.plain-after-ready", in: afterReady, like: regexp.MustCompile(`.+`), when: injected},
	{id: "strip.blackhole", in: afterReady, like: regexp.MustCompile(`.+`), when: cutOff},
}

func greetingOf(t *talk) []byte { return t.heard.Greeting.Raw }
func capsOf(t *talk) []byte     { return t.heard.Caps.Raw }

// readyOf returns a refusal in the place of the go-ahead.
func readyOf(t *talk) []byte {
	if !errors.Is(t.err, errRefused) {
		return nil
	}
	return t.ready.Raw
}

// roadOf returns the words that ended the road to the upgrade.
func roadOf(t *talk) []byte {
	if refusal, ok := errors.AsType[*starttls.Error](t.road); ok {
		return []byte(refusal.Text)
	}
	return nil
}

// afterReady returns what befell the handshake behind a go-ahead, or behind an offer where there is none.
func afterReady(t *talk) []byte {
	if t.stage != goAhead || t.err == nil || t.presumed() {
		return nil
	}
	return []byte(t.err.Error())
}

func offered(t *talk) bool { return t.heard.Offer != dialect.Unsaid }

// presumed reports whether TLS was begun without a word of the server's that it is there. What comes then is
// no wonder.
func (t *talk) presumed() bool {
	return errors.Is(t.road, starttls.ErrNotOffered) && t.stage >= goAhead && t.ready.Kind != dialect.Ready
}

func injected(t *talk) bool { return errors.Is(t.err, starttls.ErrInjected) }

// look says what the signature shows. Only what is seen is told.
func (s signature) look(v *visit, t *talk) {
	text := s.in(t)
	if len(text) == 0 || !s.like.Match(text) || s.when != nil && !s.when(t) {
		return
	}
	v.signed(s.id, finding.Quote(s.like.Find(text)))
}
