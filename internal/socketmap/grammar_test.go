package socketmap

import (
	"errors"
	"fmt"
	"strings"
)

// parsed is an answer as Postfix takes it apart.
type parsed struct {
	level string
	attrs map[string][]string
}

// parsePostfix reads a policy as Postfix 3.10 does (smtp_tls_policy.c): the level, then attributes
// separated by blanks and commas, "name=value" or "{ name = value }". Whatever it does not know, or not at
// that level, makes it defer the mail.
func parsePostfix(text string) (parsed, error) {
	words, err := cut(text)
	if err != nil || len(words) == 0 {
		return parsed{}, errors.Join(err, errors.New("no level"))
	}
	p := parsed{words[0], map[string][]string{}}
	if !strings.Contains(" none may encrypt fingerprint verify secure dane dane-only ", " "+p.level+" ") {
		return p, fmt.Errorf("unknown level %q", p.level)
	}
	for _, word := range words[1:] {
		if inner, ok := strings.CutPrefix(word, "{"); ok {
			word = strings.TrimSpace(strings.TrimSuffix(inner, "}"))
		}
		name, value, ok := strings.Cut(word, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !ok || name == "" || value == "" {
			return p, fmt.Errorf("%q is not name=value", word)
		}
		if err := p.add(name, value); err != nil {
			return p, err
		}
	}
	_, typed := p.attrs["policy_type"]
	for name := range p.attrs {
		if strings.HasPrefix(name, "policy_") && name != "policy_type" && !typed || name == "mx_host_pattern" && !typed {
			return p, fmt.Errorf("%s without policy_type", name)
		}
	}
	return p, nil
}

func (p *parsed) add(name, value string) error {
	const (
		named  = " verify secure "
		pinned = " verify secure fingerprint "
		any    = " may encrypt verify secure fingerprint dane dane-only "
	)
	rules := map[string]struct {
		levels  string
		repeats bool
	}{
		"match": {pinned, true}, "servername": {any, false}, "tafile": {named, true},
		"policy_type": {any, false}, "policy_domain": {any, false}, "policy_string": {any, true}, "mx_host_pattern": {any, true},
		"ciphers": {any, false}, "protocols": {any, false}, "exclude": {any, false}, "connection_reuse": {any, true},
	}
	rule, ok := rules[name]
	switch {
	case !ok:
		return fmt.Errorf("unknown attribute %q", name)
	case !strings.Contains(rule.levels, " "+p.level+" "):
		return fmt.Errorf("%s at level %s", name, p.level)
	case len(p.attrs[name]) > 0 && !rule.repeats:
		return fmt.Errorf("%s twice", name)
	}
	p.attrs[name] = append(p.attrs[name], value)
	return nil
}

// cut splits at blanks and commas that are not inside braces (mystrtokq).
func cut(text string) (words []string, err error) {
	depth, word := 0, ""
	for i := range len(text) {
		c := text[i]
		switch {
		case c == '{':
			depth++
		case c == '}':
			depth--
		}
		if depth < 0 {
			return nil, errors.New("a } too many")
		}
		if depth == 0 && strings.IndexByte(", \t\r\n", c) >= 0 {
			if word != "" {
				words = append(words, word)
			}
			word = ""
			continue
		}
		word += string(c)
	}
	if depth > 0 {
		return nil, errors.New("a { too many")
	}
	if word != "" {
		words = append(words, word)
	}
	return words, nil
}
