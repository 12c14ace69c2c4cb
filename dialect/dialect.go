package dialect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Side is one end of a connection.
type Side uint8

// The two ends of every connection.
const (
	Client Side = iota
	Server
)

// String returns "client" or "server".
func (s Side) String() string {
	if s == Server {
		return "server"
	}
	return "client"
}

// Kind is what a message means for starting TLS, whatever the protocol.
type Kind uint8

// The kinds. Who says it stands before the colon.
const (
	Other    Kind = iota // either: none of our business, passes as it is; a server's own Other means "yes, done"
	Greeting             // server: its first words
	Hello                // client: names itself, or opens a stream
	Ask                  // client: what can you do?
	Caps                 // server: this is what I can do
	Upgrade              // client: begin TLS
	Ready                // server: yes, begin
	No                   // server: not this; Why says why, Text in its own words
	Rival                // client: asks for a protection that is not TLS (GSSENCRequest)
	Secret               // client: credentials, or the first real work; not for the clear
	Bye                  // either: the last words
)

var kindNames = [...]string{"other", "greeting", "hello", "ask", "caps", "upgrade", "ready", "no", "rival", "secret", "bye"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Reason is why a request is refused. As the Why of a client's message it says that the dialect
// itself demands the refusal, whatever the level.
type Reason uint8

// The reasons.
const (
	Unknown        Reason = iota // no reason of ours; the peer's words are all there is
	TLSRequired                  // not before TLS
	TLSUnavailable               // TLS cannot begin now
	AlreadyTLS                   // TLS has begun already
	BadSyntax                    // the request is malformed
	NotNow                       // out of order
	Unavailable                  // the server behind cannot be reached
	TooMuch                      // a limit was passed
)

var reasonNames = [...]string{"unknown", "tls-required", "tls-unavailable", "already-tls", "bad-syntax", "not-now", "unavailable", "too-much"}

// String returns the reason's name as it stands in logs.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// Offer is what a server says of TLS in a Greeting or in Caps.
type Offer uint8

// The offers.
const (
	Unsaid   Offer = iota // TLS is not named
	Offered               // TLS may be begun
	Required              // TLS must be begun: credentials are held back where the protocol can say so
)

// String returns the offer's name.
func (o Offer) String() string {
	return [...]string{"unsaid", "offered", "required"}[min(o, Required)]
}

// A Message is one unit of a protocol, cut down to what matters for starting TLS.
type Message struct {
	Kind Kind
	// Re is, of a server's message, the kind of the request that it answers, Other when it answers none.
	// Of an Upgrade of a dialect with Again it is Secret when that asks for more than TLS.
	Re Kind
	// Raw is the message as heard. It is said again byte for byte unless an edit was asked for. It
	// points into the buffer that was read from and is good until the next Read. A message of our own
	// has none.
	Raw   []byte
	Tag   string   // what ties an answer to its question: IMAP tag, LDAP message ID
	Name  string   // Greeting, Hello: who speaks, or who is asked for
	Why   Reason   // of a No, and of a request that must be refused
	Text  string   // of a No: the peer's words, of whatever length and content it liked
	Offer Offer    // of Greeting and Caps
	Mechs []string // of Greeting and Caps: SASL mechanisms, where the protocol lists them here
	// For is, of a client's first work in a dialect with Addressed, what it is for: "database:shop",
	// "user:joe".
	For   []string
	Login []byte // of our own Upgrade, for a dialect with LoginFirst: the Raw of the login that will follow

	edit edit
}

// Said is a message for people to read: Raw, or Text where that says what there are only bytes for.
func (m Message) Said() []byte {
	if binary := func(c byte) bool { return (c < ' ' || c == 0x7f) && c != '\r' && c != '\n' && c != '\t' }; m.Text != "" && slices.ContainsFunc(m.Raw, binary) {
		return []byte(m.Text)
	}
	return m.Raw
}

// edit is what Write changes in Raw.
type edit struct {
	offer   bool // say Message.Offer instead of what Raw says
	unbound bool // leave out mechanisms with channel binding
	guarded bool // leave out what is for gateways alone
	sts     string
}

// Offering returns m as it is said with the offer o instead of its own: for Required, mechanisms are
// held back and the protocol's word for "no login here" is put in, where it has one. It changes only
// a Greeting or Caps.
func (m Message) Offering(o Offer) Message {
	if m.Kind == Greeting || m.Kind == Caps {
		m.Offer, m.edit.offer = o, true
	}
	return m
}

// Unbound returns m without SASL mechanisms that bind to a TLS channel ("-PLUS"): their proof is over
// a channel that ends at a gateway and not at the peer (RFC 5802 §6, RFC 5929).
func (m Message) Unbound() Message {
	if m.Kind == Greeting || m.Kind == Caps {
		m.edit.unbound = true
	}
	return m
}

// Telling returns m as it is said with a policy of strict transport security, in place of the server's
// own, in a protocol that has one (see [Dialect].STS). The empty policy leaves the server's. It changes
// only Caps.
func (m Message) Telling(policy string) Message {
	if m.Kind == Caps {
		m.edit.sts = policy
	}
	return m
}

// Binds reports whether a mechanism that binds to a TLS channel is listed.
func (m Message) Binds() bool { return slices.ContainsFunc(m.Mechs, bound) }

// Edited reports whether Write will say something else than Raw.
func (m Message) Edited() bool { return m.edit != edit{} }

// Reply returns an answer of kind k to m, for reason why, tied to it by its tag.
func (m Message) Reply(k Kind, why Reason) Message {
	return Message{Kind: k, Re: m.Kind, Tag: m.Tag, Why: why}
}

// bound reports whether a SASL mechanism binds to a TLS channel.
func bound(mech string) bool { return strings.HasSuffix(mech, "-PLUS") }

// A Speech hears and says one leg. It does no I/O and keeps the contract of the package comment.
type Speech interface {
	// Read cuts the peer's first whole message off buf. n is its length; n == 0 and no error means
	// that more bytes are needed. An error is final: what stands in buf is not the protocol.
	Read(buf []byte) (m Message, n int, err error)
	// Write appends m as our side says it: Raw if there is one, edited if that was asked for, or words
	// of our own. A kind for which the protocol has no words adds nothing.
	Write(dst []byte, m Message) []byte
	// Pending reports whether a request has not been answered in full.
	Pending() bool
	// Settled reports whether nothing that follows on this leg concerns TLS: it may pass unread.
	Settled() bool
}

// A Line is one step of a script.
type Line struct {
	Says Side
	Kind Kind
	May  bool // declining is no failure
}

// A Script is the straight road to TLS.
type Script struct {
	Clear  []Line // before TLS
	Inside []Line // said anew inside TLS
}

// ServerFirst reports whether the server speaks first.
func (s Script) ServerFirst() bool { return len(s.Clear) > 0 && s.Clear[0].Says == Server }

// ServerFirstInside reports whether the server speaks first inside TLS as well.
func (s Script) ServerFirstInside() bool { return len(s.Inside) > 0 && s.Inside[0].Says == Server }

// Acknowledged reports whether the server answers an upgrade before TLS begins. Where it does not,
// the client's first TLS record may lawfully stand right behind the upgrade.
func (s Script) Acknowledged() bool {
	return len(s.Clear) > 0 && s.Clear[len(s.Clear)-1].Says == Server
}

// letters are the one-letter names of the kinds in a script. The server's words are capitals.
var letters = map[rune]Kind{'G': Greeting, 'h': Hello, 'a': Ask, 'C': Caps, 'u': Upgrade, 'R': Ready, 's': Secret}

// script reads the short form "G h C? u R | h C": capitals are the server's words, '?' says that a
// line may be declined, '|' is where TLS begins. It panics on anything else: scripts are constants.
func script(short string) Script {
	var s Script
	at := &s.Clear
	for _, word := range strings.Fields(short) {
		if word == "|" {
			at = &s.Inside
			continue
		}
		letter := rune(word[0])
		kind, ok := letters[letter]
		if !ok {
			panic("dialect: script " + short + ": " + word)
		}
		l := Line{Kind: kind, May: strings.HasSuffix(word, "?")}
		if letter >= 'A' && letter <= 'Z' {
			l.Says = Server
		}
		*at = append(*at, l)
	}
	return s
}

// A Scheme is a name under which a dialect stands in URLs.
type Scheme struct {
	Name     string
	Port     uint16 // as assigned
	Implicit bool   // TLS from the first byte (RFC 8314), not in-band
	Open     bool   // strangers may work here: servers among themselves
	// Beside names the scheme of the port for implicit TLS that a service of users is wanted at as well
	// (RFC 8314 §3). If empty, nobody asks for that.
	Beside string
}

// A Dialect is all that one protocol has to say about starting TLS.
type Dialect struct {
	Name    string   // "smtp"
	Spec    string   // "RFC 3207"
	Schemes []Scheme // the first is the in-band one
	Script  Script
	// ALPN are the protocol's ALPN ids, the preferred one first. Where there is one, a peer that offers
	// only others is refused (cross-protocol attacks).
	ALPN []string
	// DirectALPN says that a client that begins with TLS must have agreed on an ALPN id.
	DirectALPN bool
	// LoginFirst says that the upgrade repeats what the client says in its login, so that a gateway
	// can upgrade its back leg only when it has heard the login.
	LoginFirst bool
	// Early says that the greeting holds what a later login needs (an APOP stamp, a salt), so that a
	// gateway must have the server's own and cannot dial after TLS.
	Early bool
	// Alone says that clients want to read the offer before all else, and nothing behind it until they
	// have answered.
	Alone bool
	// Fresh says that TLS begins a new session, so that a gateway that has dialled before must dial anew.
	Fresh bool
	// Named says that the Name of a Hello or an Upgrade is the host that the client asks for, so that a
	// certificate may be chosen by it. An EHLO name is none: it is who asks.
	Named bool
	// Addressed are the words with which the client's first work says what it is for (Message.For), the more
	// telling one first, so that a gateway may choose a server by it.
	Addressed []string
	// Silent says that TLS begins without a request: a ClientHello in the place of a message is one.
	Silent bool
	// Again says that the upgrade is a request of its own and answered inside TLS: there it is heard
	// once more (RFC 2817 §3.2).
	Again bool
	// Retold says that the server behind a gateway has to hear of the upgrade as well, in other words
	// (see [Crosser]): inside TLS it is heard once more, and not answered.
	Retold bool
	// EndPoint says that channel binding is to the server's certificate and nothing else
	// (tls-server-end-point, RFC 5929 §4): it holds through a gateway that has the server's certificate.
	EndPoint bool
	// Channels says that data goes over further connections, whose addresses are told in messages.
	Channels bool
	// Stray is how many blanks may stand before the ClientHello: some clients end their upgrade with one.
	Stray int
	// Carrier, if not nil, packs the records of the handshake into the protocol's own packets.
	Carrier *Carrier
	// STS, if not nil, checks a policy by which a server tells clients to come by TLS from the first byte
	// ever after, in the protocol's own syntax. It is said by [Message.Telling].
	STS func(policy string) error
	// Tells, if not empty, names how a server can be told who the client of a gateway is (see [Teller]).
	Tells string
	// Work is a first piece of work, as a client says it: what a server that demands TLS refuses. It is
	// for probing, and harmless.
	Work string
	// Password says that Work holds one, so that a refusal may be a judgement of it.
	Password bool
	// Guess, if not empty, is a login with a password, where Work asks for one without: for a server that
	// refuses Work for want of the mechanism. It may leave a failed login in the server's log.
	Guess string
	// Login returns how a client logs in, a message for each answer, nil where the protocol is not one for
	// accounts or that takes more than words. It is for probing.
	Login func(user, password string) []string
	// Tried are the real peers, with their versions, that the tests put before and behind the gateway.
	// Where there are none, only transcripts and specifications stand for it.
	Tried []string
	// Limit is the longest message before TLS, in bytes.
	Limit int
	// Speak returns the speech of one leg as our side speaks it, before TLS or inside.
	Speak func(we Side, inside bool) Speech
}

// A Carrier is a protocol that carries the TLS handshake in its own packets, and nothing after it.
type Carrier struct {
	// Pack appends the packets that hold payload.
	Pack func(dst, payload []byte) []byte
	// Unpack cuts the first whole packet off buf: its payload and its length. n == 0: more bytes are
	// needed.
	Unpack func(buf []byte) (payload []byte, n int, err error)
}

// ErrNoise is wrapped by every error of [Speech.Read]: the bytes are not the protocol.
var ErrNoise = errors.New("not the protocol")

// noise returns an error of Read.
func noise(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNoise, fmt.Sprintf(format, args...))
}

// All lists the dialects in the order in which they are shown.
var All = []*Dialect{&SMTP, &LMTP, &IMAP, &POP3, &LDAP, &Postgres, &MySQL, &XMPP, &XMPPServer, &Telnet, &NATS, &HTTP, &Sieve, &NNTP, &FTP, &IRC, &ACAP, &MTQP, &NUT, &TDS, &RDP, &VNC, &NBD, &AMQP}

// ByScheme finds the dialect and the scheme that a URL names. Both are nil when there is none.
func ByScheme(name string) (*Dialect, *Scheme) {
	for _, d := range All {
		for i := range d.Schemes {
			if d.Schemes[i].Name == name {
				return d, &d.Schemes[i]
			}
		}
	}
	return nil, nil
}
