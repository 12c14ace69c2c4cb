package tryout

import (
	"cmp"
	"encoding/xml"
	"strings"
)

// A stanza is as much of an element as is looked at.
type stanza struct {
	Text  string `xml:",chardata"`
	Body  string `xml:"body"`
	First []struct {
		XMLName  xml.Name
		Resource string `xml:"resource"`
	} `xml:",any"`
}

// stanza acts on a stanza of somebody who is logged in. Presence interests nobody here.
func (c *xmppConn) stanza(start xml.StartElement, e stanza) {
	switch start.Name.Local {
	case "message":
		if e.Body != "" && attr(start, "type") != "error" {
			kind := cmp.Or(attr(start, "type"), "normal")
			if kind == "groupchat" {
				kind = "normal"
			}
			c.w.WriteString("<message type='" + escaped(kind) + "' from='" + escaped(c.address()) + "' to='" + escaped(c.address()) +
				"'><body>" + escaped(e.Body) + "</body></message>")
		}
	case "iq":
		if kind := attr(start, "type"); kind == "get" || kind == "set" {
			c.iq(attr(start, "id"), e)
		}
	}
}

// address is the client's, with a resource once it has one.
func (c *xmppConn) address() string { return cmp.Or(c.bound, c.user+"@"+c.domain) }

// iq answers a question.
func (c *xmppConn) iq(id string, e stanza) {
	result := ""
	switch name := e.about(); {
	case name.Space == xmppBind:
		c.bound = c.user + "@" + c.domain + "/" + cmp.Or(e.First[0].Resource, "try-out")
		result = "<bind xmlns='" + xmppBind + "'><jid>" + escaped(c.bound) + "</jid></bind>"
	case name.Space == xmppRoster:
		result = "<query xmlns='" + xmppRoster + "'/>"
	case name.Space == xmppSession, name.Space == "urn:xmpp:ping":
	default:
		c.reply(id, "error", "<error type='cancel'><service-unavailable xmlns='"+xmppStanzas+"'/></error>")
		return
	}
	c.reply(id, "result", result)
}

func (c *xmppConn) reply(id, kind, what string) {
	c.w.WriteString("<iq type='" + kind + "' id='" + escaped(id) + "' to='" + escaped(c.address()) + "'>" + what + "</iq>")
}

// about is the name of what a question is about.
func (e stanza) about() xml.Name {
	if len(e.First) == 0 {
		return xml.Name{}
	}
	return e.First[0].XMLName
}

// attr returns an attribute that has no namespace.
func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// escaped is text as it may stand in XML, attributes included.
func escaped(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(text))
	return b.String()
}
