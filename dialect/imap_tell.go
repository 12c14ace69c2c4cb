package dialect

// tell says who the client is in fields of ID (RFC 2971) that Dovecot takes before a login, and from its
// login_trusted_networks alone. Whether we are of those it does not say: to others it answers the same.
func (s *imap) tell(w Who) (Message, bool) {
	fields := ""
	for _, f := range [][2]string{
		{"x-originating-ip", w.Addr}, {"x-originating-port", w.Port}, {"x-connected-ip", w.ToAddr}, {"x-connected-port", w.ToPort},
	} {
		if f[1] != "" {
			fields += " " + quote(f[0]) + " " + quote(f[1])
		}
	}
	if !s.id || fields == "" {
		return Message{}, false
	}
	return Message{Raw: s.ask(nil, "", "ID ("+fields[1:]+")")}, true
}

func (s *imap) guard() { s.guarded = true }

// pass takes the fields out of a client's own ID. One with a literal, or where a command of its own could be
// seen in a literal, is not passed on.
func (s *imap) pass(m Message) (Message, bool) {
	if !saysWord(m.Raw, 1, "ID") {
		return m, true
	}
	if s.more || m.Kind != Other || !legalTag(m.Tag) {
		return m, false
	}
	m.Raw = []byte(m.Tag + " ID NIL\r\n")
	return m, true
}
