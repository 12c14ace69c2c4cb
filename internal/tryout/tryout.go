// Package tryout has a tiny server for each protocol, for trying a gateway with nothing behind it.
//
// They speak in the clear and have no word for TLS: the gateway in front puts TLS in. A client can say
// hello, log in with any name and any password, do the obvious first thing, and leave; that of RDP lets
// nobody further than the upgrade. What a server of mail is sent it keeps in memory for a while, and
// scripts as long as their connection lives; nothing else is changed by anyone.
//
// All that a client can send is bounded: lines, messages, what is kept, and the time it may be silent.
package tryout

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// protocols has a line for each protocol; the rest of it is in the file of its name.
var protocols = []protocol{
	smtp, lmtp, imap, pop3, ldap, postgres, mysql,
	sieve, nntp, ftp, irc, xmpp, xmppServer, telnet, nats, nut, http, acap, mtqp, nbd, amqp, tds, vnc, rdp,
}

// A protocol is what a protocol's file says of it.
type protocol struct {
	name    string // of its dialect
	serve   func(*session) error
	tooLong string // the last words to a client whose line was too long, if there are any
}

// A Server serves one protocol to connections that are handed to it. Servers are made by [New]. The
// fields are set before the first connection.
type Server struct {
	// Out gets a line for each thing that a person wants to see, in one Write: who logged in, what was
	// delivered. There are no passwords in it, and nothing that would move the cursor of a terminal. If
	// nil, nothing is told.
	Out io.Writer
	// Name is what the server calls itself. If empty, "localhost".
	Name string

	protocol protocol
	mu       sync.Mutex // held while writing to Out
	box      mailbox
}

// New returns the server for a dialect, by its name as in dialect.Dialect. ok is false when there is
// none.
func New(dialect string) (s *Server, ok bool) {
	for _, p := range protocols {
		if p.name == dialect {
			return &Server{protocol: p}, true
		}
	}
	return nil, false
}

const (
	idle   = 10 * time.Minute // the longest silence
	linger = time.Second      // for the client to hear our last words
)

// Serve serves one connection until the client leaves, breaks the protocol or is silent for ten
// minutes, and closes it.
func (s *Server) Serve(conn net.Conn) {
	defer conn.Close()
	c := newSession(s, conn)
	err := s.protocol.serve(c)
	if errors.Is(err, bufio.ErrBufferFull) && s.protocol.tooLong != "" {
		c.say("%s", s.protocol.tooLong)
	}
	if c.w.Flush() != nil {
		return
	}
	// To close a socket with something unread in it would take our last words back (RFC 1122
	// §4.2.2.13), so the client goes first, if it goes soon.
	if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		conn.SetReadDeadline(time.Now().Add(linger))
		io.CopyN(io.Discard, conn, 1<<20)
	}
}

// Dial returns the client's end of a connection inside this process, which a goroutine serves until it
// is closed. The connection has deadlines, and CloseWrite as a [net.TCPConn] has it. It fails only
// when ctx is done; once made, ctx does not matter to it.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	client, server := pipe()
	go s.Serve(server)
	return client, nil
}

// tell writes a line to Out. Strings among args are peers' words, so they are made fit to be seen.
func (s *Server) tell(format string, args ...any) {
	if s.Out == nil {
		return
	}
	for i, arg := range args {
		if word, ok := arg.(string); ok {
			args[i] = visible(word)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.Out, format+"\n", args...)
}

// visible returns a peer's words as they may stand on a terminal: not too long, and quoted if there is
// anything in them that does not print.
func visible(words string) string {
	const longest = 200
	cut := ""
	if len(words) > longest {
		words, cut = strings.ToValidUTF8(words[:longest], ""), "…"
	}
	hidden := func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }
	if strings.ContainsFunc(words, hidden) {
		words = strconv.Quote(words)
	}
	return words + cut
}
