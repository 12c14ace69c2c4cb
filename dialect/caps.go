package dialect

import (
	"bytes"
	"slices"
)

// Lists of capabilities are much alike: what names TLS, and mechanisms. Here is what they share.

// editCaps says m.Raw, a list of capabilities of one a line between a first and a last line, as m asks.
// offer is the line that names TLS. Of lines that are neither it nor SASL, change says what is said in their
// place, and nil for nothing. All others stay byte for byte.
func editCaps(dst []byte, m Message, offer string, change func(key, arg string, line []byte) []byte) []byte {
	said := !m.edit.offer || m.Offer == Unsaid
	all := lines(m.Raw)
	for i, line := range all {
		text, _ := chomp(line)
		switch key, arg := splitVerb(text); {
		case i == 0:
		case i == len(all)-1 && !said:
			dst = append(dst, offer+"\r\n"...)
		case i == len(all)-1:
		case key == offer && m.edit.offer:
			if said {
				continue
			}
			said = true
		case key == "SASL":
			line = m.editSASL(line, arg)
		default:
			line = change(key, arg, line)
		}
		dst = append(dst, line...)
	}
	return dst
}

// editSASL returns a line of mechanisms as it is said, or nil.
func (m Message) editSASL(line []byte, mechs string) []byte {
	switch {
	case m.holdsBack():
		return nil
	case !m.edit.unbound || !slices.ContainsFunc(words(upper(mechs)), bound):
		return line
	}
	if line = dropWords(bytes.TrimRight(line, "\r\n"), bound); len(words(string(line))) < 2 {
		return nil
	}
	return append(line, "\r\n"...)
}

// readCaps reads such a list: whether TLS is in it, and the mechanisms. It returns the keys of the other lines.
func readCaps(m *Message, text []byte, offer string) (others []string) {
	for _, line := range lines(text)[1:] {
		text, _ := chomp(line)
		switch key, arg := splitVerb(text); key {
		case offer:
			m.Offer = Offered
		case "SASL":
			m.Mechs = append(m.Mechs, words(upper(arg))...)
		default:
			others = append(others, key)
		}
	}
	return others
}

// holdsBack reports whether m is said without mechanisms: no login works before TLS.
func (m Message) holdsBack() bool { return m.edit.offer && m.Offer == Required }

// drops reports whether m is said without that mechanism.
func (m Message) drops(mech string) bool {
	return m.holdsBack() || m.edit.unbound && bound(upper(mech))
}

// keeps returns the mechanisms with which m is said.
func (m Message) keeps(mechs []string) []string {
	return slices.DeleteFunc(slices.Clone(mechs), m.drops)
}

// refusal is why a request for TLS must be refused, if it must: inside TLS, in other words than exactly the
// right ones, or past the time for it.
func refusal(inside, exact, past bool) Reason {
	switch {
	case inside:
		return AlreadyTLS
	case !exact:
		return BadSyntax
	case past:
		return NotNow
	}
	return Unknown
}
