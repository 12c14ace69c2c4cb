package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"starttls"
)

// What a client may make of hostility.
var (
	notOffered = []error{starttls.ErrNotOffered}
	refused    = []error{starttls.ErrRefused}
	injected   = []error{starttls.ErrInjected}
	afterwards = []error{starttls.ErrInjected, starttls.ErrTLS} // in a segment of its own
	tlsFails   = []error{starttls.ErrTLS}
	noise      = []error{starttls.ErrNoise}
	tooLong    = []error{starttls.ErrTooLong, starttls.ErrNoise}
	silence    = []error{context.DeadlineExceeded}
	anything   = []error{starttls.ErrRefused, starttls.ErrNoise, starttls.ErrNotOffered, starttls.ErrTLS, context.DeadlineExceeded}
)

func crooks() []crook {
	return slices.Concat(imapCrooks(), imapTampering(), pop3Crooks, smtpCrooks(), ldapCrooks, otherCrooks, slowCrooks())
}

const (
	imapHi   = "* OK imap.test ready\r\n"
	imapCaps = "* CAPABILITY IMAP4rev1 STARTTLS\r\n$ OK\r\n"
	imapGo   = "$ OK go\r\n"
)

func imapCrooks() []crook {
	all := []crook{
		{"O_1", "imap", []string{imapHi, "<", "* CAPABILITY IMAP4rev1\r\n$ OK\r\n"}, notOffered, true},
		{"O_2", "imap", []string{imapHi, "<", imapCaps, "<", "$ NO do not begin TLS now\r\n"}, refused, true},
		{"O_3", "imap", []string{imapHi, "<", imapCaps, "<", "$ BAD evil\r\n"}, refused, true},
		{"O_4", "imap", []string{imapHi, "<", imapCaps, "<", "+ continue with something.\r\n"}, refused, true},
		{"D_1 hidden", "imap", []string{imapHi, "<", "$ BAD evil\r\n"}, refused, true},
		{"D_1 unanswered", "imap", []string{imapHi}, silence, false},
		{"D_2", "imap", []string{"* OK [CAPABILITY IMAP4] hi\r\n", "<", "* CAPABILITY IMAP4\r\n$ OK\r\n"}, notOffered, true},
		{"D_3", "imap", []string{imapHi, "<", "* CAPABILITY IMAP4\r\n$ OK\r\n"}, notOffered, true},
		{"P", "imap", []string{"* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] evil\r\n"}, refused, false},
		{"P_1", "imap", []string{"* PREAUTH evil\r\n"}, refused, false},
		{"P_2", "imap", []string{"* PREAUTH [CAPABILITY IMAP4rev1 AUTH=PLAIN] evil\r\n"}, refused, false},
		{"P_3", "imap", []string{"* PREAUTH [CAPABILITY IMAP4rev1 AUTH=PLAIN STARTTLS] evil\r\n"}, refused, false},
		{"P_4", "imap", []string{"* PREAUTH evil\r\n* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\n"}, refused, false},
		{"B_1", "imap", []string{imapHi, "<", imapCaps, "<", imapGo + "* CAPABILITY IMAP4rev1 evil\r\ns3 OK evil\r\nprobe OK NOOP\r\n", "tls"}, injected, false},
		{"B_1 apart", "imap", []string{imapHi, "<", imapCaps, "<", imapGo, "* CAPABILITY IMAP4rev1 evil\r\ns3 OK evil\r\n", "tls"}, afterwards, false},
		{"B_2", "imap", []string{imapHi, "<", imapCaps, "<", "* OK [ALERT] evil\r\n" + imapGo + "* OK [ALERT] evil\r\n", "tls"}, injected, false},
		{"B_3", "imap", []string{imapHi, "<", imapCaps, "<", imapGo + "* BYE evil\r\n", "tls"}, injected, false},
		{"B a CRLF too many", "imap", []string{imapHi, "<", imapCaps, "<", imapGo + "\r\n", "tls"}, injected, false},
		{"junk for a greeting", "imap", []string{"evil\r\n"}, noise, false},
		{"junk, then OK", "imap", []string{"evil\r\n" + imapHi}, noise, false},
		{"junk, junk, then OK", "imap", []string{"evil\r\nevil\r\n" + imapHi}, noise, false},
		{"a tagged greeting", "imap", []string{"s1 OK evil\r\n"}, noise, false},
		{"a greeting with the next answers", "imap", []string{imapHi + "* CAPABILITY IMAP4rev1 STARTTLS\r\ns1 OK\r\ns2 OK evil\r\n", "<"}, noise, false},
		{"reorder", "imap", []string{imapHi, "<", imapCaps + "s2 OK begin TLS now\r\nu OK begin TLS now\r\n", "<", "tls"}, noise, false},
		{"another's answer", "imap", []string{imapHi, "<", imapCaps, "<", "evil OK go\r\n"}, noise, false},
		{"OK without a transition", "imap", []string{imapHi, "<", imapCaps, "<", imapGo, "...", "* BAD evil\r\n"}, tlsFails, false},
		{"UI an alert", "imap", []string{"* OK [ALERT] evil\r\n", "<", imapCaps, "<", "* OK [ALERT] evil\r\n" + imapGo, "tls"}, nil, false},
		{"UI BADCHARSET", "imap", []string{"* OK [BADCHARSET (evil)] evil\r\n", "<", imapCaps, "<", "* NO [ALERT] evil\r\n" + imapGo, "tls"}, nil, false},
		{"REFERRAL", "imap", []string{"* OK [REFERRAL imaps://evil/] evil\r\n", "<", imapCaps, "<", imapGo, "tls"}, nil, false},
		{"IMAPSIEVE", "imap", []string{"* OK [CAPABILITY IMAP4rev1 STARTTLS UTF8=ONLY IMAPSIEVE=sieve://evil] x\r\n", "<", imapGo, "tls"}, nil, false},
	}
	for _, word := range []string{"NO", "BAD", "BYE"} {
		all = append(all, crook{"a greeting with " + word, "imap", []string{"* " + word + " [ALERT] evil\r\n"}, refused, false})
	}
	return all
}

// imapTampering puts what a mailbox would say in two places before TLS.
func imapTampering() (all []crook) {
	for i, data := range []string{
		"* LIST () \"/\" evil\r\n", "* LSUB () \"/\" evil\r\n", "* STATUS evil (MESSAGES 1)\r\n",
		"* STATUS INBOX (MESSAGES 99999999999)\r\n", "* SEARCH 1 2 3\r\n", "* FLAGS (\\Flagged)\r\n", "* 54321 EXISTS\r\n",
		"* 12345 RECENT\r\n", "* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n", "* CAPABILITY IDLE\r\n",
		"* 1 FETCH (BODY[] {28}\r\nSubject: evil\r\n\r\ns2 OK ev\r\n)\r\n",
	} {
		name := fmt.Sprintf("tampering %d ", i+1)
		all = append(all,
			crook{name + "after the greeting", "imap", []string{imapHi + data, "<", imapCaps, "<", imapGo, "tls"}, nil, false},
			crook{name + "before the go-ahead", "imap", []string{imapHi, "<", imapCaps, "<", data + imapGo, "tls"}, nil, false})
	}
	return all
}

const (
	popHi   = "+OK pop.test ready\r\n"
	popCaps = "+OK Capab\r\nSTLS\r\n.\r\n"
)

var pop3Crooks = []crook{
	{"O_1", "pop3", []string{popHi, "<", "+OK Capab\r\nUSER\r\n.\r\n"}, notOffered, true},
	{"O_2", "pop3", []string{popHi, "<", popCaps, "<", "-ERR evil\r\n"}, refused, true},
	{"O_3", "pop3", []string{popHi, "<", "-ERR evil\r\n", "<", "-ERR evil\r\n"}, refused, true},
	{"O_4", "pop3", []string{"+OK evil <1.2@pop.test>\r\n", "<", popCaps, "<", "+OK go\r\n", "tls"}, nil, false},
	{"CAPA fails, STLS does not", "pop3", []string{popHi, "<", "-ERR evil\r\n", "<", "+OK go\r\n", "tls"}, nil, false},
	{"B_1", "pop3", []string{popHi, "<", popCaps, "<", "+OK go\r\n+OK\r\nPLAIN\r\nLOGIN\r\n.\r\n+OK NOOP probe\r\n", "tls"}, injected, false},
	{"B_2", "pop3", []string{popHi, "<", popCaps, "<", "+OK go\r\n\xff\xfe\xfd", "tls"}, injected, false},
	{"B_2 apart", "pop3", []string{popHi, "<", popCaps, "<", "+OK go\r\n", "\xff\xfe\xfdevil", "tls"}, afterwards, false},
	{"a prefix of a greeting", "pop3", []string{"+Do you even care?\r\n"}, noise, false},
	{"a list in the greeting", "pop3", []string{"+OK hi\r\nevil\r\n.\r\n"}, noise, false},
	{"the next answer in the greeting", "pop3", []string{popHi + popCaps + "+OK go\r\n", "<", "<", "tls"}, noise, false},
	{"sys/perm", "pop3", []string{"-ERR [sys/perm] evil\r\n"}, refused, false},
	{"in-use", "pop3", []string{"-ERR [in-use] evil\x1b[31;1;4m\r\n"}, refused, false},
	{"sys/perm for STLS", "pop3", []string{popHi, "<", popCaps, "<", "-ERR [sys/perm] evil\r\n"}, refused, true},
	{"UI an escape", "pop3", []string{"+OK \x1b[31;1;4mevil\r\n", "<", popCaps, "<", "+OK \x1b[31;1;4mevil\r\n", "tls"}, nil, false},
	{"OK without a transition", "pop3", []string{popHi, "<", popCaps, "<", "+OK go\r\n", "...", "-ERR evil\r\n"}, tlsFails, false},
}

const (
	mxHi   = "220 mx.test\r\n"
	mxCaps = "250-x\r\n250 STARTTLS\r\n"
)

func smtpCrooks() []crook {
	all := []crook{
		{"O_1", "smtp", []string{mxHi, "<", "250 x\r\n"}, notOffered, true},
		{"O_2", "smtp", []string{mxHi, "<", mxCaps, "<", "502 evil\r\n"}, refused, true},
		{"O_2", "lmtp", []string{mxHi, "<", mxCaps, "<", "502 evil\r\n"}, refused, true},
		{"D_1", "smtp", []string{mxHi, "<", "500 evil\r\n"}, refused, true},
		{"B_1", "smtp", []string{mxHi, "<", mxCaps, "<", "220 go\r\n250-evil\r\n250 AUTH LOGIN\r\n", "tls"}, injected, false},
		{"B_1", "lmtp", []string{mxHi, "<", mxCaps, "<", "220 go\r\n250-evil\r\n250 AUTH LOGIN\r\n", "tls"}, injected, false},
		{"B_1 apart", "smtp", []string{mxHi, "<", mxCaps, "<", "220 go\r\n", "250-evil\r\n250 AUTH LOGIN\r\n", "tls"}, afterwards, false},
		{"the go-ahead with the capabilities", "smtp", []string{mxHi, "<", mxCaps + "220 go\r\n", "<", "tls"}, anything, false},
		{"220 without a transition", "smtp", []string{mxHi, "<", mxCaps, "<", "220 go\r\n", "...", "250 evil\r\n"}, tlsFails, false},
		{"a go-ahead of two lines", "smtp", []string{mxHi, "<", mxCaps, "<", "220-go\r\n220 ahead\r\n", "tls"}, nil, false},
		{"a go-ahead byte by byte", "smtp", []string{mxHi, "<", mxCaps, "<", "drip:220 go\r\n", "tls"}, nil, false},
		{"a CRLF in two segments", "smtp", []string{"220 x\r", "\n", "<", mxCaps, "<", "220 go\r", "\n", "tls"}, nil, false},
		{"a go-ahead of two codes", "smtp", []string{mxHi, "<", mxCaps, "<", "220-go\r\n250 evil\r\n"}, noise, false},
		{"capabilities empty", "smtp", []string{mxHi, "<", "250\r\n"}, notOffered, true},
		{"capabilities without STARTTLS", "smtp", []string{mxHi, "<", "250-x\r\n250-SIZE\r\n250 AUTH PLAIN\r\n"}, notOffered, true},
	}
	for _, code := range strings.Fields("221 354 421 500 501 530 554") {
		all = append(all, crook{"greeting " + code, "smtp", []string{code + " evil\r\n"}, anything, false})
	}
	for _, code := range strings.Fields("220 221 354 421 500 501 502 504 530 550") {
		all = append(all, crook{"EHLO " + code, "smtp", []string{mxHi, "<", code + " evil\r\n"}, anything, true})
	}
	for _, code := range strings.Fields("200 221 250 354 421 454 500 501 503 530") {
		all = append(all, crook{"STARTTLS " + code, "smtp", []string{mxHi, "<", mxCaps, "<", code + " evil\r\n"}, refused, true})
	}
	return all
}

var ldapOK = ldapMessage(1, ldapResult(0x78, 0))

var ldapCrooks = []crook{
	{"wrong message ID", "ldap", []string{"<", ldapMessage(9, ldapResult(0x78, 0))}, refused, true},
	{"another operation", "ldap", []string{"<", ldapMessage(1, ldapResult(0x61, 0))}, refused, true},
	{"another responseName", "ldap", []string{"<", ldapMessage(1, ldapResult(0x78, 0, tlv(0x8a, "1.2.3.evil")))}, refused, true},
	{"the responseName", "ldap", []string{"<", ldapMessage(1, ldapResult(0x78, 0, tlv(0x8a, startTLSOID))), "tls"}, nil, false},
	{"referral", "ldap", []string{"<", ldapMessage(1, ldapResult(0x78, 10, tlv(0xa3, tlv(0x04, "ldap://evil/"))))}, refused, true},
	{"protocolError", "ldap", []string{"<", ldapMessage(1, ldapResult(0x78, 2))}, refused, true},
	{"unavailable", "ldap", []string{"<", ldapMessage(1, ldapResult(0x78, 52))}, refused, true},
	{"Notice of Disconnection", "ldap", []string{"<", ldapMessage(0, ldapResult(0x78, 52, tlv(0x8a, disconnectOID)))}, refused, false},
	{"long BER", "ldap", []string{"<", "\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00", "tls"}, nil, false},
	{"BER without a length", "ldap", []string{"<", "\x30\x80\x02\x01\x01"}, noise, false},
	{"a gigabyte of BER", "ldap", []string{"<", "\x30\x84\x40\x00\x00\x00\x02\x01\x01"}, noise, false},
	{"text", "ldap", []string{"<", "HTTP/1.1 400 evil\r\n"}, noise, false},
	{"the answer to a bind behind", "ldap", []string{"<", ldapOK + ldap.polite()(ldap.probe), "tls"}, injected, false},
	{"the answer to a bind behind, apart", "ldap", []string{"<", ldapOK, ldap.polite()(ldap.probe), "tls"}, afterwards, false},
	{"success without a transition", "ldap", []string{"<", ldapOK, "...", ldap.polite()(ldap.probe)}, tlsFails, false},
}

var (
	pgEvil    = pgMessage('E', "SFATAL\x00C08P01\x00Mevil\x00\x00")
	mysqlHi   = mysqlGreeting(mysqlSecure)
	mysqlEvil = mysqlPacket(0, "\xff\x15\x04#28000evil")
)

var otherCrooks = []crook{
	{"S and bytes", "postgres", []string{"<", "S" + postgres.polite()(postgres.probe), "tls"}, injected, false},
	{"S and bytes apart", "postgres", []string{"<", "S", postgres.polite()(postgres.probe), "tls"}, afterwards, false},
	{"SN", "postgres", []string{"<", "SN", "tls"}, injected, false},
	{"N", "postgres", []string{"<", "N"}, refused, true},
	{"E and text", "postgres", []string{"<", pgEvil}, refused, false},
	{"E and text of old", "postgres", []string{"<", "Eevil\n\x00"}, refused, false},
	{"G", "postgres", []string{"<", "G", "tls"}, noise, false},
	{"something else", "postgres", []string{"<", "evil", "tls"}, noise, false},
	{"S without a transition", "postgres", []string{"<", "S", "...", pgEvil}, tlsFails, false},
	{"no CLIENT_SSL", "mysql", []string{mysql.greeting}, notOffered, true},
	{"ERR for a greeting", "mysql", []string{mysqlEvil}, refused, false},
	{"protocol version 9", "mysql", []string{mysqlPacket(0, "\x09evil\x00\x01\x00\x00\x00saltsalt\x00")}, refused, false},
	{"OK with the greeting", "mysql", []string{mysqlHi + mysqlPacket(2, "\x00\x00\x00\x02\x00\x00\x00evil"), "<", "tls"}, noise, false},
	{"words after the upgrade", "mysql", []string{mysqlHi, "<", mysqlPacket(2, "\x00\x00\x00\x02\x00\x00\x00evil"), "tls"}, tlsFails, false},
	{"wrong number", "mysql", []string{mysqlPacket(5, mysqlHi[4:])}, noise, false},
	{"text", "mysql", []string{"HTTP/1.1 400 evil\r\n"}, noise, false},
}

// slowCrooks are too long, or too slow.
func slowCrooks() []crook {
	endless := strings.Repeat("a", 3<<20)
	return []crook{
		{"3 MB in a line", "smtp", []string{"220 " + endless + "\r\n", "<"}, tooLong, false},
		{"3 MB in a line", "imap", []string{"* OK " + endless + "\r\n", "<"}, tooLong, false},
		{"3 MB in a line", "pop3", []string{"+OK " + endless + "\r\n", "<"}, tooLong, false},
		{"3 MB of lines", "smtp", []string{mxHi, "<", strings.Repeat("250-evil\r\n", 300_000) + "250 x\r\n", "<"}, tooLong, false},
		{"3 MB of data", "imap", []string{imapHi, "<", strings.Repeat("* LIST () \"/\" evil\r\n", 150_000), "<"}, tooLong, false},
		{"3 MB of error", "postgres", []string{"<", "E" + endless}, tooLong, false},
		{"no greeting", "smtp", nil, silence, false},
		{"no greeting", "imap", nil, silence, false},
		{"no greeting", "mysql", nil, silence, false},
		{"no answer", "postgres", []string{"<"}, silence, false},
		{"no answer", "ldap", []string{"<"}, silence, false},
		{"no handshake", "pop3", []string{popHi, "<", popCaps, "<", "+OK go\r\n", "..."}, silence, false},
		{"no end of a line", "smtp", []string{"220 x"}, silence, false},
	}
}
