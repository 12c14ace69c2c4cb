package tryout

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// xmpp is a server of one user: what you say to anybody you hear yourself (RFC 6120, RFC 6121). Between
// servers there is nothing to log in with, and the stream is all there is.
var (
	xmpp = protocol{"xmpp", func(s *session) error {
		return (&xmppConn{session: s, content: "jabber:client"}).serve()
	}, ""}
	xmppServer = protocol{"xmpp-server", func(s *session) error {
		return (&xmppConn{session: s, content: "jabber:server"}).serve()
	}, ""}
)

// xmppLimit is the longest stanza (RFC 6120 §13.12 asks for 10000 bytes).
const xmppLimit = 64 << 10

// Namespaces.
const (
	xmppStreams = "http://etherx.jabber.org/streams"
	xmppErrors  = "urn:ietf:params:xml:ns:xmpp-streams"
	xmppStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
	xmppSASL    = "urn:ietf:params:xml:ns:xmpp-sasl"
	xmppBind    = "urn:ietf:params:xml:ns:xmpp-bind"
	xmppSession = "urn:ietf:params:xml:ns:xmpp-session"
	xmppRoster  = "jabber:iq:roster"
)

var (
	errStanza = errors.New("a stanza that is too long")
	errEnded  = errors.New("we have ended the stream")
)

type xmppConn struct {
	*session
	content string // the namespace of stanzas
	left    int    // bytes until a stanza is too long
	domain  string
	user    string // once logged in
	bound   string // the full address, once bound
}

// Read is there for the decoder, which uses ReadByte.
func (c *xmppConn) Read(p []byte) (int, error) { return 0, io.ErrNoProgress }

// ReadByte reads no further than the decoder needs, so that a stream can follow upon a stream.
func (c *xmppConn) ReadByte() (byte, error) {
	if c.left--; c.left < 0 {
		return 0, errStanza
	}
	return c.r.ReadByte()
}

// serve serves one stream after the other.
func (c *xmppConn) serve() error {
	for {
		more, err := c.stream()
		var broken *xml.SyntaxError
		switch {
		case errors.Is(err, errStanza):
			c.end("policy-violation")
		case errors.As(err, &broken) && broken.Msg != "unexpected EOF":
			c.end("not-well-formed")
		}
		if err != nil || !more {
			return err
		}
	}
}

// end says a stream error and the end of the stream (RFC 6120 §4.9).
func (c *xmppConn) end(why string) {
	c.w.WriteString("<stream:error><" + why + " xmlns='" + xmppErrors + "'/></stream:error></stream:stream>")
}

// stream serves one, up to its end or a login.
func (c *xmppConn) stream() (more bool, err error) {
	in := xml.NewDecoder(c)
	for {
		c.left = xmppLimit
		token, err := in.Token()
		if err != nil {
			if c.domain == "" {
				c.open("") // to say anything, even an error, one must have begun (RFC 6120 §4.9.1.2)
			}
			return false, err
		}
		switch token := token.(type) {
		case xml.EndElement:
			c.w.WriteString("</stream:stream>")
			return false, nil
		case xml.Directive, xml.Comment:
			c.end("restricted-xml") // RFC 6120 §11.1
			return false, errEnded
		case xml.StartElement:
			if token.Name.Space == xmppStreams && token.Name.Local == "stream" {
				c.begin(token)
				continue
			}
			if more, err := c.element(in, token); more || err != nil {
				return more, err
			}
		}
	}
}

// open says our header.
func (c *xmppConn) open(version string) {
	if c.domain == "" {
		c.domain = c.name()
	}
	c.w.WriteString("<?xml version='1.0'?><stream:stream xmlns='" + c.content + "' xmlns:stream='" + xmppStreams + "' id='" +
		rand.Text() + "' from='" + escaped(c.domain) + "'" + version + ">")
}

// begin answers a header. A client of before 1.0 knows no features (RFC 6120 §4.7.5).
func (c *xmppConn) begin(e xml.StartElement) {
	c.domain = attr(e, "to")
	if attr(e, "version") == "" {
		c.open("")
		return
	}
	c.open(" version='1.0'")
	features := ""
	switch {
	case c.content == "jabber:server":
	case c.user == "":
		features = "<mechanisms xmlns='" + xmppSASL + "'><mechanism>PLAIN</mechanism></mechanisms>"
	default:
		features = "<bind xmlns='" + xmppBind + "'/><session xmlns='" + xmppSession + "'><optional/></session>"
	}
	c.w.WriteString("<stream:features>" + features + "</stream:features>")
}

// element acts on what is no header. more says that a new stream must follow.
func (c *xmppConn) element(in *xml.Decoder, start xml.StartElement) (more bool, err error) {
	var e stanza
	if err := in.DecodeElement(&e, &start); err != nil {
		return false, err
	}
	switch {
	case start.Name.Space == xmppSASL && c.user == "" && c.content == "jabber:client":
		return c.login(start, strings.TrimSpace(e.Text)), nil
	case c.user == "" || start.Name.Space != c.content:
		c.end("not-authorized")
		return false, errEnded
	default:
		c.stanza(start, e)
	}
	return false, nil
}

// login takes any name with any password, by PLAIN.
func (c *xmppConn) login(e xml.StartElement, answer string) bool {
	text, err := base64.StdEncoding.DecodeString(answer)
	name, ok := plainName(string(text))
	failure := ""
	switch {
	case e.Name.Local == "auth" && attr(e, "mechanism") != "PLAIN":
		failure = "invalid-mechanism"
	case e.Name.Local == "auth" && answer == "":
		c.w.WriteString("<challenge xmlns='" + xmppSASL + "'/>")
		return false
	case e.Name.Local == "abort":
		failure = "aborted"
	case err != nil || !ok:
		failure = "malformed-request"
	default:
		c.user = name
		c.tell("%s logged in", name)
		c.w.WriteString("<success xmlns='" + xmppSASL + "'/>")
		return true
	}
	c.w.WriteString("<failure xmlns='" + xmppSASL + "'><" + failure + "/></failure>")
	return false
}
