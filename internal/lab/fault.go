package lab

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Phase is a moment in a session of SMTP.
type Phase uint8

// The phases in which a server can fail.
const (
	AtGreeting  Phase = iota // before the banner
	AtHello                  // EHLO, HELO
	AtUpgrade                // STARTTLS
	AtHandshake              // the client's first byte of TLS is awaited
	AtMail                   // MAIL
	AtRcpt                   // RCPT
	AtData                   // DATA or the first BDAT
	AtBody                   // in the middle of the message
	AtDot                    // the message is whole and kept, and not yet answered
	AtQuit                   // QUIT
	phases
)

// A Fault is what befalls in one phase. After Delay comes one of the others, or else the right answer.
type Fault struct {
	At    Phase
	Delay time.Duration
	Reply string // said instead; with 421 the connection ends
	Drop  bool   // the connection ends without a word
	Hang  bool   // nothing is said anymore, until the client leaves
	// Times is how often it befalls, over all sessions. If zero, always.
	Times int
}

// faults are those of one server.
type faults struct {
	any  atomic.Bool // so that a server without any takes no lock
	mu   sync.Mutex
	list [phases]*Fault
}

// set makes these the faults that there are.
func (f *faults) set(all []Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.list[:])
	for _, fault := range all {
		f.list[fault.At] = &fault
	}
	f.any.Store(len(all) > 0)
}

// at returns what befalls now, nil if nothing.
func (f *faults) at(p Phase) *Fault {
	if !f.any.Load() {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fault := f.list[p]
	if fault == nil || fault.Times == 0 {
		return fault
	}
	now := *fault
	if fault.Times--; fault.Times == 0 {
		f.list[p] = nil
	}
	return &now
}
