package relay

import (
	"errors"
	"strconv"
	"time"
)

var (
	errAborted   = errors.New("the client has not ended the message")
	errUncertain = errors.New("the connection was lost after the message was sent, before the answer to it")
	errEightBit  = errors.New("octets beyond ASCII, and no 8BITMIME")
)

// send sends a line of trace and the content that comes out of feed, and returns the answer to it. When
// commit reports false after feed was closed, the transaction is broken off by closing the connection:
// nothing less keeps a server from taking what it has for the whole.
func (h *hop) send(e *envelope, trace string, feed <-chan []byte, commit func() bool) (reply, error) {
	if e.body == bodyBinary {
		return h.sendChunks(trace, feed, commit)
	}
	h.deadline(h.relay.Times.Command)
	switch r, err := h.ask("DATA"); {
	case err == nil && r.ok(): // to what? a message that was not sent would count as taken
		return r, errNoise
	case err != nil || r.code != 354:
		return r, err
	}
	narrow := e.body == body8bit && !h.has("8BITMIME") // RFC 6152 §3
	h.w.WriteString(trace)
	for piece := h.wait(feed); piece != nil; piece = h.wait(feed) {
		if narrow && eightBit(piece) {
			return reply{}, errEightBit
		}
		h.deadline(h.relay.Times.Block)
		if _, err := h.w.Write(piece); err != nil {
			return h.lastWords(err)
		}
	}
	if !commit() {
		return reply{}, errAborted
	}
	h.say(".")
	return h.verdict()
}

// sendChunks sends content as BDAT, which alone may carry what is not lines (RFC 3030 §3).
func (h *hop) sendChunks(trace string, feed <-chan []byte, commit func() bool) (reply, error) {
	for piece := []byte(trace); piece != nil; piece = h.wait(feed) {
		h.deadline(h.relay.Times.Block)
		h.say("BDAT " + strconv.Itoa(len(piece)))
		h.w.Write(piece)
		if r, err := h.hear(); err != nil || !r.ok() {
			return r, err
		}
	}
	if !commit() {
		return reply{}, errAborted
	}
	h.say("BDAT 0 LAST")
	return h.verdict()
}

// wait returns the next piece, nil after the last. What was written goes out before it blocks.
func (h *hop) wait(feed <-chan []byte) []byte {
	select {
	case piece := <-feed:
		return piece
	default:
	}
	h.w.Flush() // a failure shows in the next write
	return <-feed
}

// verdict waits for the answer to the message. From here on nobody may send it again but who is asked to
// by the answer: without one, the server may or may not have taken it (RFC 5321 §4.5.3.2.6, RFC 1047).
func (h *hop) verdict() (reply, error) {
	h.deadline(h.relay.Times.Final)
	if err := h.w.Flush(); err != nil {
		return h.lastWords(err)
	}
	r, err := readReply(h.r)
	if err != nil {
		return r, errors.Join(errUncertain, err)
	}
	return r, nil
}

// lastWords returns what a server has said before it closed the connection on us, or err.
func (h *hop) lastWords(err error) (reply, error) {
	h.conn.SetReadDeadline(time.Now().Add(time.Second))
	if r, rerr := readReply(h.r); rerr == nil && r.code >= 400 {
		return r, nil
	}
	return reply{}, err
}

func eightBit(p []byte) bool {
	for _, c := range p {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
