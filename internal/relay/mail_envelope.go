package relay

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"

	"starttls"
	"starttls/resolver"
)

// An envelope is what MAIL FROM said.
type envelope struct {
	from       string // without brackets; empty in a bounce
	size       int64  // as declared (RFC 1870), 0 if it was not
	body       string // 7BIT, 8BITMIME (RFC 6152), BINARYMIME (RFC 3030), or empty
	utf8       bool   // SMTPUTF8 (RFC 6531)
	requireTLS bool   // REQUIRETLS (RFC 8689)
	trace      string // who handed it in and how: "from … by … with …"
}

// The words of BODY.
const (
	body7bit   = "7BIT"
	body8bit   = "8BITMIME"
	bodyBinary = "BINARYMIME"
)

// badSyntax and badParameter are the two ways in which a command is wrong (RFC 5321 §4.1.1.11).
var (
	badSyntax    = answer(501, "5.5.4", "Syntax error in parameters or arguments")
	badParameter = answer(555, "5.5.4", "Parameter not known")
)

// parseMail reads the argument of MAIL.
func (s *session) parseMail(arg string) (*envelope, *reply) {
	path, params, ok := cutPath(arg, "FROM:")
	if !ok {
		return nil, &badSyntax
	}
	e := &envelope{from: path}
	seen := map[string]bool{}
	for _, param := range params {
		key, value, valued := strings.Cut(param, "=")
		if key = strings.ToUpper(key); seen[key] {
			return nil, &badSyntax
		}
		seen[key] = true
		if no := s.parameter(e, key, value, valued); no != nil {
			return nil, no
		}
	}
	return e, e.checkPath(path)
}

// parameter takes one parameter of MAIL.
func (s *session) parameter(e *envelope, key, value string, valued bool) *reply {
	var err error
	switch key {
	case "SIZE": // RFC 1870 §4: up to 20 digits
		if e.size, err = strconv.ParseInt(value, 10, 64); err != nil || e.size < 0 {
			return &badSyntax
		}
	case "BODY":
		e.body = strings.ToUpper(value)
		if e.body != body7bit && e.body != body8bit && e.body != bodyBinary {
			return &badSyntax
		}
	case "SMTPUTF8":
		e.utf8 = true
		if valued {
			return &badSyntax
		}
	case "REQUIRETLS":
		e.requireTLS = true
		switch {
		case s.Front.Level == starttls.None:
			return &badParameter
		case valued: // RFC 8689 §2: no value
			return &badSyntax
		case !s.secured: // RFC 8689 §2 item 4: not in the clear
			no := answer(530, "5.7.0", "REQUIRETLS is for sessions inside TLS")
			return &no
		}
	default:
		return &badParameter
	}
	return nil
}

// checkPath refuses an address beyond ASCII without SMTPUTF8 (RFC 6531 §3.5).
func (e *envelope) checkPath(path string) *reply {
	if !e.utf8 && !isASCII(path) {
		no := answer(553, "5.6.7", "An address beyond ASCII needs SMTPUTF8")
		return &no
	}
	return nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c >= 0x80 })
}

// A recipient is one address and what has become of it.
type recipient struct {
	addr  string // without brackets
	next  string // the destination whose policy applies: a domain, or a host in brackets
	reply reply  // the answer to it; its code is 0 while there is none
}

// parseRcpt reads the argument of RCPT.
func (s *session) parseRcpt(arg string) (*recipient, *reply) {
	path, params, ok := cutPath(arg, "TO:")
	switch {
	case !ok || path == "":
		return nil, &badSyntax
	case len(params) > 0:
		return nil, &badParameter
	}
	if no := s.env.checkPath(path); no != nil {
		return nil, no
	}
	next, ok := destination(path)
	if !ok {
		no := answer(501, "5.1.3", "Bad recipient address syntax")
		return nil, &no
	}
	return &recipient{addr: path, next: cmp.Or(s.Next, next)}, nil
}

// destination returns the next hop of an address: its domain as resolver.Name has it, or an address
// literal in brackets (RFC 5321 §4.1.3).
func destination(addr string) (string, bool) {
	domain := addr[strings.LastIndexByte(addr, '@')+1:]
	if domain == "" || len(domain) == len(addr) {
		return "", false
	}
	if literal, ok := strings.CutPrefix(domain, "["); ok {
		literal, ok = strings.CutSuffix(literal, "]")
		if v6, is6 := cutFold(literal, "IPv6:"); is6 {
			literal = v6
		}
		ip, err := netip.ParseAddr(literal)
		return "[" + ip.String() + "]", ok && err == nil && ip.Zone() == ""
	}
	name, err := resolver.Name(domain)
	return name, err == nil && name != ""
}

// cutPath cuts "FROM:<path> parameters". A source route is heard and dropped (RFC 5321 §3.6.1, appendix
// F.2).
func cutPath(arg, prefix string) (path string, params []string, ok bool) {
	rest, ok := cutFold(arg, prefix)
	if !ok {
		return "", nil, false
	}
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " "), "<")
	end := pathEnd(rest)
	if !ok || end < 0 {
		return "", nil, false
	}
	path, rest = rest[:end], rest[end+1:]
	if rest != "" && rest[0] != ' ' {
		return "", nil, false
	}
	if strings.HasPrefix(path, "@") {
		if _, path, ok = strings.Cut(path, ":"); !ok || strings.HasPrefix(path, "@") {
			return "", nil, false
		}
	}
	return path, strings.Fields(rest), clean(path)
}

// pathEnd returns where the ">" stands that ends a path, and not one in a quoted local part.
func pathEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			return i
		}
	}
	return -1
}

// clean reports whether a path has nothing that could be read as more than a path where it is said again:
// control characters, and brackets and blanks outside of quotes (RFC 5321 §4.1.2).
func clean(path string) bool {
	if len(path) > maxPath || strings.ContainsFunc(path, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return false
	}
	quoted := false
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '<' || c == '>'):
			return false
		}
	}
	return !quoted
}

// maxPath is more than the 256 octets of RFC 5321 §4.5.3.1.3: UTF-8 is longer than what it stands for.
const maxPath = 1024

// cutFold cuts a prefix in ASCII, whatever its case.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
