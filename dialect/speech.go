package dialect

// A grammar is what a dialect's file writes: how the two sides of its protocol are cut, and its own
// words. Both cutters see every message of their side, whoever read or wrote it, and keep the state.
// They must not change state when they return n == 0.
type grammar interface {
	// request cuts the client's first message off buf.
	request(buf []byte) (m Message, n int, err error)
	// reply cuts the server's first message off buf.
	reply(buf []byte) (m Message, n int, err error)
	// say appends m in words of our own (m.Raw is nil), or m.Raw edited as m asks.
	say(dst []byte, m Message) []byte
	Pending() bool
	Settled() bool
}

// A patcher is a grammar whose messages depend on the leg they travel on (packet numbers). It may
// change the message raw in place before it is said; says is whose words they are.
type patcher interface {
	patch(says Side, raw []byte)
}

// speech makes a Speech of a grammar: Read cuts what the peer says, and Write feeds what we say to
// the other cutter, so that the grammar has heard the whole conversation.
type speech struct {
	grammar
	we Side
}

func (s speech) Read(buf []byte) (Message, int, error) {
	if len(buf) == 0 {
		return Message{}, 0, nil
	}
	m, n, err := s.cut(1-s.we, buf)
	if err != nil || n == 0 {
		return Message{}, 0, err
	}
	m.Raw = buf[:n:n]
	return m, n, nil
}

func (s speech) Write(dst []byte, m Message) []byte {
	at := len(dst)
	if m.Raw != nil && !m.Edited() {
		dst = append(dst, m.Raw...)
	} else {
		dst = s.say(dst, m)
	}
	said := dst[at:]
	if p, ok := s.grammar.(patcher); ok && len(said) > 0 {
		p.patch(s.we, said)
	}
	for len(said) > 0 {
		_, n, err := s.cut(s.we, said)
		if err != nil || n == 0 {
			break
		}
		said = said[n:]
	}
	return dst
}

// Over reports whether the conversation has ended with our refusal: all that is left is to close.
func (s speech) Over() bool {
	o, ok := s.grammar.(interface{ over() bool })
	return ok && o.over()
}

// Owes reports whether an answer may come for which nobody waits, but which a go-ahead must not overtake.
func (s speech) Owes() bool {
	o, ok := s.grammar.(interface{ owes() bool })
	return ok && o.owes()
}

func (s speech) cut(says Side, buf []byte) (Message, int, error) {
	if says == Client {
		return s.request(buf)
	}
	return s.reply(buf)
}
