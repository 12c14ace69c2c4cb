package relay

import (
	"context"
	"strconv"
	"strings"
	"time"
)

var (
	notNow        = answer(503, "5.5.1", "Bad sequence of commands")
	noRecipients  = answer(503, "5.5.1", "No valid recipients")
	tooMany       = answer(452, "4.5.3", "Too many recipients")
	otherNextHop  = answer(452, "4.5.3", "Too many domains for one transaction: send to this recipient in another")
	senderTaken   = answer(250, "2.1.0", "OK")
	rcptTaken     = answer(250, "2.1.5", "OK")
	goOn          = reply{354, "", []string{"Go on, and end with a lone dot"}}
	noBinaryLines = answer(503, "5.5.1", "BINARYMIME is sent with BDAT") // RFC 3030 §3
)

// mail begins a transaction.
func (s *session) mail(arg string) error {
	if s.named == "" || s.env != nil {
		return s.wrong(notNow)
	}
	env, no := s.parseMail(arg)
	if no != nil {
		return s.wrong(*no)
	}
	if s.MaxSize > 0 && env.size > s.MaxSize { // RFC 1870 §6.1
		s.say(answer(552, "5.3.4", "The message is longer than %d octets", s.MaxSize))
		return nil
	}
	env.trace = s.trace()
	s.env = env
	s.say(senderTaken)
	return nil
}

// rcpt names a recipient. In LMTP it is answered for after the message, with all others at once; in SMTP
// now, by the next hop.
func (s *session) rcpt(ctx context.Context, arg string) error {
	if s.env == nil || s.body != nil {
		return s.wrong(notNow)
	}
	r, no := s.parseRcpt(arg)
	if no != nil {
		return s.wrong(*no)
	}
	if len(s.rcpts) >= s.MaxRecipients {
		s.say(tooMany)
		return nil
	}
	d := s.delivery(r.next)
	switch {
	case d == nil:
		s.waiting = true
		s.say(otherNextHop)
	case s.each:
		r.reply = rcptTaken
		d.rcpts = append(d.rcpts, r)
		s.rcpts = append(s.rcpts, r)
		s.say(r.reply)
	default:
		s.name(ctx, d, r)
	}
	return nil
}

// name names a recipient to the next hop and passes its answer on.
func (s *session) name(ctx context.Context, d *delivery, r *recipient) {
	if d.held {
		s.say(otherNextHop) // one answer to the message must do for all of its recipients
		return
	}
	s.w.Flush()
	if len(d.rcpts) == 0 && d.message == (Message{}) {
		if told, ok := s.late.take(d.next, time.Now()); ok {
			d.no = &told
			s.early = append(s.early, d)
		}
	}
	d.add(ctx, r)
	told := r.reply
	if d.held {
		told = rcptTaken // the message may say that it does without TLS
	}
	if told.ok() {
		s.rcpts = append(s.rcpts, r)
	}
	s.say(told)
}

// maxNextHops is how many domains one transaction of LMTP is for: all of them are served at once.
const maxNextHops = 50

// delivery returns the one for a next hop, nil where the transaction is for another.
func (s *session) delivery(next string) *delivery {
	for _, d := range s.deliveries {
		if d.next == next {
			return d
		}
	}
	if !s.each && len(s.rcpts) > 0 || len(s.deliveries) >= maxNextHops {
		return nil
	}
	if !s.each { // nobody was taken so far: those next hops have nothing to do
		s.drop()
	}
	d := s.newDelivery(next, s.env)
	if s.spare != nil && s.spare.next == next {
		d.spare, s.spare = s.spare, nil
	}
	s.deliveries = append(s.deliveries, d)
	return d
}

// data takes a message in.
func (s *session) data(ctx context.Context, arg string) error {
	switch {
	case s.env == nil || s.body != nil || arg != "":
		return s.wrong(notNow)
	case len(s.rcpts) == 0:
		return s.wrong(noRecipients)
	case s.env.body == bodyBinary:
		return s.wrong(noBinaryLines)
	}
	s.say(goOn)
	if err := s.w.Flush(); err != nil {
		return err
	}
	in := s.begin(ctx)
	lines := dataReader{r: s.r}
	defer lines.close()
	for {
		s.conn.SetDeadline(time.Now().Add(s.Times.Block))
		piece, end, err := lines.next()
		in.write(piece)
		if end || err != nil {
			return s.finish(in, err)
		}
	}
}

// begin starts the deliveries and returns where the content goes.
func (s *session) begin(ctx context.Context) *intake {
	in := newIntake(s.env, s.deliveries, &s.Config)
	for _, d := range s.deliveries {
		d.start(ctx, in)
	}
	return in
}

// finish ends a message and tells the client what has become of it: once, or once for each recipient
// that was taken (RFC 2033 §4.2).
func (s *session) finish(in *intake, err error) error {
	s.body = nil
	in.end(err == nil)
	for i, r := range s.rcpts {
		if i > 0 && !s.each {
			break
		}
		<-s.delivery(r.next).done
		s.conn.SetWriteDeadline(time.Now().Add(s.Times.Block)) // that may have taken long
		told := r.reply
		if no := in.verdict(); no != nil {
			told = *no
		}
		s.say(told)
		if s.each {
			s.w.Flush()
		}
	}
	if s.waiting && err == nil && in.verdict() == nil {
		s.toldLate()
	}
	s.reset()
	s.idle = 0
	return err
}

// toldLate remembers that a message was refused after it was read, while recipients of other domains waited.
// Whoever was refused early to make way for it is refused early once more: so the domain behind n such domains
// is reached in the transaction n + 1.
func (s *session) toldLate() {
	d := s.deliveries[0]
	if !d.held {
		return
	}
	for _, refused := range append(s.early, d) {
		s.late.put(refused.next, *refused.no, time.Now())
	}
}

// A chunks is a message that comes in BDAT commands.
type chunks struct {
	*intake
	stuffer stuffer
}

// bdat takes a chunk in (RFC 3030 §2). Its octets follow at once, whatever the answer will be.
func (s *session) bdat(ctx context.Context, arg string) error {
	number, last, _ := strings.Cut(arg, " ")
	size, err := strconv.ParseInt(number, 10, 63)
	if err != nil || size < 0 || last != "" && !strings.EqualFold(last, "LAST") {
		return errTooMuch // nobody knows where the next command begins
	}
	if len(s.rcpts) == 0 {
		if err := s.swallow(size, func([]byte) {}); err != nil {
			return err
		}
		return s.wrong(noRecipients)
	}
	if s.body == nil {
		s.body = &chunks{intake: s.begin(ctx)}
	}
	if err := s.swallow(size, s.body.chunk); err != nil {
		return s.finish(s.body.intake, err)
	}
	if last == "" {
		s.say(answer(250, "2.0.0", "%d octets", size))
		return nil
	}
	if s.env.body != bodyBinary {
		s.body.write(s.body.stuffer.end())
	}
	return s.finish(s.body.intake, nil)
}

// chunk takes octets as they are, or as lines.
func (c *chunks) chunk(p []byte) {
	if c.env.body == bodyBinary {
		c.write(p)
		return
	}
	c.write(c.stuffer.stuff(nil, p))
}

// swallow reads octets and gives them to take in pieces.
func (s *session) swallow(size int64, take func([]byte)) error {
	for size > 0 {
		s.conn.SetDeadline(time.Now().Add(s.Times.Block))
		if _, err := s.r.Peek(1); err != nil {
			return unexpected(err)
		}
		piece, _ := s.r.Peek(int(min(size, int64(s.r.Buffered()))))
		take(piece)
		s.r.Discard(len(piece))
		size -= int64(len(piece))
	}
	return nil
}
