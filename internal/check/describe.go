package check

import (
	"bytes"
	"crypto/tls"
	"errors"
	"regexp"
	"slices"
	"strings"

	"starttls/dialect"
	"starttls/internal/finding"
)

// describe fills in what the honest session tells of the service.
func (v *visit) describe(t *talk) {
	s := v.service
	at := func(i int) float64 { return milliseconds(t.times[i]) }
	s.Times = finding.Times{Connect: at(tConnect), Greeting: at(tGreeting), Upgrade: at(tUpgrade), Handshake: at(tHandshake)}
	if !v.endpoint.Implicit {
		s.Clear = wordsOf(&t.heard.Greeting, &t.heard.Caps)
		s.Clear.Offer, s.Clear.Mechanisms, s.Clear.Name = t.heard.Offer.String(), t.heard.Mechs, t.heard.Name
	}
	if t.state == nil {
		return
	}
	if caps := insideCaps(v.endpoint.Dialect, t); caps != nil {
		var greeting dialect.Message
		if len(t.first) > 0 {
			greeting = t.first[0]
		}
		s.Inside = wordsOf(&greeting, caps)
		s.Inside.Offer, s.Inside.Mechanisms, s.Inside.Name = caps.Offer.String(), caps.Mechs, caps.Name
	}
	s.TLS = &finding.TLS{
		Version: tls.VersionName(t.state.Version), Suite: tls.CipherSuiteName(t.state.CipherSuite),
		ALPN: t.state.NegotiatedProtocol,
	}
	if t.state.CurveID != 0 {
		s.TLS.Group = t.state.CurveID.String()
	}
}

// wordsOf returns what a server says of itself.
func wordsOf(greeting, caps *dialect.Message) *finding.Words {
	w := &finding.Words{Capabilities: capabilities(caps.Raw)}
	if len(greeting.Raw) > 0 {
		w.Greeting = finding.Quote(greeting.Raw)
	}
	return w
}

// code is what stands before each line of many lists.
var code = regexp.MustCompile(`^\d{3}[ -]`)

// feature is an element of XML with a namespace of its own, which is what XMPP lists.
var feature = regexp.MustCompile(`<([\w-]+)[^>]* xmlns=['"]([^'"]+)['"]`)

// capabilities cuts a list: its lines, or its words if it is one line, or its elements. A list that is no text
// has none.
func capabilities(raw []byte) (all []string) {
	for _, b := range raw {
		if b >= 0x7f || b < ' ' && b != '\r' && b != '\n' && b != '\t' {
			return nil
		}
	}
	if bytes.HasPrefix(raw, []byte("<")) {
		for _, m := range feature.FindAllSubmatch(raw, -1) {
			all = append(all, string(m[1])+" "+string(m[2]))
		}
		slices.Sort(all) // they are in no order
		return all
	}
	lines := strings.Split(strings.TrimRight(string(raw), "\r\n"), "\n")
	if len(lines) == 1 {
		lines = strings.Fields(code.ReplaceAllString(lines[0], ""))
	}
	for _, line := range lines {
		line = strings.TrimSpace(code.ReplaceAllString(strings.TrimSpace(line), ""))
		if line != "" && line != "*" && line != "." {
			all = append(all, line)
		}
	}
	return all
}

// cutOff reports whether the connection died under the handshake, without an alert.
func cutOff(t *talk) bool {
	return hungUp(t.err) || errors.Is(t.err, errSilent)
}
