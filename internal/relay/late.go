package relay

import (
	"sync"
	"time"
)

// A lateRefusals remembers the next hops whose refusal was told at the end of DATA, because the message
// might have said that it does without TLS, and which have kept recipients of other domains waiting by that:
// in SMTP one answer is for all. Who hands the message in again names the recipients in the same order, so
// the next time the refusal is told at RCPT, and the transaction is the next domain's. The zero value is
// ready for use.
type lateRefusals struct {
	mu   sync.Mutex
	kept map[string]lateRefusal
}

type lateRefusal struct {
	told  reply
	until time.Time
}

const (
	// lateKept is longer than any client waits at first (Postfix: 5 to 67 minutes), and short enough that a
	// domain that was mended is not refused for long.
	lateKept = 2 * time.Hour
	maxLate  = 10_000
)

// put remembers what was told of a next hop, and forgets others when there are too many.
func (l *lateRefusals) put(next string, told reply, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept == nil {
		l.kept = map[string]lateRefusal{}
	}
	for old := range l.kept { // in no order
		if len(l.kept) < maxLate {
			break
		}
		delete(l.kept, old)
	}
	l.kept[next] = lateRefusal{told, now.Add(lateKept)}
}

// take returns what was told of a next hop, once: the time after that it is tried again.
func (l *lateRefusals) take(next string, now time.Time) (told reply, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	late, ok := l.kept[next]
	delete(l.kept, next)
	return late.told, ok && now.Before(late.until)
}
