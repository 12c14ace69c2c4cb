package dialect

import (
	"encoding/binary"
)

// TDS is the PRELOGIN of SQL Server. TDS 8.0 begins with TLS and has PRELOGIN inside.
//
// TLS for the login alone, which is what ENCRYPT_OFF on both sides means (MS-TDS §2.2.6.5), is never
// agreed to: either everything is encrypted or nothing is.
var TDS = Dialect{
	Name: "tds",
	Spec: "MS-TDS §2.2.6.5, §3.3.5.2",
	Schemes: []Scheme{
		{Name: "tds", Port: 1433},
		{Name: "tdss", Port: 1433, Implicit: true},
	},
	Script:  script("a C u"),
	ALPN:    []string{"tds/8.0"},
	Silent:  true, // the two PRELOGINs agree on TLS; then the ClientHello comes, in a packet
	Carrier: &Carrier{Pack: packTDS, Unpack: unpackTDS},
	Tried:   []string{"FreeTDS tsql 1.3.17, before a scripted server"},
	Limit:   tdsMaxPacket,
	Speak:   newTDS,
}

// Packet types (MS-TDS §2.2.3.1.1).
const (
	tdsLogin4   = 0x02 // before TDS 7
	tdsResponse = 0x04
	tdsLogin7   = 0x10
	tdsPrelogin = 0x12
)

const (
	tdsHeader    = 8          // type, status, length 2, SPID 2, number, window
	tdsLast      = 0x01       // status: end of message
	tdsMaxPacket = 32<<10 - 1 // §2.2.3.1.3
	tdsPacket    = 4096       // as both sides send until they have agreed on another size
)

// Values of the option ENCRYPTION (§2.2.6.5); the bits above are about client certificates.
const (
	tdsOff = iota
	tdsOn
	tdsNotSup
	tdsReq

	tdsValue = 0x3f
)

type tdsPhase uint8

const (
	tdsStart    tdsPhase = iota // the client's PRELOGIN, or its login
	tdsAsked                    // the server's PRELOGIN
	tdsAnswered                 // the client's ClientHello in a packet, or its login
	tdsReady                    // TLS follows on this leg and nothing else
	tdsOpen                     // nothing that follows concerns TLS
	tdsOver                     // the server closes
)

type tds struct {
	we      Side
	inside  bool
	phase   tdsPhase
	client  byte   // what the client says of encryption
	agreed  bool   // TLS comes next; FreeTDS does it when it must, though it has said that it cannot
	version uint32 // of the client's LOGIN7; 0 before TDS 7
}

func newTDS(we Side, inside bool) Speech {
	return crosser{speech{&tds{we: we, inside: inside}, we}}
}

func (t *tds) Pending() bool { return t.phase == tdsAsked }
func (t *tds) Settled() bool { return t.phase == tdsOpen }
func (t *tds) over() bool    { return t.phase == tdsOver }

// cutTDS cuts a packet of one of the types.
func cutTDS(buf []byte, types ...byte) (payload []byte, n int, err error) {
	known := false
	for _, t := range types {
		known = known || buf[0] == t
	}
	if !known {
		return nil, 0, noise("a packet of type 0x%02x", buf[0])
	}
	if len(buf) < 4 {
		return nil, 0, nil
	}
	n = int(binary.BigEndian.Uint16(buf[2:]))
	if n <= tdsHeader || n > tdsMaxPacket {
		return nil, 0, noise("a packet of %d bytes before login", n)
	}
	if len(buf) < n {
		return nil, 0, nil
	}
	return buf[tdsHeader:n], n, nil
}

// request cuts the client's packet. A login ends our interest, inside TLS or in the clear; it may go on
// in further packets.
func (t *tds) request(buf []byte) (Message, int, error) {
	switch t.phase {
	case tdsOpen:
		return Message{Kind: Secret}, 1, nil
	case tdsStart, tdsAnswered:
	default:
		return Message{}, 0, noise("the client speaks out of turn")
	}
	payload, n, err := cutTDS(buf, tdsPrelogin, tdsLogin7, tdsLogin4)
	switch {
	case n == 0 || err != nil:
		return Message{}, 0, err
	case buf[0] != tdsPrelogin:
		return t.login(buf[0], payload), n, nil
	case t.phase == tdsStart:
		return t.asked(buf[1], payload, n)
	case payload[0] != recordHandshake || t.inside:
		return Message{}, 0, noise("a second PRELOGIN")
	}
	// The ClientHello, or its beginning. It is shown as the upgrade that it amounts to, and is the
	// handshake's to read.
	m := Message{Kind: Upgrade}
	if !t.agreed {
		m.Why = NotNow
	}
	t.phase = tdsReady
	return m, n, nil
}

// recordHandshake is the first byte of every TLS connection (RFC 8446 §5.1).
const recordHandshake = 0x16

func (t *tds) login(kind byte, payload []byte) Message {
	m := Message{Kind: Secret}
	if t.agreed && !t.inside {
		m.Why = TLSRequired // it has said that TLS would follow
	}
	if t.phase = tdsOpen; kind == tdsLogin7 && len(payload) >= 8 {
		t.version = binary.LittleEndian.Uint32(payload[4:])
	}
	return m
}

func (t *tds) asked(status byte, payload []byte, n int) (Message, int, error) {
	options, err := readPrelogin(payload)
	if err != nil {
		return Message{}, 0, err
	}
	if status&tdsLast == 0 {
		return Message{}, 0, noise("a PRELOGIN of many packets")
	}
	t.phase, t.client = tdsAsked, encryption(options)
	return Message{Kind: Ask}, n, nil
}

// reply cuts the server's PRELOGIN. Unpatched servers of 2000 do not mark it as the last packet.
func (t *tds) reply(buf []byte) (Message, int, error) {
	switch t.phase {
	case tdsOpen:
		return Message{}, 1, nil
	case tdsAsked:
	default:
		return Message{}, 0, noise("the server speaks out of turn")
	}
	payload, n, err := cutTDS(buf, tdsResponse)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	if payload[0] == tdsErrorToken {
		t.phase = tdsOver
		return Message{Kind: No, Re: Ask, Text: tdsError(payload)}, n, nil
	}
	options, err := readPrelogin(payload)
	if err != nil {
		return Message{}, 0, err
	}
	m := Message{Kind: Caps, Re: Ask, Offer: t.offered(encryption(options))}
	t.phase, t.agreed = tdsAnswered, m.Offer != Unsaid
	return m, n, nil
}

// offered says what a server's ENCRYPTION is to this client.
func (t *tds) offered(server byte) Offer {
	switch {
	case server == tdsReq:
		return Required
	case server == tdsNotSup || t.client == tdsNotSup:
		return Unsaid
	}
	return Offered
}
