//go:build linux

package main

// notes is what one must know to read the table.
const notes = `
Medians of all rounds; the rounds of all take turns. In brackets stands how the gateway compares, turned
so that more than 1 is good for it; spread is half the distance between its best and its worst round. CPU is
user and system time of the proxy's processes alone: where clients and proxy share few cores, it says more
than a rate.

- Client and backend are this program. Every session is new: TCP, EHLO or CAPABILITY, STARTTLS, a full
  TLS 1.3 handshake, or one that resumes with a ticket, then EHLO and QUIT (SMTP) or LOGIN, NOOP and LOGOUT
  (IMAP). The backend speaks no TLS.
- The gateway connects to the backend when the client comes, and passes each message on; with encrypt
  (tls=encrypt in front) it answers by itself until TLS has begun, and connects then. Its log is on.
- bare TLS is the least that crypto/tls can do: this program as a server that knows the words up to TLS by
  heart and answers by itself inside TLS, with nothing behind, no checks, no limits and no log. bare proxy is
  the same, but connects to the backend inside TLS and copies with io.Copy, which a gateway must do: it is
  what "gateway, encrypt" can be measured by.
- stunnel waits 200 ms before its greeting for a client that begins with TLS at once; it answers EHLO
  before TLS itself, and connects to the backend for each session. Its log is at its default level.
- nginx connects to the backend only for work: in SMTP, where that is the first recipient, never here, so
  it does less than the others; in IMAP after the login, for which it first asks the authentication server,
  HTTP in the same process. Its first answer inside TLS comes some 40 ms late, when the client's delayed
  ACK is there (Nagle), which many clients at once hide. It runs as many workers as there are cores.
- Bulk and round trips are inside IMAP sessions after the login: from there on all only copy.
- To the go-ahead: from the client's connect to the answer to its STARTTLS, one client at a time.
- Memory is PSS of all processes of the proxy with the sessions less that without, divided by their
  number, 1.5 s after the last has been opened, so garbage of the handshakes counts; kernel socket buffers
  do not. IMAP sessions have logged in, SMTP sessions have said EHLO. A limit of descriptors below 20,100
  makes them fewer.
- CPU in … are shares of the samples of a CPU profile under SMTP sessions of 300 clients, X25519, ECDSA.
  A sample belongs to the function nearest to the top of its stack that is a system call (package syscall),
  the collector, of crypto/*, or of this program or package net; what bytes, hash or the allocator do is work
  of who called them. Waiting for sockets (epoll) is the scheduler's.
`

// mailNotes are the same for mail.
const mailNotes = `
- The sink is the lab, a domain with TLSA records at the real ports, in this program, as are the 20 clients
  that hand mail in, in the clear. A message counts when the sink has taken it; time runs from the first
  client's start to the last message.
- Both verify each session by DANE. The gateway validates DNSSEC itself and keeps a session with the next
  hop as long as its client's goes on; Postfix has Unbound for that, and its defaults: a session with TLS
  for each message. Its queue is in memory where there is plenty, so that no disk slows it.
- The gateway answers when the sink has; Postfix before, when the message is in its queue.
`
