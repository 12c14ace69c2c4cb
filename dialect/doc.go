// Package dialect holds what each protocol says about starting TLS, and nothing else.
//
// A protocol that was born without TLS and got it later has a few words for it: the server offers
// (a capability), the client asks (the upgrade), the server says go (ready), and TLS begins on the
// same connection. Which bytes those are differs from protocol to protocol; what they mean does not.
// A [Dialect] maps the bytes of one protocol to [Message] values of a common [Kind] and back. It is
// written once and serves every role: a client that upgrades, a server that is upgraded, a gateway
// that stands between the two and edits offers, a checker that says things out of order.
//
// # Words
//
// A [Speech] hears and says one leg, that is one connection with one peer. It does no I/O: it cuts
// messages off a buffer and appends messages to one. It sees both directions of its leg and so knows
// which answer belongs to which question. Its state dies with the leg, and with TLS: what was said in
// the clear must be forgotten inside, so the caller takes a new Speech there (RFC 3207 §4.2,
// RFC 9051 §6.2.1, RFC 4642 §2.2.2).
//
// # Contract
//
// Every Speech keeps four properties, held by one fuzz target for all dialects:
//
//   - arrival: a message reads the same however its bytes arrive.
//   - echo: a message that is not edited is written as it was read, byte for byte.
//   - edit: after the offer was changed, reading the message back says so, and nothing else changed.
//   - calm: no input panics, and none makes Read take more than it was given.
//
// A Speech expects one request at a time: the caller does not hand it the client's next message while
// [Speech.Pending] reports an answer outstanding. That is what makes pipelined and glued input
// harmless, and it costs nothing, because only the few messages before TLS pass here.
//
// # Adding a protocol
//
// One file with a package variable of type Dialect that begins with its script, one line in [All],
// one recorded transcript in testdata. See CONTRIBUTING.md.
//
// This package does no I/O, knows no clock, and imports neither net nor crypto/tls; a test holds it
// to that.
package dialect
