package peer

import (
	"os"
	"path/filepath"
	"time"
)

// Maildir is a folder that a server delivers mail to. It may not exist yet.
type Maildir string

// Mailbox returns the messages, whole and as stored, in order of delivery.
func (m Maildir) Mailbox() []string {
	var messages []string
	// Maildir names begin with the time, in seconds and then finer.
	for _, sub := range []string{"cur", "new"} {
		paths, _ := filepath.Glob(filepath.Join(string(m), sub, "*")) // sorted
		for _, path := range paths {
			if text, err := os.ReadFile(path); err == nil {
				messages = append(messages, string(text))
			}
		}
	}
	return messages
}

// WaitMail waits until n messages are there and returns them all. It fails the
// test when limit passes first.
func (m Maildir) WaitMail(t T, n int, limit time.Duration) []string {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		messages := m.Mailbox()
		if len(messages) >= n {
			return messages
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d messages in %s after %v", len(messages), n, m, limit)
		}
		time.Sleep(pollEvery)
	}
}
