package tryout

// amqpMost is how many sessions a connection may have, and how many links a session.
const amqpMost = 64

// amqpFields is the most that the fields of an answer take, in bytes: a client takes frames of 512 and
// may take no longer ones (§2.3.1).
const amqpFields = 250

// amqpCredit is how many more messages a client may always send, and amqpWindow, a uint, in how many frames.
const (
	amqpCredit = 100
	amqpWindow = "\x52\xff"
)

// amqpSession is what is known of a session.
type amqpSession struct {
	next  uint32               // the number of the client's next transfer
	links map[string]*amqpLink // by the client's handle, which is ours as well
}

// amqpLink is one on which the client sends, if it does.
type amqpLink struct {
	sends    bool
	count    uint32 // of deliveries
	delivery string // the number of the one that is on its way
}

// inSession answers what is said in a session (§2.6, §2.7).
func (c *amqpConn) inSession(channel uint16, descriptor byte, fields []byte) error {
	s := c.sessions[channel]
	if s == nil {
		return errAMQP
	}
	switch descriptor {
	case amqpAttach:
		return c.attach(channel, s, fields)
	case amqpTransfer:
		return c.transfer(channel, s, fields)
	case amqpDetach:
		handle := amqpField(fields, 0)
		if s.links[handle] == nil {
			return errAMQP
		}
		delete(s.links, handle)
		c.send(amqpFrame, channel, amqpDetach, 2, handle+"\x41")
	}
	return nil
}

// attach makes a link of which we are the other end: name, handle and the other role, all else as the
// client has it. A client that sends is told how much it may.
func (c *amqpConn) attach(channel uint16, s *amqpSession, fields []byte) error {
	name, handle, receives := amqpField(fields, 0), amqpField(fields, 1), amqpTrue(amqpField(fields, 2))
	ends := "" // how deliveries are settled by sender and receiver, source and target
	for i := 3; i <= 6; i++ {
		field := amqpField(fields, i)
		if field == "" {
			field = "\x40"
		}
		ends += field
	}
	_, ok := amqpNumber(handle)
	if !ok || s.links[handle] != nil || len(s.links) >= amqpMost || len(name+handle+ends) > amqpFields-20 {
		return errAMQP
	}
	link := &amqpLink{sends: !receives}
	link.count, _ = amqpNumber(amqpField(fields, 9))
	s.links[handle] = link
	said := name + handle + map[bool]string{true: "\x41", false: "\x42"}[link.sends] + ends
	if !link.sends {
		c.send(amqpFrame, channel, amqpAttach, 10, said+"\x40\x40\x43") // our deliveries are counted from 0
		return nil
	}
	c.send(amqpFrame, channel, amqpAttach, 7, said)
	c.flow(channel, s, handle, link)
	return nil
}

// transfer takes a piece of a message, and accepts it when it is whole.
func (c *amqpConn) transfer(channel uint16, s *amqpSession, fields []byte) error {
	handle := amqpField(fields, 0)
	link := s.links[handle]
	if link == nil || !link.sends {
		return errAMQP
	}
	if delivery := amqpField(fields, 1); delivery != "" && delivery != "\x40" {
		link.delivery = delivery // only the first piece must say it
	}
	s.next++
	if !amqpTrue(amqpField(fields, 5)) { // no more of it follows
		if _, ok := amqpNumber(link.delivery); !ok {
			return errAMQP
		}
		if link.count++; !amqpTrue(amqpField(fields, 4)) {
			// Not settled yet: of the receiver, from this one to it, settled, accepted.
			c.send(amqpFrame, channel, amqpDisposition, 5, "\x41"+link.delivery+"\x40\x41\x00\x53\x24\x45")
		}
		link.delivery = ""
	}
	c.flow(channel, s, handle, link)
	return nil
}

// flow says what we expect next and how much we take: the next transfer and the window, our own of both,
// then of the link the handle, the count and the credit.
func (c *amqpConn) flow(channel uint16, s *amqpSession, handle string, link *amqpLink) {
	c.send(amqpFrame, channel, amqpFlow, 7,
		amqpUint(s.next)+amqpWindow+"\x43"+amqpWindow+handle+amqpUint(link.count)+amqpUint(amqpCredit))
}
