package check

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"starttls/internal/finding"
	"starttls/internal/hello"
)

// probing finds out what TLS a service speaks, by ClientHellos made by hand. What it finds are facts;
// standards judge them.
type probing struct {
	*visit
	facts   []finding.Fact
	chains  map[string][][]byte // that were seen before TLS 1.3, by the kind of the leaf's key
	err     error               // that ended it: the budget, or a server that puts us off
	unknown map[string]error    // findings that are not known to their end, and why
	more    bool                // lists of suites and groups are not complete
}

// fact notes one fact, once.
func (p *probing) fact(kind, value string) {
	if f := (finding.Fact{Kind: kind, Value: value}); !slices.Contains(p.facts, f) {
		p.facts = append(p.facts, f)
	}
}

// The classes of suites before TLS 1.3, by name. What is in none is good.
var (
	classes = []*regexp.Regexp{
		regexp.MustCompile(`_anon_`),
		regexp.MustCompile(`_NULL_`),
		regexp.MustCompile(`_EXPORT|_DES40_`),
		regexp.MustCompile(`_RC4_`),
		regexp.MustCompile(`_DES_|_RC2_|_IDEA_`),
		regexp.MustCompile(`_3DES_`),
		regexp.MustCompile(`^TLS_(RSA|DH|ECDH)_`), // no forward secrecy
		regexp.MustCompile(`^TLS_DHE_`),
		regexp.MustCompile(`_CBC_`),
	}
	// secret is what needs a secret shared beforehand, or an authority of its own kind: no stranger can
	// have it.
	secret = regexp.MustCompile(`PSK|SRP|KRB5|GOST|SM4`)
)

// noSecrecy is the class of suites that are good but for having no forward secrecy.
const noSecrecy = 6

// class returns which class a suite is of, len(classes) for the good ones.
func class(name string) int {
	for i, c := range classes {
		if c.MatchString(name) {
			return i
		}
	}
	return len(classes)
}

// suitesOf returns the suites before TLS 1.3 that are of the classes.
func suitesOf(in func(class int) bool) []uint16 {
	return hello.Suites(hello.TLS12, func(name string) bool { return !secret.MatchString(name) && in(class(name)) })
}

func everyClass(int) bool { return true }

// base is a ClientHello that offers everything.
func (p *probing) base(versions ...uint16) hello.Hello {
	name := p.match
	if net.ParseIP(name) != nil {
		name = "" // RFC 6066 §3
	}
	return hello.Hello{
		Versions: versions, ServerName: name, Deflate: true, ALPN: p.endpoint.Dialect.ALPN,
		Groups:  hello.Groups(func(hello.Group) bool { return true }),
		Schemes: hello.Schemes(hello.Any),
	}
}

// ask has one conversation that ends with a ClientHello and its answer. Its error is a hello.Alert where
// the server refuses. Any other is noted, and ends all asking if it is not the handshake's.
func (p *probing) ask(ctx context.Context, h *hello.Hello) (*hello.Reply, error) {
	if p.err != nil {
		return nil, p.err
	}
	var reply *hello.Reply
	t, err := p.briefly(ctx, edit{bare: func(conn net.Conn) error {
		text, err := h.Marshal()
		if err != nil {
			return err
		}
		if _, err = conn.Write(text); err != nil {
			return err
		}
		reply, err = hello.Read(conn)
		return err
	}})
	switch {
	case err != nil:
		p.err = err
		return nil, err
	case t.stage < goAhead:
		return nil, errors.New(cause(t))
	}
	if hungUp(t.err) && reply == nil {
		return nil, refusedWithoutWords{t.err}
	}
	if reply != nil {
		p.note(reply)
		return reply, nil
	}
	return nil, t.err
}

// unless notes that a finding is not known to its end, unless err is a server that refuses.
func (p *probing) unless(id string, err error) {
	if _, refused := errors.AsType[hello.Alert](err); err != nil && !refused {
		p.unknown[id] = err
	}
}

// refusedWithoutWords is a server that hangs up on a ClientHello: some do in the place of an alert.
type refusedWithoutWords struct{ error }

func (e refusedWithoutWords) Unwrap() error { return e.error }

func (e refusedWithoutWords) As(target any) bool {
	if alert, ok := target.(*hello.Alert); ok {
		*alert = hello.HandshakeFailure
		return true
	}
	return false
}

// note keeps what every answer tells besides what was asked.
func (p *probing) note(r *hello.Reply) {
	p.fact("version", hello.VersionName(r.Version))
	p.fact("suite", hello.SuiteName(r.Suite))
	if r.Group != 0 {
		p.fact("group", r.Group.String())
	}
	if r.Version >= hello.TLS13 {
		return
	}
	if r.Prime != "" {
		p.fact("group", r.Prime)
		p.fact("dh-bits", strconv.Itoa(r.Bits))
	}
	if r.Scheme != 0 {
		p.fact("exchange-signature", r.Scheme.String())
	}
	p.fact("compression", map[bool]string{true: "deflate", false: "none"}[r.Compression != 0])
	p.fact("renegotiation", map[bool]string{true: "secure", false: "insecure"}[r.Renegotiation])
	if r.Version > hello.SSL30 {
		p.fact("extended-master-secret", yes(r.MasterSecret))
	}
	if len(r.Certificates) > 0 {
		p.chains[authentication(hello.SuiteName(r.Suite))] = r.Certificates
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// authentication returns the kind of key that a suite before TLS 1.3 wants in the certificate.
func authentication(suite string) string {
	exchange, _, _ := strings.Cut(suite, "_WITH_")
	switch {
	case strings.HasSuffix(exchange, "ECDSA"):
		return "ECDSA"
	case strings.HasSuffix(exchange, "DSS"):
		return "DSS"
	}
	return "RSA"
}

// look asks everything, in the order of what it is worth.
func (p *probing) look(ctx context.Context) {
	p.oldVersions(ctx)
	p.weakSuites(ctx)
	p.goodSuites(ctx)
	p.newest(ctx)
	p.weakSignatures(ctx)
	p.foreign(ctx)
	p.renegotiation(ctx)
	p.rest(ctx)
	p.leftover(ctx)
}

// oldVersions goes down from TLS 1.1 until the server refuses. One refusal rules out all that are older.
func (p *probing) oldVersions(ctx context.Context) {
	for version := uint16(hello.TLS11); version >= hello.SSL30; version-- {
		h := p.base(version)
		h.Suites = suitesOf(everyClass)
		reply, err := p.ask(ctx, &h)
		if err != nil {
			p.unless("tls.versions", err)
			return
		}
		version = min(version, reply.Version)
		if version == hello.TLS11 || version == hello.TLS10 {
			p.fallback(ctx, version)
		}
	}
}

// fallback says that the client has come down to version. It is asked once.
func (p *probing) fallback(ctx context.Context, version uint16) {
	if slices.ContainsFunc(p.facts, func(f finding.Fact) bool { return f.Kind == "fallback" }) {
		return
	}
	h := p.base(version)
	h.Suites, h.Fallback = suitesOf(everyClass), true
	switch _, err := p.ask(ctx, &h); {
	case errors.Is(err, hello.InappropriateFallback):
		p.fact("fallback", "told")
	case err == nil:
		p.fact("fallback", "not told")
	}
}

// weakSuites offers all that is weak at once: a server that refuses is done with one connection. Of one
// that does not, each class that it takes is found with one more.
func (p *probing) weakSuites(ctx context.Context) {
	h := p.base(hello.TLS12)
	h.Suites = suitesOf(func(class int) bool { return class < len(classes) })
	for len(h.Suites) > 0 {
		reply, err := p.ask(ctx, &h)
		if err != nil || !slices.Contains(h.Suites, reply.Suite) {
			p.unless("tls.suites", err)
			return
		}
		found := class(hello.SuiteName(reply.Suite))
		h.Suites = slices.DeleteFunc(slices.Clone(h.Suites), func(id uint16) bool {
			return class(hello.SuiteName(id)) == found
		})
	}
}

// goodSuites asks for what is good before TLS 1.3, twice: with the order turned round the server's own
// shows.
func (p *probing) goodSuites(ctx context.Context) {
	h := p.base(hello.TLS12)
	h.Suites = suitesOf(func(class int) bool { return class == len(classes) })
	first, err := p.ask(ctx, &h)
	if err != nil || first.Version != hello.TLS12 {
		return
	}
	slices.Reverse(h.Suites)
	if second, err := p.askStranger(ctx, &h); err == nil && second.Suite == first.Suite {
		p.fact("preference", "server")
	} else if err == nil {
		p.fact("preference", "client")
	}
}

// common are the groups that every server may have.
var common = []string{"X25519", "X448", "P-256", "P-384", "P-521"}

// newest asks for TLS 1.3: the best there is, then without post-quantum groups, then with the uncommon
// groups alone. The first question has had its answer where the honest session has a post-quantum group.
func (p *probing) newest(ctx context.Context) {
	if p.honest.state.Version < hello.TLS13 {
		return
	}
	uncommon := func(g hello.Group) bool { return !g.PostQuantum() && !slices.Contains(common, g.String()) }
	for i, groups := range [][]hello.Group{
		hello.Groups(func(hello.Group) bool { return true }),
		hello.Groups(func(g hello.Group) bool { return !g.PostQuantum() }),
		hello.Groups(uncommon),
	} {
		if i == 0 && hello.Group(p.honest.state.CurveID).PostQuantum() {
			continue
		}
		h := p.base(hello.TLS13)
		h.Suites, h.Groups = hello.Suites(hello.TLS13, hello.Any), groups
		if i == 1 && len(p.parts["tls.sni"]) == 0 {
			p.askStranger(ctx, &h)
		} else {
			p.ask(ctx, &h)
		}
	}
}

// leftover spends what is left of the budget on lists of all suites, the newest version first.
func (p *probing) leftover(ctx context.Context) {
	ask := func(h *hello.Hello) (*hello.Reply, error) { return p.ask(ctx, h) }
	if p.err != nil {
		return
	}
	if p.honest.state.Version >= hello.TLS13 {
		h := p.base(hello.TLS13)
		h.Suites = hello.Suites(hello.TLS13, hello.Any)
		hello.Enumerate(h, ask)
	}
	if slices.Contains(p.facts, finding.Fact{Kind: "version", Value: hello.VersionName(hello.TLS12)}) {
		h := p.base(hello.TLS12)
		h.Suites = suitesOf(everyClass)
		hello.Enumerate(h, ask)
	}
	if errors.Is(p.err, errBudget) {
		p.err, p.more = nil, true
	}
}

// weakSignatures offers none but SHA-1 and MD5.
func (p *probing) weakSignatures(ctx context.Context) {
	h := p.base(hello.TLS12)
	h.Suites = suitesOf(func(class int) bool { return class > noSecrecy })
	h.Schemes = hello.Schemes(func(name string) bool { return strings.HasSuffix(name, "sha1") || strings.HasSuffix(name, "md5") })
	p.ask(ctx, &h)
}

// renegotiation has a client ask for a second handshake within the first.
func (p *probing) renegotiation(ctx context.Context) {
	if p.err != nil || !slices.Contains(p.facts, finding.Fact{Kind: "version", Value: hello.VersionName(hello.TLS12)}) {
		return
	}
	var accepted bool
	t, err := p.briefly(ctx, edit{bare: func(conn net.Conn) (err error) {
		accepted, err = hello.Renegotiate(ctx, conn, p.tlsConfig())
		return err
	}})
	if p.err = err; err == nil && t.err == nil {
		p.fact("client-renegotiation", map[bool]string{true: "accepted", false: "refused"}[accepted])
	}
}

// askStranger is ask with a name that no server has, and with the right one if that is refused.
func (p *probing) askStranger(ctx context.Context, h *hello.Hello) (*hello.Reply, error) {
	const id = "tls.sni"
	right := h.ServerName
	h.ServerName = "unknown.invalid"
	reply, err := p.ask(ctx, h)
	if errors.Is(err, hello.UnrecognizedName) {
		p.say(id, finding.Sufficient, "an unknown name is answered with an alert")
		h.ServerName = right
		return p.ask(ctx, h)
	}
	if err == nil {
		p.say(id, finding.Good, "an unknown name is served")
	}
	return reply, err
}

// foreign offers the ALPN ids of the web.
func (p *probing) foreign(ctx context.Context) {
	const id = "tls.alpn"
	if p.endpoint.Dialect.ALPN == nil {
		p.say(id, finding.NotApplicable, "the protocol has no ALPN id")
		return
	}
	// It must be the whole handshake: a HelloRetryRequest may come before the server looks at ALPN.
	t, err := p.briefly(ctx, edit{gone: true, config: func(config *tls.Config) { config.NextProtos = []string{"h2", "http/1.1"} }})
	switch {
	case err != nil:
		p.say(id, finding.NotTestable, "%v", err)
	case t.state != nil:
		p.say(id, finding.Sufficient, "a client that offers h2 and http/1.1 is served")
	case t.stage == goAhead && (alerted(t.err) || hungUp(t.err)):
		p.say(id, finding.Good, "h2 is refused: %v", t.err)
	default:
		p.say(id, finding.NotTestable, "%s", cause(t))
	}
}

// alerted reports whether a handshake ended with an alert of the server's.
func alerted(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "remote error"
}
