// Package socketmap answers mail servers that ask what a delivery to a destination must demand: Postfix
// by smtp_tls_policy_maps, and whoever else speaks one of Postfix's two table protocols.
//
// A [Server] speaks socketmap or tcp_table on a listener and asks an [Answerer]. [Policies] is the
// Answerer of a mail server's policy map: it keeps answers for as long as what they were made of is
// valid. [Result] is the pure step between: a plan in, an answer in Postfix's language out.
//
// Neither protocol knows who asks or who answers. Both are for unix sockets and loopback.
package socketmap

import "context"

// An Answerer answers one question: what a table holds under a key.
type Answerer interface {
	// Answer may be called by many goroutines at once. How long it takes is its own affair, and bounded:
	// Postfix waits for 100 seconds.
	Answer(ctx context.Context, table, key string) Reply
}

// A Reply is an answer. The zero Reply says that there is nothing under the key.
type Reply struct {
	Status Status
	Text   string // the value, when Status is OK; else the reason, for the log
	// Short is a value that means the same with less in it for reports. It is told where Text is too
	// long for the protocol. Empty if there is none.
	Short string
}

// A Status is what became of a question (socketmap_table(5)).
type Status uint8

// The statuses of replies.
const (
	NotFound Status = iota // there is nothing under the key
	OK
	Temp    // come again later
	Timeout // it took too long: come again later
	Perm    // the question is wrong
)

// String returns the status's word in socketmap.
func (s Status) String() string {
	return [...]string{"NOTFOUND", "OK", "TEMP", "TIMEOUT", "PERM"}[min(s, Perm)]
}
