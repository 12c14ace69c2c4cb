package tryout

import (
	"fmt"
	"strings"
	"time"
)

// nntp has one group with one article for everybody, and takes none (RFC 3977, RFC 4643).
var nntp = protocol{"nntp", func(s *session) error {
	return (&nntpConn{session: s}).serve()
}, "400 Line too long"}

const (
	nntpGroup   = "starttls.try-out"
	nntpID      = "<welcome@example.test>"
	nntpHead    = "Path: example.test!not-for-mail\r\nNewsgroups: " + nntpGroup + "\r\n" + welcomeHead
	nntpUnclear = "501 Not understood"
)

type nntpConn struct {
	*session
	user    string // of an AUTHINFO USER whose PASS is to come
	authed  bool
	grouped bool // the group was selected, and so was its article
}

func (c *nntpConn) serve() error {
	c.say("200 %s starttls try-out server", c.name())
	for {
		verb, arg, err := c.command()
		if err != nil {
			return err
		}
		if verb == "QUIT" {
			c.say("205 Bye")
			return nil
		}
		c.say("%s", c.answer(verb, arg))
	}
}

// answer returns the reply to a command, without the last CRLF.
func (c *nntpConn) answer(verb, arg string) string {
	switch verb {
	case "CAPABILITIES":
		list := []string{"VERSION 2", "READER", "LIST ACTIVE NEWSGROUPS", "IMPLEMENTATION starttls try-out"}
		if !c.authed { // RFC 4643 §2.2
			list = append(list, "AUTHINFO USER")
		}
		return dotted("101 What there is", list...)
	case "MODE":
		if strings.EqualFold(arg, "READER") {
			return "200 Read, nothing is taken"
		}
		return nntpUnclear
	case "AUTHINFO":
		return c.login(arg)
	case "DATE":
		return "111 " + time.Now().UTC().Format("20060102150405")
	case "HELP":
		return dotted("100 Help", "GROUP "+nntpGroup, "ARTICLE 1")
	case "GROUP", "LISTGROUP":
		return c.group(verb, arg)
	case "LIST":
		return nntpList(arg)
	case "NEXT", "LAST":
		if !c.grouped {
			return "412 No group selected"
		}
		return map[string]string{"NEXT": "421", "LAST": "422"}[verb] + " There is only one"
	case "ARTICLE", "HEAD", "BODY", "STAT":
		return c.article(verb, arg)
	case "POST", "IHAVE":
		return "440 Nothing is taken"
	}
	return "500 Command not known"
}

// login takes any name with any password, once (RFC 4643 §2.3).
func (c *nntpConn) login(arg string) string {
	what, word, _ := strings.Cut(arg, " ")
	what = strings.ToUpper(what)
	user := c.user
	c.user = ""
	switch {
	case what != "USER" && what != "PASS" || word == "":
		return nntpUnclear
	case c.authed:
		return "502 Not again"
	case what == "USER":
		c.user = word
		return "381 And the password?"
	case user == "":
		return "482 USER first"
	}
	c.authed = true
	c.tell("%s logged in", user)
	return "281 Welcome"
}

// group selects the group. LISTGROUP without one lists that which is selected (RFC 3977 §6.1.2).
func (c *nntpConn) group(verb, arg string) string {
	name, span, _ := strings.Cut(arg, " ")
	switch {
	case name == "" && verb == "GROUP":
		return nntpUnclear
	case name == "" && !c.grouped:
		return "412 No group selected"
	case name != "" && name != nntpGroup:
		return "411 No such group"
	}
	c.grouped = true
	reply := "211 1 1 1 " + nntpGroup
	switch {
	case verb == "GROUP":
		return reply
	case span == "" || nntpHas(span):
		return dotted(reply, "1")
	}
	return dotted(reply)
}

// nntpHas reports whether the article's number is in a range: n, n- or n-m (RFC 3977 §6.1.2.2).
func nntpHas(span string) bool {
	first, last, long := strings.Cut(span, "-")
	low, high := 0, 1
	if _, err := fmt.Sscan(first, &low); err != nil {
		return false
	}
	if long && last != "" {
		fmt.Sscan(last, &high)
	}
	return low == 1 && high >= 1 || low == 0 && long && high >= 1
}

// nntpList answers LIST (RFC 3977 §7.6). A pattern that is there is taken to match.
func nntpList(arg string) string {
	what, _, _ := strings.Cut(strings.ToUpper(arg), " ")
	switch what {
	case "", "ACTIVE":
		return dotted("215 Groups", nntpGroup+" 1 1 n")
	case "NEWSGROUPS":
		return dotted("215 Groups", nntpGroup+"\tThe try-out server of starttls")
	}
	return "503 No such list"
}

// article answers for the article by its number, its id, or as that which is selected (RFC 3977 §6.2).
func (c *nntpConn) article(verb, arg string) string {
	number := "1"
	switch {
	case arg == nntpID:
		number = "0"
	case strings.HasPrefix(arg, "<"):
		return "430 No such article"
	case !c.grouped:
		return "412 No group selected"
	case arg != "" && arg != "1":
		return "423 No such article"
	}
	head := number + " " + nntpID
	switch verb {
	case "HEAD":
		return dotted("221 "+head, strings.TrimSuffix(nntpHead, "\r\n"))
	case "BODY":
		return dotted("222 "+head, welcomeBody)
	case "STAT":
		return "223 " + head
	}
	return dotted("220 "+head, nntpHead+welcomeBody)
}
