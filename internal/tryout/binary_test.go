package tryout

import (
	"fmt"
	"strings"
	"testing"
)

var binaryWires = []wire{
	{"amqp", "login, and a session", "'AMQP' 03 01 00 00" +
		amqpSays("01 00 00", "41", "02 a3 05 'PLAIN' a0 07 00 'joe' 00 'pw'") + "'AMQP' 00 01 00 00" +
		amqpSays("00 00 00", "10", "01 a1 01 'x'") + amqpSays("00 00 03", "11", "00") + "00 00 00 08 02 00 00 00" +
		"00 00 00 17 02 00 00 03 00 80 00 00 00 00 00 00 00 17 d0 00 00 00 00" + amqpSays("00 00 00", "18", "00") + "'more'",
		amqpMechanismsSaid + amqpSays("01 00 00", "44", "01 50 00") + "'AMQP' 00 01 00 00" +
			amqpSays("00 00 00", "10", "05 a1 08 'try.test' 40 70 00 01 00 00 60 ff ff 70 00 09 27 c0") +
			amqpSays("00 00 03", "11", "04 60 00 03 43 52 ff 52 ff") + "00 00 00 08 02 00 00 00" +
			amqpSays("00 00 03", "17", "00") + amqpSays("00 00 00", "18", "00"), "joe logged in\n"},
	{"amqp", "a message in two pieces, a settled one, and none to have", amqpInSession +
		amqpSays("00 00 00", "12", "07 a1 01 'l' 43 42 50 00 40 00 53 28 45 00 53 29 c0 04 01 a1 01 'q'") +
		amqpSays("00 00 00", "14", "06 43 52 07 a0 01 't' 43 42 41") + amqpSays("00 00 00", "14", "01 43") +
		amqpSays("00 00 00", "14", "05 43 70 00 00 00 08 a0 01 't' 43 41") +
		amqpSays("00 00 00", "13", "00") + amqpSays("00 00 00", "12", "03 a1 01 'r' 52 01 41") + amqpSays("00 00 00", "16", "01 43"),
		amqpInSessionSaid +
			amqpSays("00 00 00", "12", "07 a1 01 'l' 43 41 50 00 40 00 53 28 45 00 53 29 c0 04 01 a1 01 'q'") + amqpFlows("05", "00") +
			amqpFlows("06", "00") + amqpSays("00 00 00", "15", "05 41 52 07 40 41 00 53 24 45") + amqpFlows("07", "01") + amqpFlows("08", "02") +
			amqpSays("00 00 00", "12", "0a a1 01 'r' 52 01 42 40 40 40 40 40 40 43") + amqpSays("00 00 00", "16", "02 43 41"), ""},
	{"amqp", "a link without a session", amqpInSession + amqpSays("00 00 01", "12", "02 a1 01 'l' 43"), amqpInSessionSaid, ""},
	{"amqp", "a link without a handle", amqpInSession + amqpSays("00 00 00", "12", "01 a1 01 'l'"), amqpInSessionSaid, ""},
	{"amqp", "the same handle twice", amqpInSession + amqpSays("00 00 00", "12", "03 a1 01 'l' 43 41") + amqpSays("00 00 00", "12", "03 a1 01 'l' 43 41"),
		amqpInSessionSaid + amqpSays("00 00 00", "12", "0a a1 01 'l' 43 42 40 40 40 40 40 40 43"), ""},
	{"amqp", "a message for no link", amqpInSession + amqpSays("00 00 00", "14", "02 43 43"), amqpInSessionSaid, ""},
	{"amqp", "a message without a number", amqpInSession + amqpSays("00 00 00", "12", "03 a1 01 'l' 43 42") + amqpSays("00 00 00", "14", "01 43") + "00 53 75 43",
		amqpInSessionSaid + amqpSays("00 00 00", "12", "07 a1 01 'l' 43 41 40 40 40 40") + amqpFlows("05", "00"), ""},
	{"amqp", "the end of no link", amqpInSession + amqpSays("00 00 00", "16", "01 43"), amqpInSessionSaid, ""},
	{"amqp", "anonymous", "'AMQP' 03 01 00 00" + amqpSays("01 00 00", "41", "01 b3 00 00 00 09 'ANONYMOUS'"),
		amqpMechanismsSaid + amqpSays("01 00 00", "44", "01 50 00"), ""},
	{"amqp", "no such login", "'AMQP' 03 01 00 00" + amqpSays("01 00 00", "41", "01 a3 05 'PLAIN'") + "'AMQP' 00 01 00 00",
		amqpMechanismsSaid + amqpSays("01 00 00", "44", "01 50 01"), ""},
	{"amqp", "no login, and a session too early", "'AMQP' 00 01 00 00" + amqpSays("00 00 00", "11", "00") + amqpSays("00 00 00", "10", "00"), "'AMQP' 00 01 00 00", ""},
	{"amqp", "0-9-1", "'AMQP' 00 00 09 01", "'AMQP' 00 01 00 00", ""},
	{"amqp", "long frame", "'AMQP' 00 01 00 00 00 01 00 01 02 00 00 00", "'AMQP' 00 01 00 00", ""},
	{"amqp", "frame without room for its head", "'AMQP' 00 01 00 00 00 00 00 08 03 00 00 00", "'AMQP' 00 01 00 00", ""},

	{"tds", "login in two packets, a batch", tdsSays("12", "00 00 06 00 06 ff 09 00 00 00 00 00") + tdsJoe("04 00 00 74") +
		tdsSays("01", "04 00 00 00 'x' 00 'y' 00") + tdsSays("01", "04 00 00 00 's' 00 'e' 00 't' 00"),
		tdsHelloSaid + tdsWelcome("74 00 00 04") + "04 01 00 5e 00 00 01 00" +
			"81 01 00 00 00 00 00 00 00 e7 40 1f 09 04 d0 00 34 06" + wideOf("answer") + "d1 28 00" + wideOf("starttls try-out: xy") +
			"fd 10 00 00 00 01 00 00 00 00 00 00 00" + "04 01 00 15 00 00 01 00" + tdsDoneSaid("00"), "joe logged in\n"},
	{"tds", "no greeting, what is not known, attention", tdsJoe("03 00 0b 73") + tdsSays("03", "00") + tdsSays("06", "") + tdsSays("01", "05 00 00 00") + tdsSays("55", "00"),
		tdsWelcome("73 0b 00 03") + tdsFails("the try-out server knows only batches") + "04 01 00 15 00 00 01 00" + tdsDoneSaid("20") + tdsFails("malformed batch"), "joe logged in\n"},
	{"tds", "newer", tdsJoe("00 00 00 75"), tdsWelcome("74 00 00 04"), "joe logged in\n"},
	{"tds", "older", tdsJoe("01 00 00 71"), "", ""},
	{"tds", "batch before the login", tdsSays("01", "04 00 00 00 'x' 00"), "", ""},
	{"tds", "endless packets", "01 00 00 08 00 00 00 00 01 01 00 08 00 00 00 00", "", ""},

	{"rdp", "connects, and is sent away", "03 00 00 13 0e e0 00 00 12 34 00 01 00 08 00 00 00 00 00" + "03 00 00 09 02 f0 80 7f 65" + "'more'",
		"03 00 00 0b 06 d0 12 34 00 01 00" + "03 00 00 0b 06 80 12 34 00 01 80", ""},
	{"rdp", "data before the request", "03 00 00 09 02 f0 80 7f 65", "", ""},
	{"rdp", "another request", "03 00 00 0b 06 e0 00 00 12 34 00" + "03 00 00 0b 06 e0 00 00 12 34 00", "03 00 00 0b 06 d0 12 34 00 01 00", ""},
	{"rdp", "short", "03 00 00 06 06 e0", "", ""},

	{"vnc", "3.8", "'RFB 003.008' 0a 01 01" + "00 00 00 00 10 10 01 01 00 1f 00 3f 00 1f 0b 05 00 00 00 00" + "02 00 00 01 00 00 00 00" +
		"04 01 00 00 00 00 00 'x'" + "05 00 00 00 00 00" + "06 00 00 00 00 00 00 02 'ab'" +
		"03 01 00 3f 00 2f 00 09 00 09" + "03 01 00 00 00 00 00 09 00 09" + "03 00 ff ff ff ff ff ff ff ff" + "09",
		vncHello + "01 01 00 00 00 00" + vncScreen + "00 00 00 01 00 3f 00 2f 00 01 00 01 00 00 00 00" + "f7 af" +
			"00 00 00 01 00 40 00 30 00 00 00 00 00 00 00 00", ""},
	{"vnc", "3.7, bytes", "'RFB 003.007' 0a 01 01" + "00 00 00 00 08 08 00 01 00 07 00 07 00 03 00 03 06 00 00 00" + "03 00 00 00 00 00 00 01 00 02",
		vncHello + "01 01" + vncScreen + "00 00 00 01 00 00 00 00 00 01 00 02 00 00 00 00" + "40 40", ""},
	{"vnc", "3.3", "'RFB 003.003' 0a 00" + "03 00 00 20 00 18 00 01 00 01",
		vncHello + "00 00 00 01" + vncScreen + "00 00 00 01 00 20 00 18 00 01 00 01 00 00 00 00" + "80 7f 7f 00", ""},
	{"vnc", "another security", "'RFB 003.008' 0a 02 01", vncHello + "01 01", ""},
	{"vnc", "another version", "'RFB 004.001' 0a 01 01", vncHello, ""},
	{"vnc", "pixels of no size", "'RFB 003.003' 0a 00" + "00 00 00 00 18" + strings.Repeat("00", 15) + "03 00 00 20 00 18 00 01 00 01", vncHello + "00 00 00 01" + vncScreen, ""},
	{"vnc", "long clipboard", "'RFB 003.003' 0a 00" + "06 00 00 00 ff ff ff ff", vncHello + "00 00 00 01" + vncScreen, ""},
}

const (
	amqpMechanismsSaid = "'AMQP' 03 01 00 00 00 00 00 22 02 01 00 00 00 53 40 c0 15 01 e0 12 02 a3 09 'ANONYMOUS' 05 'PLAIN'"
	tdsHelloSaid       = "04 01 00 1a 00 00 01 00 00 00 0b 00 06 01 00 11 00 01 ff 10 00 00 00 00 00 02"
	vncHello           = "'RFB 003.008' 0a"
	vncScreen          = "00 40 00 30 20 18 00 01 00 ff 00 ff 00 ff 10 08 00 00 00 00 00 00 00 10 'starttls try-out'"
)

// A session on channel 0, in which the client's next transfer is number 5.
var (
	amqpInSession     = "'AMQP' 00 01 00 00" + amqpSays("00 00 00", "10", "01 a1 01 'x'") + amqpSays("00 00 00", "11", "02 40 52 05")
	amqpInSessionSaid = "'AMQP' 00 01 00 00" + amqpSays("00 00 00", "10", "05 a1 08 'try.test' 40 70 00 01 00 00 60 ff ff 70 00 09 27 c0") +
		amqpSays("00 00 00", "11", "04 60 00 00 43 52 ff 52 ff")
)

// amqpFlows is what the server says after each transfer on the link 0.
func amqpFlows(next, count string) string {
	return amqpSays("00 00 00", "13", "07 70 00 00 00 "+next+" 52 ff 43 52 ff 43 70 00 00 00 "+count+" 70 00 00 00 64")
}

// amqpSays is a frame of a type and channel, with what follows the size of the list in it.
func amqpSays(head, descriptor, list string) string {
	n := len(bytesOf(list))
	return fmt.Sprintf("00 00 00 %02x 02 %s 00 53 %s c0 %02x", 13+n, head, descriptor, n) + list
}

func wideOf(text string) string { return fmt.Sprintf("%x", tdsWide(text)) }

func tdsSays(kind, body string) string {
	return fmt.Sprintf("%s 01 %04x 00 00 01 00", kind, 8+len(bytesOf(body))) + body
}

// tdsJoe is a login of joe, in two packets.
func tdsJoe(version string) string {
	return "10 00 00 10 00 00 01 00 64 00 00 00" + version +
		tdsSays("10", strings.Repeat("00", 32)+"5e 00 03 00"+strings.Repeat("00", 50)+wideOf("joe"))
}

func tdsDoneSaid(status string) string { return "fd" + status + strings.Repeat("00", 11) }

func tdsWelcome(version string) string {
	return tdsSays("04", "e3 09 00 01 03"+wideOf("try")+"00"+"e3 08 00 07 05 09 04 d0 00 34 00"+
		"e3 13 00 04 04"+wideOf("4096")+"04"+wideOf("4096")+"ad 2a 00 01"+version+"10"+wideOf("starttls try-out")+"10 00 00 00"+tdsDoneSaid("00"))
}

func tdsFails(text string) string {
	return tdsSays("04", fmt.Sprintf("aa %02x 00 50 c3 00 00 01 10 %02x 00", 14+2*len(text), len(text))+wideOf(text)+"00 00 01 00 00 00"+tdsDoneSaid("02"))
}

func TestTDSAnswersFitInAPacket(t *testing.T) {
	s, _ := newServer(t, "tds")
	query := strings.Repeat("é", 20000)
	packet := func(status, text string) string {
		n := len(text) + 8
		return "\x01" + status + string([]byte{byte(n >> 8), byte(n)}) + "\x00\x00\x01\x00" + text
	}
	wide := tdsWide(query)
	heard := converse(t, s, bytesOf(tdsJoe("04 00 00 74"))+packet("\x00", "\x04\x00\x00\x00"+wide[:20000])+packet("\x01", wide[20000:]))
	answer := heard[len(bytesOf(tdsWelcome("74 00 00 04"))):]
	if n := int(answer[2])<<8 | int(answer[3]); n != len(answer) || n > 4096 {
		t.Errorf("%d bytes in a packet of %d", len(answer), n)
	}
}
