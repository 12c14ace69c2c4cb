package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"starttls"
	"starttls/dialect"
)

// channels carries the data connections of an FTP session through the gateway, each in the clear or
// protected on either leg (RFC 4217 §7). Who waits for a connection is told where we wait instead; the
// other end of each must have the address of its control connection, so that neither a server nor a
// client can make us connect to a third host (RFC 2577).
//
// Towards the server, data is protected whenever the control connection is. Towards the client, as
// PROT says; where TLS is demanded nothing is transferred without it. PBSZ and PROT are answered here.
//
// Its fields are guarded by the session's mu.
type channels struct {
	s       *session
	sized   bool         // PBSZ was said
	private bool         // towards the client
	behind  bool         // towards the server
	asked   string       // the verb of the request under way
	waiting net.Listener // for the data connection that was agreed on last
}

// dataWait is how long the two ends of a data connection may take to come, and to shake hands.
const dataWait = time.Minute

// ftpTransfers are the commands that use a data connection.
var ftpTransfers = []string{"RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD"}

// ftpForeign are commands that agree on data connections in ways that nobody follows here: RFC 1639, and
// what some servers have made up. They would lead data past the gateway.
var ftpForeign = []string{"LPRT", "LPSV", "SPSV", "CPSV", "P@SW"}

func newChannels(s *session) *channels {
	return &channels{s: s, private: s.route.Front.Implicit}
}

// upgraded is told the client's upgrade. Old mechanisms mean data as well; TLS means that PROT is to
// be said anew (RFC 4217 §4).
func (f *channels) upgraded(m dialect.Message) {
	f.forget()
	f.sized, f.private = false, dialect.FTPPrivate(m.Text)
}

// opened asks a server on whose control connection TLS has begun to protect data as well. It is called
// before the server's pump has begun.
func (f *channels) opened(b *backLeg) error {
	if f.behind = false; b.secured == nil {
		return nil
	}
	for _, command := range []string{"PBSZ 0\r\n", "PROT P\r\n"} {
		if err := b.Say(dialect.Message{Kind: dialect.Secret, Raw: []byte(command)}); err != nil {
			return err
		}
		for b.Pending() {
			m, err := b.Hear()
			if err != nil {
				return err
			}
			f.behind = m.Kind != dialect.No
		}
	}
	if !f.behind && f.s.to.Level > starttls.May {
		return fmt.Errorf("%s: the server does not protect data: %w", f.s.route.Dialect.Name, starttls.ErrRefused)
	}
	return nil
}

// fromClient looks at a message that is to be passed on: what is passed on in its place, or what is
// answered here.
func (f *channels) fromClient(m dialect.Message) (pass dialect.Message, answer string) {
	f.asked = m.Name
	switch {
	case m.Name == "PBSZ":
		f.sized = true
		return m, "200 PBSZ=0\r\n"
	case m.Name == "PROT":
		return m, f.protect(m.Text)
	case m.Name == "PORT" || m.Name == "EPRT":
		return f.active(m)
	case slices.Contains(ftpForeign, m.Name):
		return m, "502 Use PASV or EPSV\r\n"
	case f.s.route.Front.Level == starttls.Encrypt && !f.private && slices.Contains(ftpTransfers, m.Name):
		return m, "521 Data connections are for PROT P\r\n" // RFC 4217 §10.2
	}
	return m, ""
}

// protect answers PROT (RFC 2228 §3, RFC 4217 §9).
func (f *channels) protect(level string) string {
	switch {
	case !f.sized:
		return "503 PBSZ first\r\n"
	case level == "P" || level == "p":
		f.private = true
		return "200 Data connections are private\r\n"
	case level != "C" && level != "c":
		return "536 TLS knows P and C\r\n"
	case f.s.route.Front.Level == starttls.Encrypt:
		f.private = false // who goes on nevertheless is told so, and does not wait for ever
		return "534 Data connections must be private\r\n"
	}
	f.private = false
	return "200 Data connections are in the clear\r\n"
}

// active waits for the server in place of the client and tells the server so.
func (f *channels) active(m dialect.Message) (pass dialect.Message, answer string) {
	parse := dialect.ParsePORT
	if m.Name == "EPRT" {
		parse = dialect.ParseEPRT
	}
	told, ok := parse(m.Text)
	client, err := netip.ParseAddr(told.Host)
	switch {
	case !ok || err != nil:
		return m, "501 Not an address\r\n"
	case client.Unmap() != addrOf(f.s.conns.front.RemoteAddr()) || told.Port < 1024:
		return m, "500 Data goes to your own address, to a port from 1024 on\r\n" // RFC 2577 §3
	}
	dial := net.JoinHostPort(told.Host, fmt.Sprint(told.Port))
	behind := f.dataTLS()
	here, err := f.wait(f.s.back.raw, func(server net.Conn) {
		defer server.Close()
		if conn, err := f.dial(dial, f.s.conns.front); err == nil {
			f.carry(conn, server, behind)
		}
	})
	if err != nil {
		return m, "425 No port to wait at\r\n"
	}
	m.Raw = []byte(dialect.SayEPRT(here))
	if netip.MustParseAddr(here.Host).Is4() {
		m.Raw = []byte(dialect.SayPORT(here))
	}
	return m, ""
}

// fromServer looks at an answer: where the server waits, we wait in its place.
func (f *channels) fromServer(m dialect.Message) dialect.Message {
	told, ok := dialect.ParsePASV(m.Text)
	if f.asked == "EPSV" {
		told, ok = dialect.ParseEPSV(m.Text)
	}
	if !ok || f.asked != "PASV" && f.asked != "EPSV" {
		return m
	}
	// The address in a 227 answer is not looked at: the server's data is where the server is.
	dial := net.JoinHostPort(addrOf(f.s.back.raw.RemoteAddr()).String(), fmt.Sprint(told.Port))
	control, behind := f.s.back.raw, f.dataTLS()
	here, err := f.wait(f.s.conns.front, func(client net.Conn) {
		defer client.Close()
		if server, err := f.dial(dial, control); err == nil {
			f.carry(client, server, behind)
		}
	})
	switch {
	case err != nil:
		m.Raw = []byte("425 No port to wait at\r\n")
	case f.asked == "EPSV":
		m.Raw = []byte(dialect.SayEPSV(here.Port))
	case !netip.MustParseAddr(here.Host).Is4():
		f.waiting.Close()
		m.Raw = []byte("425 Use EPSV\r\n")
	default:
		m.Raw = []byte(dialect.SayPASV(here))
	}
	return m
}

// wait listens where control ends, for one connection from its other end, and hands it to got in a
// goroutine of its own. What was waited for before is forgotten.
func (f *channels) wait(control net.Conn, got func(net.Conn)) (dialect.FTPAddr, error) {
	f.forget()
	local, peer := addrOf(control.LocalAddr()), addrOf(control.RemoteAddr())
	ln, err := net.Listen("tcp", net.JoinHostPort(local.String(), "0"))
	if err != nil {
		return dialect.FTPAddr{}, err
	}
	f.waiting = ln
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(dataWait))
	go f.runWait(ln, peer, got)
	return dialect.FTPAddr{Host: local.String(), Port: uint16(ln.Addr().(*net.TCPAddr).Port)}, nil
}

func (f *channels) runWait(ln net.Listener, peer netip.Addr, got func(net.Conn)) {
	defer ln.Close()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		if addrOf(conn.RemoteAddr()) == peer {
			ln.Close()
			got(conn)
			return
		}
		conn.Close()
	}
}

// dial connects from where control ends.
func (f *channels) dial(addr string, control net.Conn) (net.Conn, error) {
	from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(addrOf(control.LocalAddr()), 0))
	d := net.Dialer{Timeout: dataWait, LocalAddr: from}
	return d.DialContext(f.s.ctx, "tcp", addr)
}

// dataTLS is the configuration for data towards the server, nil where that is in the clear.
func (f *channels) dataTLS() *tls.Config {
	if !f.behind {
		return nil
	}
	return f.s.back.config
}

// carry shakes hands on the legs that are protected and copies both ways to the end. In FTP the client
// is the client of TLS on data connections as well, whoever opened them (RFC 4217 §7).
func (f *channels) carry(client, server net.Conn, behind *tls.Config) {
	stop := context.AfterFunc(f.s.ctx, func() { client.Close(); server.Close() })
	defer stop()
	defer client.Close()
	defer server.Close()
	f.s.mu.Lock()
	front, back := client, server
	if f.private {
		front = tls.Server(client, f.s.route.Front.TLS)
	}
	if behind != nil {
		back = tls.Client(server, behind)
	}
	// Whatever words a server has taken for a transfer: where TLS is demanded no data goes without.
	denied := !f.private && f.s.route.Front.Level == starttls.Encrypt
	f.s.mu.Unlock()
	if denied {
		return
	}
	deadline := time.Now().Add(dataWait)
	shaken := make(chan error, 1)
	go func() { shaken <- shakeData(back, deadline) }()
	err := shakeData(front, deadline)
	if err != nil {
		server.Close()
	}
	if berr := <-shaken; err != nil || berr != nil {
		f.s.route.Log.Warn("data connection failed", "id", f.s.id, "route", f.s.route.Label, "front", err, "back", berr)
		return
	}
	up := make(chan struct{})
	go func() {
		defer close(up)
		f.copy(back, front, &f.s.in)
	}()
	f.copy(front, back, &f.s.out)
	<-up
}

// copy copies one direction and ends it. When it breaks, both do.
func (f *channels) copy(to, from net.Conn, count *atomic.Int64) {
	err := f.s.copy(to, from, count)
	closeWrite(to)
	if !ended(err) {
		to.Close()
		from.Close()
	}
}

// shakeData shakes hands if the connection is protected.
func shakeData(conn net.Conn, deadline time.Time) error {
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	conn.SetDeadline(deadline)
	defer conn.SetDeadline(time.Time{})
	return secured.Handshake()
}

// forget stops waiting for a data connection. It is called with mu held, or at the session's end.
func (f *channels) forget() {
	if f.waiting != nil {
		f.waiting.Close()
	}
}

// addrOf returns the address of one end of a connection.
func addrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
