//go:build linux

package main

import (
	"encoding/hex"
	"fmt"
)

// ldapScript binds anew in each round, and asks who that was.
var ldapScript = script{
	round: wires("30 16 02 01 01 60 11 02 01 03 04 08 '"+mark+"' 80 02 'pw'", "30 0c 02 01 01 61 07 0a 01 00 04 00 04 00",
		"30 1e 02 01 02 77 19 80 17 '1.3.6.1.4.1.4203.1.11.3'", "30 19 02 01 02 78 14 0a 01 00 04 00 04 00 8b 0b 'dn:"+mark+"'"),
	bye: wires("30 05 02 01 03 42 00", ""),
}

var postgresScript = script{
	open:  wires("00 00 00 12 00 03 00 00 'user' 00 'joe' 00 00", "'R…Z' 00 00 00 05 'I'"),
	round: wires("'Q' 00 00 00 0d '"+mark+"' 00", "'T…starttls try-out: "+mark+"…Z' 00 00 00 05 'I'"),
	bye:   wires("'X' 00 00 00 04", ""),
}

// mysqlScript logs in with the packet behind the one that has asked for TLS.
var mysqlScript = script{
	open: wires("3d 00 00 02 01 8a 08 00 00 00 00 01 2d"+zeros(23)+"'joe' 00 02 'pw' 'mysql_native_password' 00",
		"07 00 00 03 00 00 00 02 00 00 00"),
	round: wires("09 00 00 00 03 '"+mark+"'", "01 00 00 01 01 '…starttls try-out: "+mark+"' 05 00 00 05 fe 00 00 02 00"),
	bye:   wires("01 00 00 00 01", ""),
}

// nbdScript reads 4096 bytes in each round.
var nbdScript = script{
	open: wires("'IHAVEOPT' 00 00 00 07 00 00 00 06"+zeros(6), "00 03 e8 89 04 55 65 a9 00 00 00 07 '…'"+
		"00 03 e8 89 04 55 65 a9 00 00 00 07 00 00 00 01 00 00 00 00"),
	round: []step{{say: bytesOf("25 60 95 13 00 00 00 00 '" + mark + "'" + zeros(8) + "00 00 10 00"), hear: bytesOf("67 44 66 98 00 00 00 00 '" + mark + "'"), more: 4096}},
	bye:   wires("25 60 95 13 00 00 00 02"+zeros(20), ""),
}

// amqpScript begins and ends a session on channel 3 in each round.
var amqpScript = script{
	open: wires("'AMQP' 03 01 00 00"+amqpFrame("01 00 00", "41", "02 a3 05 'PLAIN' a0 07 00 'joe' 00 'pw'"),
		"'AMQP' 03 01 00 00 '…'"+amqpFrame("01 00 00", "44", "01 50 00"),
		"'AMQP' 00 01 00 00"+amqpFrame("00 00 00", "10", "01 a1 01 'x'"), "'AMQP' 00 01 00 00 '…' 70 00 09 27 c0"),
	round: wires(amqpFrame("00 00 03", "11", "00"), amqpFrame("00 00 03", "11", "04 60 00 03 43 52 ff 52 ff"),
		amqpFrame("00 00 03", "17", "00"), amqpFrame("00 00 03", "17", "00")),
	bye: wires(amqpFrame("00 00 00", "18", "00"), amqpFrame("00 00 00", "18", "00")),
}

// amqpFrame is a frame of a type and channel, with what follows the size of the list in it.
func amqpFrame(head, descriptor, list string) string {
	n := len(bytesOf(list))
	return fmt.Sprintf("00 00 00 %02x 02 %s 00 53 %s c0 %02x", 13+n, head, descriptor, n) + list
}

var tdsScript = script{
	open: wires("10 00 00 10 00 00 01 00 64 00 00 00 04 00 00 74"+tdsPacket("10", zeros(32)+"5e 00 03 00"+zeros(50)+wideHex("joe")),
		"04 01 '…'"+wideHex("starttls try-out")+"10 00 00 00 fd"+zeros(12)),
	round: wires(tdsPacket("01", "04 00 00 00"+wideHex(mark)), "04 01 '…'"+wideHex("starttls try-out: "+mark)+"fd 10 00 00 00 01"+zeros(7)),
}

func tdsPacket(kind, body string) string {
	return fmt.Sprintf("%s 01 %04x 00 00 01 00", kind, 8+len(bytesOf(body))) + body
}

// vncScript looks at the whole picture in each round.
var vncScript = script{
	open: wires("01", "00 00 00 00 00 40 00 30 '…starttls try-out'"),
	round: []step{{say: bytesOf("03 00 00 00 00 00 00 40 00 30"), hear: bytesOf("00 00 00 01 00 00 00 00 00 40 00 30 00 00 00 00"),
		more: 64 * 48 * 4}},
}

// rdpScript goes on to join, upon which the server hangs up.
var rdpScript = script{
	bye: []step{{say: bytesOf("03 00 00 09 02 f0 80 7f 65"), hear: bytesOf("03 00 00 0b 06 80"), more: 5}},
}

func zeros(n int) string         { return hex.EncodeToString(make([]byte, n)) }
func wideHex(text string) string { return hex.EncodeToString([]byte(wide(text))) }
