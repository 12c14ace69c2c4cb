package tryout

import "strings"

// An ldapObject is one entry of the directory.
type ldapObject struct {
	dn    string
	attrs []ldapAttr
}

// An ldapAttr is an attribute with its values.
type ldapAttr struct {
	name string
	vals []string
}

// ldapRoot is the root DSE (RFC 4512 §5.1).
var ldapRoot = ldapObject{"", []ldapAttr{
	{"objectClass", []string{"top"}},
	{"namingContexts", []string{"dc=example,dc=test"}},
	{"supportedLDAPVersion", []string{"3"}},
	{"supportedExtension", []string{ldapWhoAmI}},
	{"supportedSASLMechanisms", []string{"PLAIN"}},
	{"vendorName", []string{"starttls try-out"}},
}}

// ldapTree is the directory, the parent before its child.
var ldapTree = []ldapObject{
	{"dc=example,dc=test", []ldapAttr{
		{"objectClass", []string{"top", "domain"}},
		{"dc", []string{"example"}},
	}},
	{"uid=joe,dc=example,dc=test", []ldapAttr{
		{"objectClass", []string{"top", "person", "organizationalPerson", "inetOrgPerson"}},
		{"uid", []string{"joe"}},
		{"cn", []string{"Joe Example"}},
		{"sn", []string{"Example"}},
		{"mail", []string{"joe@example.test"}},
	}},
}

// search answers a SearchRequest (RFC 4511 §4.5.1).
func (c *ldapConn) search(in *ber) {
	base, scope := string(in.take(berOctets)), in.take(berEnumerated)
	in.take(berEnumerated) // derefAliases
	in.take(berInteger)    // sizeLimit: there is too little for it to matter
	in.take(berInteger)    // timeLimit
	types := in.take(berBoolean)
	filterTag, filter := in.next()
	var wanted []string
	for list := (ber{rest: in.take(berSequence)}); len(list.rest) > 0; {
		wanted = append(wanted, strings.ToLower(string(list.take(berOctets))))
		in.bad = in.bad || list.bad
	}
	if in.bad || len(scope) != 1 || len(types) != 1 {
		in.bad = true
		return
	}
	found, ok := ldapScope(base, scope[0])
	if !ok {
		c.answer(ldapAnswers[ldapSearch], ldapNoSuchObject, "")
		return
	}
	for _, object := range found {
		if object.matches(filterTag, ber{rest: filter}, 0) == ldapTrue {
			c.send(object.entry(wanted, types[0] != 0))
		}
	}
	c.answer(ldapAnswers[ldapSearch], ldapSuccess, "")
}

// ldapScope finds the objects in a scope. ok is false if the base is not there.
func ldapScope(base string, scope byte) (found []ldapObject, ok bool) {
	base = strings.ToLower(strings.ReplaceAll(base, ", ", ","))
	if base == "" && scope == 0 {
		return []ldapObject{ldapRoot}, true
	}
	ok = base == ""
	for i, object := range ldapTree {
		here := object.dn == base
		above := i > 0 && ldapTree[i-1].dn == base || i == 0 && base == ""
		below := base == "" || strings.HasSuffix(object.dn, ","+base)
		ok = ok || here
		if here && scope != 1 || above && scope == 1 || below && scope > 1 {
			found = append(found, object)
		}
	}
	return found, ok
}

// Filters know three answers, which are ordered: "and" is the least of its parts, "or" the greatest
// (RFC 4511 §4.5.1.7).
const (
	ldapFalse = iota
	ldapUndefined
	ldapTrue
)

// matches applies a filter. Comparisons other than equality and presence are undefined, and so is what
// is nested too deep.
func (o ldapObject) matches(tag byte, in ber, depth int) (match int) {
	const deepest = 20
	if depth > deepest {
		return ldapUndefined
	}
	each := func() int {
		tag, body := in.next()
		return o.matches(tag, ber{rest: body}, depth+1)
	}
	switch tag {
	case 0xa0: // and
		for match = ldapTrue; len(in.rest) > 0; {
			match = min(match, each())
		}
		return match
	case 0xa1: // or
		for match = ldapFalse; len(in.rest) > 0; {
			match = max(match, each())
		}
		return match
	case 0xa2: // not
		return ldapTrue - each()
	case 0xa3: // equality
		return o.has(string(in.take(berOctets)), string(in.take(berOctets)))
	case 0x87: // presence
		return o.has(string(in.rest), "")
	}
	return ldapUndefined
}

// has says whether an attribute is there, and among its values the one, if that is not empty.
func (o ldapObject) has(name, value string) int {
	for _, attr := range o.attrs {
		for _, v := range attr.vals {
			if strings.EqualFold(attr.name, name) && (value == "" || strings.EqualFold(v, value)) {
				return ldapTrue
			}
		}
	}
	return ldapFalse
}

// entry is the SearchResultEntry with the attributes that are wanted, or all (RFC 4511 §4.5.1.8).
func (o ldapObject) entry(wanted []string, typesOnly bool) []byte {
	var attrs []byte
	for _, attr := range o.attrs {
		if !attr.among(wanted) {
			continue
		}
		var vals []byte
		for _, v := range attr.vals {
			if !typesOnly {
				vals = append(vals, octets(v)...)
			}
		}
		attrs = append(attrs, element(berSequence, octets(attr.name), element(berSet, vals))...)
	}
	return element(ldapEntry, octets(o.dn), element(berSequence, attrs))
}

// among: "+" are the operational ones (RFC 3673), which is what all of the root DSE is.
func (a ldapAttr) among(wanted []string) bool {
	for _, name := range wanted {
		if name == "*" || name == "+" || strings.EqualFold(name, a.name) {
			return true
		}
	}
	return len(wanted) == 0
}
