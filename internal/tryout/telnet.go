package tryout

import (
	"bufio"
)

// telnet echoes lines to whoever has said a name, and knows no option (RFC 854).
var telnet = protocol{"telnet", func(s *session) error {
	return (&telnetConn{session: s}).serve()
}, "Line too long."}

// Commands (RFC 854).
const (
	telnetSE   = 240
	telnetSB   = 250
	telnetWILL = 251
	telnetWONT = 252
	telnetDO   = 253
	telnetDONT = 254
	telnetIAC  = 255
)

type telnetConn struct{ *session }

func (c *telnetConn) serve() error {
	c.say("%s starttls try-out server: any name, and \"logout\" to leave", c.name())
	name := ""
	for name == "" {
		c.w.WriteString("login: ")
		line, err := c.typed()
		if err != nil {
			return err
		}
		name = line
	}
	c.tell("%s logged in", name)
	c.say("Welcome.")
	for {
		c.w.WriteString("> ")
		line, err := c.typed()
		if err != nil {
			return err
		}
		if line == "logout" {
			c.say("Bye.")
			return nil
		}
		c.say("%s", echoed(line))
	}
}

// typed reads a line without what does not print, and without the commands in it. A line ends in CR LF,
// CR NUL or, from those who know no better, LF.
func (c *telnetConn) typed() (string, error) {
	var line []byte
	for last := byte(0); ; {
		b, err := c.r.ReadByte()
		switch {
		case err != nil:
			return "", err
		case b == telnetIAC:
			if err := c.option(); err != nil {
				return "", err
			}
		case b == '\n', b == 0 && last == '\r':
			return string(line), nil
		case b >= ' ' && b != 0x7f:
			if line = append(line, b); len(line) > lineLimit {
				return "", bufio.ErrBufferFull
			}
		}
		last = b
	}
}

// option reads a command behind IAC, and declines what it asks for.
func (c *telnetConn) option() error {
	verb, err := c.r.ReadByte()
	if err != nil || verb < telnetSB || verb == telnetIAC {
		return err
	}
	what, err := c.r.ReadByte()
	switch {
	case err != nil:
		return err
	case verb == telnetWILL:
		c.w.Write([]byte{telnetIAC, telnetDONT, what})
	case verb == telnetDO:
		c.w.Write([]byte{telnetIAC, telnetWONT, what})
	case verb == telnetSB:
		return c.skip()
	}
	return nil
}

// skip reads to the end of an option's words.
func (c *telnetConn) skip() error {
	for size, last := 0, byte(0); size < lineLimit; size++ {
		b, err := c.r.ReadByte()
		switch {
		case err != nil:
			return err
		case last == telnetIAC && b == telnetSE:
			return nil
		case last == telnetIAC:
			b = 0 // IAC IAC is one byte of it
		}
		last = b
	}
	return bufio.ErrBufferFull
}
