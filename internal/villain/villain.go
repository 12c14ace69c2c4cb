// Package villain is a set of hostile servers, and tells what a client under test did with each.
//
// A [Stage] listens once for each [Villain] that makes sense for a dialect: one takes the offer of TLS
// out, one refuses the upgrade, one puts words behind its go-ahead, one shows a certificate for somebody
// else, and so on. The client is pointed at one after the other. What it says is read by the dialect, so
// the villains are data and know no protocols; what only one protocol has is in a file named after it.
//
// # What is proved, and what is not
//
// A client that says credentials, mail or other work in the clear, or inside TLS to somebody who has
// proved nothing, is caught in the act. A client that does not is in the right only if it would have said
// them otherwise. That is what the honest server is for: until the client has done real work there,
// nothing good is said of it. The client has to trust [Stage.CA] for that, and so the certificates that
// are wrong are wrong in one thing only.
//
// A client that shows people what was said in the clear, or keeps it, cannot be told from here.
//
// # Programs that send mail
//
// A mail server finds its way by the DNS, and what it must demand by DANE and MTA-STS. For it the villains
// are domains of a lab: [MailDomains] says which, and a [Sender] holds what arrives against what the lab
// says that must.
package villain

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/finding"
)

// A Config says how to be hostile. The zero Config is good but for the Endpoint.
type Config struct {
	// Endpoint is where to listen: the first port, or 0 for free ones. Its host is what clients call the
	// server.
	Endpoint starttls.Endpoint
	// Names are what the good certificates are for, besides localhost and its addresses. If empty, the
	// endpoint's host.
	Names []string
	// Patience is how long a villain that says nothing waits for the client to leave. If zero, five
	// seconds.
	Patience time.Duration
	// Hold is how long an answer is held back to see whether the client waits for it. If zero, one
	// second.
	Hold time.Duration
	// Timeout bounds a connection. If zero, a minute.
	Timeout time.Duration
	// Tell, if not nil, is told what is known of a client after each of its visits. It is called by one
	// goroutine at a time.
	Tell func(*Listener, finding.Finding)
}

// A Stage is the villains while they listen. It is made by [Open].
type Stage struct {
	Listeners []*Listener // the honest server first

	config Config
	pki    *pki
	from   time.Time
	ctx    context.Context
	stop   context.CancelFunc
	served sync.WaitGroup
	mu     sync.Mutex // of what was seen
}

// A Listener is one villain at its port.
type Listener struct {
	*Villain
	Addr string // as clients dial it

	ln   net.Listener
	seen seen
}

// Open has all villains of the endpoint's dialect listen. Close ends them.
func Open(config Config) (*Stage, error) {
	if config.Endpoint.Network == "unix" {
		return nil, errors.New("villains listen at ports, not at a socket of the file system")
	}
	if len(config.Names) == 0 {
		config.Names = []string{config.Endpoint.Host}
	}
	config.Patience = or(config.Patience, 5*time.Second)
	config.Hold = or(config.Hold, time.Second)
	config.Timeout = or(config.Timeout, time.Minute)
	s := &Stage{config: config, from: time.Now()}
	var err error
	if s.pki, err = newPKI(config.Names, s.from); err != nil {
		return nil, err
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	for _, v := range cast(config.Endpoint) {
		if err := s.listen(v); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// listen opens the next port for v.
func (s *Stage) listen(v *Villain) error {
	host, port, err := net.SplitHostPort(s.config.Endpoint.Address)
	if err != nil {
		return err
	}
	if first, err := strconv.Atoi(port); err == nil && first > 0 {
		port = strconv.Itoa(first + len(s.Listeners))
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	l := &Listener{Villain: v, Addr: net.JoinHostPort(host, port), ln: ln}
	s.Listeners = append(s.Listeners, l)
	s.served.Go(func() { s.accept(l) })
	return nil
}

// accept takes connections, which are few: each may be there as long as the timeout lets it.
func (s *Stage) accept(l *Listener) {
	for {
		conn, err := l.ln.Accept()
		if err != nil {
			return
		}
		s.served.Go(func() { s.meet(l, conn) })
	}
}

// meet has one connection, and tells what is known after it.
func (s *Stage) meet(l *Listener, conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(s.ctx, s.config.Timeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	s.note(l, func(all *seen) { all.began++ })
	e := s.config.Endpoint
	m := &meeting{Stage: s, villain: l.Villain, conn: conn,
		leg: starttls.NewLeg(conn, e.Dialect, dialect.Server, e.Implicit)}
	m.run(ctx)
	s.note(l, func(all *seen) { all.add(m.seen) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config.Tell != nil && s.ctx.Err() == nil {
		s.config.Tell(l, s.judge(l))
	}
}

func (s *Stage) note(l *Listener, change func(*seen)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&l.seen)
}

// Visits returns how many connections there were at a villain, and how many of them have ended.
func (s *Stage) Visits(l *Listener) (begun, ended int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.seen.began, l.seen.visits
}

// Visited reports whether the client was at every villain, and is at none of them now.
func (s *Stage) Visited() bool {
	return !slices.ContainsFunc(s.Listeners, func(l *Listener) bool {
		begun, ended := s.Visits(l)
		return begun == 0 || ended < begun
	})
}

// CA returns the authority that the client has to trust.
func (s *Stage) CA() *x509.Certificate { return s.pki.good.cert }

// Close ends all villains and waits for them.
func (s *Stage) Close() {
	s.stop()
	for _, l := range s.Listeners {
		l.ln.Close()
	}
	s.served.Wait()
}
