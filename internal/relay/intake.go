package relay

import (
	"bytes"
	"time"
)

// An intake takes the content of a message in and hands it to the deliveries as it comes. What it holds
// is bounded: the header until it has ended, and a window for each next hop.
type intake struct {
	env        *envelope
	deliveries []*delivery
	stall      time.Duration
	limit      int64 // octets that are taken, 0 for no limit

	content     content
	size        int64
	head        []byte        // the header so far
	header      chan struct{} // closed when the rest is known
	known       bool
	tlsOptional bool // it says so
	beyondASCII bool // it is
	hops        int  // how many servers it names
}

func newIntake(env *envelope, deliveries []*delivery, c *Config) *intake {
	in := &intake{env: env, deliveries: deliveries, stall: c.Times.Block, limit: c.MaxSize, header: make(chan struct{})}
	if len(deliveries) > 1 {
		in.stall = c.Times.Stall
	}
	return in
}

// write takes a piece, which is the caller's again afterwards.
func (in *intake) write(p []byte) {
	in.size += int64(len(p))
	if in.env.body != bodyBinary {
		in.content.check(p)
	}
	if in.faulty() {
		in.learn() // nobody need wait for a header
		return
	}
	if in.known {
		in.pass(bytes.Clone(p))
		return
	}
	in.head = append(in.head, p...)
	if end := headerEnd(in.head); end >= 0 || len(in.head) >= maxHeader {
		in.tlsOptional = end >= 0 && end <= maxHeader && tlsOptional(in.head[:end])
		if end < 0 {
			end = len(in.head)
		}
		in.beyondASCII, in.hops = eightBit(in.head[:end]), hops(in.head[:end])
		in.learn()
	}
}

// learn tells that the header is known, or never will be, and lets go of it.
func (in *intake) learn() {
	if in.known {
		return
	}
	in.known = true
	close(in.header)
	if len(in.head) > 0 && !in.faulty() {
		in.pass(in.head)
	}
	in.head = nil
}

// pass hands a piece to every delivery that still takes it. Nobody writes to it anymore.
func (in *intake) pass(piece []byte) {
	if len(piece) == 0 {
		return
	}
	stall := time.NewTimer(in.stall)
	defer stall.Stop()
	for _, d := range in.deliveries {
		d.offer(piece, stall)
	}
}

// faulty reports whether the message must not go out.
func (in *intake) faulty() bool {
	return in.content.fault != "" || in.limit > 0 && in.size > in.limit
}

// end tells the deliveries that nothing follows, and whether the client has ended the message. Only then
// do they end it.
func (in *intake) end(whole bool) {
	if whole && in.env.body != bodyBinary {
		in.content.end()
	}
	if !in.known {
		in.tlsOptional = whole && tlsOptional(in.head) // a message that is all header
		in.beyondASCII, in.hops = eightBit(in.head), hops(in.head)
		in.learn()
	}
	whole = whole && !in.faulty()
	for _, d := range in.deliveries {
		d.committed.Store(whole)
		close(d.feed)
		if !whole {
			d.cancel(errAborted)
		}
	}
}

// verdict is what the client is told of content that must not go out, nil if it may.
func (in *intake) verdict() *reply {
	switch {
	case in.content.fault != "": // RFC 5321 §2.3.8
		no := answer(550, "5.6.0", "The message has a %s, which no line may", in.content.fault)
		return &no
	case in.faulty(): // RFC 1870 §6.3
		no := answer(552, "5.3.4", "The message is longer than %d octets", in.limit)
		return &no
	}
	return nil
}
