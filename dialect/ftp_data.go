package dialect

import (
	"fmt"
	"strconv"
	"strings"
)

// An FTPAddr is where an FTP peer waits for a data connection.
type FTPAddr struct {
	// Host is an IP address as the peer wrote it, of characters that addresses have; for the caller to
	// parse. A 229 reply has none: it is the address of the control connection.
	Host string
	Port uint16 // never 0
}

// ParsePASV reads a 227 reply, "227 Entering Passive Mode (h1,h2,h3,h4,p1,p2)". What stands around the
// numbers is the server's choice (RFC 1123 §4.1.2.6): they begin with the first digit behind the code.
func ParsePASV(reply string) (FTPAddr, bool) {
	text, ok := strings.CutPrefix(reply, "227 ")
	if !ok {
		return FTPAddr{}, false
	}
	text = text[max(0, strings.IndexAny(text, "0123456789")):]
	if end := strings.IndexFunc(text, func(r rune) bool { return r != ',' && (r < '0' || r > '9') }); end >= 0 {
		text = text[:end]
	}
	return ParsePORT(text)
}

// ParsePORT reads the argument of PORT (RFC 959 §4.1.2): six numbers, without leading zeros.
func ParsePORT(arg string) (a FTPAddr, ok bool) {
	parts := strings.Split(arg, ",")
	if len(parts) != 6 {
		return FTPAddr{}, false
	}
	var n [6]uint16
	for i, part := range parts {
		b, err := strconv.ParseUint(part, 10, 8)
		if err != nil || part[0] == '+' || part[0] == '0' && part != "0" {
			return FTPAddr{}, false
		}
		n[i] = uint16(b)
	}
	a = FTPAddr{Host: strings.Join(parts[:4], "."), Port: n[4]<<8 | n[5]}
	return a, a.Port != 0
}

// ParseEPSV reads a 229 reply, "229 Entering Extended Passive Mode (|||port|)" (RFC 2428 §3).
func ParseEPSV(reply string) (FTPAddr, bool) {
	if !strings.HasPrefix(reply, "229 ") {
		return FTPAddr{}, false
	}
	from, to := strings.LastIndexByte(reply, '('), strings.LastIndexByte(reply, ')')
	if from < 0 || to < from {
		return FTPAddr{}, false
	}
	part, ok := splitEPRT(reply[from+1 : to])
	if !ok || part[0] != "" || part[1] != "" {
		return FTPAddr{}, false
	}
	port, ok := dataPort(part[2])
	return FTPAddr{Port: port}, ok
}

// ParseEPRT reads the argument of EPRT, "|1|132.235.1.2|6275|" or "|2|1080::8:800:200C:417A|5282|"
// (RFC 2428 §2).
func ParseEPRT(arg string) (FTPAddr, bool) {
	part, ok := splitEPRT(arg)
	if !ok || len(part[1]) < 2 || len(part[1]) > 45 {
		return FTPAddr{}, false
	}
	chars := map[string]string{"1": "0123456789.", "2": "0123456789abcdefABCDEF:."}[part[0]]
	if chars == "" || strings.Trim(part[1], chars) != "" || (part[0] == "2") != strings.Contains(part[1], ":") {
		return FTPAddr{}, false
	}
	port, ok := dataPort(part[2])
	return FTPAddr{Host: part[1], Port: port}, ok
}

// splitEPRT splits what stands between four delimiters, of whatever printable character they are.
func splitEPRT(arg string) (part [3]string, ok bool) {
	if len(arg) < 4 || arg[0] < '!' || arg[0] > '~' || '0' <= arg[0] && arg[0] <= '9' {
		return part, false
	}
	all := strings.Split(arg, arg[:1])
	if len(all) != 5 || all[4] != "" {
		return part, false
	}
	return [3]string(all[1:4]), true
}

// dataPort reads a port, without sign and leading zeros.
func dataPort(digits string) (uint16, bool) {
	port, err := strconv.ParseUint(digits, 10, 16)
	return uint16(port), err == nil && digits[0] > '0'
}

// SayPASV returns a 227 reply. Host must be an IPv4 address.
func SayPASV(a FTPAddr) string {
	return "227 Entering Passive Mode (" + numbers(a) + ").\r\n"
}

// SayPORT returns the command PORT. Host must be an IPv4 address.
func SayPORT(a FTPAddr) string { return "PORT " + numbers(a) + "\r\n" }

func numbers(a FTPAddr) string {
	return fmt.Sprintf("%s,%d,%d", strings.ReplaceAll(a.Host, ".", ","), a.Port>>8, a.Port&0xff)
}

// SayEPSV returns a 229 reply.
func SayEPSV(port uint16) string {
	return fmt.Sprintf("229 Entering Extended Passive Mode (|||%d|)\r\n", port)
}

// SayEPRT returns the command EPRT.
func SayEPRT(a FTPAddr) string {
	family := 1
	if strings.Contains(a.Host, ":") {
		family = 2
	}
	return fmt.Sprintf("EPRT |%d|%s|%d|\r\n", family, a.Host, a.Port)
}
