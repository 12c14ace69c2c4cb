// Package starttls gets a connection to TLS in the protocols that begin in the clear: SMTP, IMAP, POP3,
// LDAP, FTP, XMPP, PostgreSQL, MySQL and more than a dozen others, listed in [dialect.All]. It is the
// upgrade, done right, on a net.Conn.
//
// # Where to start
//
// As a client, with a URL:
//
//	conn, err := starttls.Dial(ctx, "imap://mail.example.org", nil)
//
// or on a connection of your own, [Client]. As a server, [Listen], or [Server] on a connection. What
// comes back is a [Conn], which is a *tls.Conn on which the protocol goes on. Which protocols there
// are, and how each says it, is package dialect. A scheme with an s at its end ("imaps") is TLS from the
// first byte.
//
// # What it promises
//
// No byte that arrived in the clear is ever read as if it had come through TLS. As a server, what stands
// behind the client's upgrade goes to the TLS handshake, which fails on it unless it is a ClientHello.
// As a client, anything behind the server's go-ahead ends the connection with [ErrInjected].
//
// What the server said in the clear is handed back in [Conn.Heard] for logs, and is not to be relied
// on: ask anew inside TLS. There is no way back to the clear: when TLS was begun and fails, the
// connection is closed and nothing is written to it but the alert.
//
// A peer that offers only ALPN ids of other protocols is refused where the protocol has an id of its
// own.
//
// # Errors
//
// A caller decides by errors.Is with [ErrNotOffered] and [ErrRefused] (the peer was understood and has no
// TLS for us), [ErrInjected] (somebody on the path is up to something, or the peer is broken), [ErrTLS]
// (the handshake or the certificate), [ErrNoise] and [ErrTooLong] (not the protocol). The details are in
// [Error]. A client that gets ErrNotOffered knows only that someone on the path says so: whether to go
// on in the clear is a question of policy, and for passwords the answer is no.
//
// # For gateways and checkers
//
// A [Leg] is the same machinery one message at a time, for who stands between two peers or wants to say
// things out of order.
//
// # What it does not do
//
// It speaks no protocol beyond the way to TLS, keeps no state between connections, starts no goroutine
// and has no opinion on whether TLS is needed.
package starttls
