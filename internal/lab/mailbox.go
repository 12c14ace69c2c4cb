package lab

import (
	"slices"
	"sync"
)

// A Message is mail that a server of the lab has taken: it has said 250, or, with a fault AtDot, would
// have.
type Message struct {
	Domain string // that the server belongs to
	Host   string // the server
	Helo   string
	From   string
	To     []string
	// TLS is the version of the session's TLS, 0 in the clear, and SNI the name that the client asked
	// for.
	TLS        uint16
	SNI        string
	RequireTLS bool   // REQUIRETLS was said (RFC 8689)
	Size       int    // of the message, in bytes
	Data       []byte // its beginning, up to 16 KiB
}

// keptBytes is how much is kept of a message.
const keptBytes = 16 << 10

// A mailbox is what came to one domain.
type mailbox struct {
	mu    sync.Mutex
	count int
	kept  []Message
}

// add counts a message, and keeps it while there are fewer than limit.
func (b *mailbox) add(m Message, limit int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	if len(b.kept) < limit {
		b.kept = append(b.kept, m)
	}
}

func (b *mailbox) get() (int, []Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count, slices.Clone(b.kept)
}
