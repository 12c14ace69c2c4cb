package tryout

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// search finds the message by ALL or by its number; other keys are for servers with more to find.
func (c *imapConn) search(args []string) (string, error) {
	found, ok := imapSet(args[len(args)-1])
	switch {
	case strings.EqualFold(args[len(args)-1], "ALL"):
		found, ok = true, true
	case !ok:
		return "NO Only ALL and numbers can be searched for", nil
	}
	if found {
		c.say("* SEARCH 1")
	} else {
		c.say("* SEARCH")
	}
	return imapDone, nil
}

func (c *imapConn) fetch(args []string) (string, error) { return c.fetchItems(args[0], args[1:]) }

// uidFetch always tells the UID as well (RFC 3501 §6.4.8).
func (c *imapConn) uidFetch(args []string) (string, error) {
	items := args[1:]
	if !slices.ContainsFunc(items, func(s string) bool { return strings.EqualFold(s, "UID") }) {
		items = append([]string{"UID"}, items...)
	}
	return c.fetchItems(args[0], items)
}

// fetchItems answers for the one message, if it is in the set. A number that is not there is no mistake
// of UID FETCH (RFC 3501 §6.4.8), and is taken for none of FETCH.
func (c *imapConn) fetchItems(set string, items []string) (string, error) {
	found, ok := imapSet(set)
	var told []string
	for _, item := range items {
		if item == "(" || item == ")" {
			continue
		}
		text, known := imapItem(strings.ToUpper(item))
		ok = ok && known
		told = append(told, text)
	}
	if !ok {
		return "BAD Set or item not known", nil
	}
	if found {
		c.say("* 1 FETCH (%s)", strings.Join(told, " "))
	}
	return imapDone, nil
}

// imapSet reports whether the message, whose number and UID are 1, is in a set of numbers.
func imapSet(set string) (has, ok bool) {
	for part := range strings.SplitSeq(set, ",") {
		from, to, isRange := strings.Cut(part, ":")
		if !isRange {
			to = from
		}
		low, err := strconv.ParseUint(strings.Replace(from, "*", "1", 1), 10, 32)
		high, err2 := strconv.ParseUint(strings.Replace(to, "*", "1", 1), 10, 32)
		if err != nil || err2 != nil || low == 0 || high == 0 {
			return false, false
		}
		has = has || min(low, high) == 1
	}
	return has, true
}

// imapItem is the answer to one item of FETCH, in capitals (RFC 3501 §6.4.5). PEEK is no different,
// because nothing is ever marked as seen.
func imapItem(item string) (answer string, ok bool) {
	switch item {
	case "FAST":
		return imapFast, true
	case "ALL":
		return imapFast + imapEnvelope, true
	case "FULL":
		return imapFast + imapEnvelope + " " + imapBody(item), true
	case "ENVELOPE":
		return imapEnvelope[1:], true
	case "BODY", "BODYSTRUCTURE":
		return imapBody(item), true
	}
	name, value := strings.Replace(item, "BODY.PEEK[", "BODY[", 1), ""
	switch name {
	case "FLAGS":
		return "FLAGS ()", true
	case "UID":
		return "UID 1", true
	case "RFC822.SIZE":
		return fmt.Sprintf("RFC822.SIZE %d", len(welcome)), true
	case "INTERNALDATE":
		return imapDate, true
	case "RFC822", "BODY[]":
		value = welcome
	case "RFC822.HEADER", "BODY[HEADER]":
		value = welcomeHead
	case "RFC822.TEXT", "BODY[TEXT]", "BODY[1]":
		value = welcomeBody
	default:
		if value, ok = imapFields(name); !ok {
			return "", false
		}
	}
	return fmt.Sprintf("%s {%d}\r\n%s", name, len(value), value), true
}

// What never changes, because the message does not.
const imapDate = `INTERNALDATE "01-Jan-2026 00:00:00 +0000"`

var (
	imapFast     = fmt.Sprintf("FLAGS () %s RFC822.SIZE %d", imapDate, len(welcome))
	imapEnvelope = " ENVELOPE (" + strings.Join([]string{
		`"Thu, 01 Jan 2026 00:00:00 +0000" "Welcome"`,
		imapStarttls, imapStarttls, imapStarttls, `(("you" NIL "you" "example.test"))`,
		`NIL NIL NIL "<welcome@example.test>"`,
	}, " ") + ")"
)

// imapStarttls is the sender as ENVELOPE has it (RFC 3501 §7.4.2).
const imapStarttls = `(("starttls" NIL "welcome" "example.test"))`

// imapBody is the structure of the message, which has one part.
func imapBody(item string) string {
	if item == "FULL" {
		item = "BODY"
	}
	return fmt.Sprintf(`%s ("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" %d %d)`,
		item, len(welcomeBody), welcomeLines)
}

// imapFields answers BODY[HEADER.FIELDS (names)]. No line of the welcome's header is folded.
func imapFields(item string) (header string, ok bool) {
	list, ok := strings.CutPrefix(item, "BODY[HEADER.FIELDS (")
	list, closed := strings.CutSuffix(list, ")]")
	names := strings.Fields(list)
	for line := range strings.Lines(welcomeHead) {
		name, _, _ := strings.Cut(line, ":")
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
			header += line
		}
	}
	return header + "\r\n", ok && closed
}
