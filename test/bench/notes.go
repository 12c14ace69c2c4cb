//go:build linux

package main

// notes is what one must know to read the table.
const notes = `
Medians of all rounds; the rounds of the three take turns. Ratios are turned so that more than 1 is good
for the gateway; spread is half the distance between its best and its worst round. CPU is user and system
time of the proxy's processes alone: where clients and proxy share few cores, it says more than a rate.

- Client and backend are this program. Every session is new: TCP, EHLO or CAPABILITY, STARTTLS, a full
  TLS 1.3 handshake with an ECDSA P-256 certificate, then EHLO and QUIT (SMTP) or LOGIN, NOOP and LOGOUT
  (IMAP). The backend speaks no TLS.
- stunnel waits 200 ms before its greeting for a client that begins with TLS at once; it answers EHLO
  before TLS itself, and connects to the backend for each session. Its log is at its default level.
- nginx connects to the backend only for work: in SMTP, where that is the first recipient, never here, so
  it does less than the others; in IMAP after the login, for which it first asks the authentication server,
  HTTP in the same process. Its first answer inside TLS comes some 40 ms late, when the client's delayed
  ACK is there (Nagle), which many clients at once hide. It runs as many workers as there are cores.
- The gateway connects to the backend for each session and passes each message on. Its log is on.
- Bulk and round trips are inside IMAP sessions after the login: from there on all three only copy.
- Memory is PSS of all processes of the proxy with the sessions less that without, divided by their
  number; kernel socket buffers are not in it. IMAP sessions have logged in, SMTP sessions have said EHLO.
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
