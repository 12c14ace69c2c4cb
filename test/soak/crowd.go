//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"starttls"
	"starttls/dialect"
)

// A crowd is idle sessions inside TLS and connections that are half open, at one gateway and at once.
type crowd struct {
	dir        string
	idle, half int
	out        io.Writer

	pki     *pki
	gateway *gateway
	backend *backend
	ports   [2]int // of the route with a backend, and of the one with the server built in
	behind  int    // sessions that the backend gets
	stages  []stage
}

// A stage is how the gateway is at one time.
type stage struct {
	name string
	figures
}

// At once so many sessions are opened or ended, so that clients do not wait for each other.
const atOnce = 32

// spareDescriptors are those that the gateway needs for anything but idle and half open sessions.
const spareDescriptors = 300

// run opens, looks and ends, and tells of it.
func (c *crowd) run(ctx context.Context) error {
	if err := c.lay(); err != nil {
		return err
	}
	defer c.gateway.kill()
	defer c.backend.kill()
	if err := cmp.Or(c.backend.start(), c.gateway.start(ctx)); err != nil {
		return err
	}
	if err := cmp.Or(c.served(c.ports[0]), c.served(c.ports[1])); err != nil { // what is set up once
		return err
	}
	if err := c.look(ctx, "at first", 0); err != nil {
		return err
	}
	begun := time.Now()
	idle, err := c.openIdle(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "\n%d idle sessions inside TLS, opened in %s, %d of them with a backend\n",
		c.idle, time.Since(begun).Round(time.Second), c.behind)
	if left := c.idle - c.behind; left > 0 {
		fmt.Fprintf(c.out, "%d have the built-in server, for want of descriptors: it takes none\n", left)
	}
	if err := c.look(ctx, "idle", c.idle); err != nil {
		return err
	}
	if err := c.besides(ctx, idle); err != nil {
		return err
	}
	if err := c.end(idle); err != nil {
		return err
	}
	return c.settle(ctx)
}

// lay writes the gateway's file. Each session takes two descriptors where there is a backend: as many as
// there are descriptors for have one, the others the server that is built in.
func (c *crowd) lay() (err error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	c.behind = min(c.idle, int(min(limit.Max, 1<<20))-c.idle-c.half-spareDescriptors)
	if c.behind < 0 {
		return fmt.Errorf("%d descriptors are too few for %d connections", limit.Max, c.idle+c.half)
	}
	if c.pki, err = newPKI(filepath.Join(c.dir, "crowd.pem")); err != nil {
		return err
	}
	text, err := c.pki.next()
	if err != nil {
		return err
	}
	addr := address(freePort())
	c.backend = &backend{servers: []string{"imap=" + addr}}
	c.ports = [2]int{freePort(), freePort()}
	c.gateway = &gateway{name: "crowd", dir: c.dir, board: address(freePort())}
	// Where TLS is demanded, the backend is dialled when it has begun: who is half open takes one descriptor.
	config := fmt.Sprintf("state = %q\n[metrics]\nlisten = %q\n[[tls.certificate]]\ncert = %q\n", c.dir, c.gateway.board, c.pki.file)
	for i, backend := range []string{fmt.Sprintf("backend = %q\n", "imap://"+addr), ""} {
		config += fmt.Sprintf("[[route]]\nname = \"route%d\"\nlisten = \"imap://%s?tls=encrypt\"\nmax-connections = 20000\ntimeout = \"5m\"\n%s",
			i, address(c.ports[i]), backend)
	}
	return cmp.Or(c.pki.put(text), c.gateway.write(config))
}

// dial connects from one of so many addresses of this machine that none has more than the default limit.
func (c *crowd) dial(i, port int) (net.Conn, error) {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%50))}
	return (&net.Dialer{LocalAddr: from, Timeout: patience}).Dial("tcp", address(port))
}

// open opens a session and logs in.
func (c *crowd) open(i, port int) (*talk, error) {
	conn, err := c.dial(i, port)
	if err != nil {
		return nil, err
	}
	config := c.pki.client()
	secured, err := starttls.Client(context.Background(), conn, &dialect.IMAP, &starttls.Config{TLS: config, Timeout: patience})
	if err != nil {
		return nil, err
	}
	t := newTalk(secured.Conn, config)
	if _, err := t.walk(scripts["imap"].open, mark); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// served has a whole new session.
func (c *crowd) served(port int) error {
	t, err := c.open(0, port)
	if err != nil {
		return err
	}
	defer t.Close()
	if _, err := t.walk(scripts["imap"].round, mark); err != nil {
		return err
	}
	return t.leave(scripts["imap"].bye)
}

// together does something for each of n, some at once, and returns the first error.
func together(n int, do func(i int) error) error {
	numbers, failed := make(chan int, n), make(chan error, n)
	for i := range n {
		numbers <- i
	}
	close(numbers)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for i := range numbers {
				if err := do(i); err != nil {
					failed <- fmt.Errorf("number %d: %w", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

func (c *crowd) openIdle(ctx context.Context) ([]*talk, error) {
	idle := make([]*talk, c.idle)
	err := together(c.idle, func(i int) (err error) {
		port := c.ports[0]
		if i >= c.behind {
			port = c.ports[1]
		}
		idle[i], err = c.open(i, port)
		return errors.Join(err, ctx.Err())
	})
	return idle, err
}

// besides opens connections that do not get to TLS, and looks whether everybody else is served.
func (c *crowd) besides(ctx context.Context, idle []*talk) error {
	half := make([]net.Conn, c.half)
	defer func() {
		for _, conn := range half {
			if conn != nil {
				conn.Close()
			}
		}
	}()
	hello := clientHello()
	if err := together(c.half, func(i int) (err error) {
		half[i], err = c.halfOpen(i, hello)
		return err
	}); err != nil {
		return fmt.Errorf("half open: %w", err)
	}
	if err := c.look(ctx, "with those half open", c.idle+c.half); err != nil {
		return err
	}
	fresh, some := max(10, c.idle/100), max(10, c.idle/10)
	if err := together(fresh, func(i int) error { return c.served(c.ports[i%2]) }); err != nil {
		return fmt.Errorf("a new session: %w", err)
	}
	if err := together(some, func(i int) error { return noop(idle[i*len(idle)/some]) }); err != nil {
		return fmt.Errorf("an idle session: %w", err)
	}
	fmt.Fprintf(c.out, "%d half open besides: %d new sessions served, %d of the idle ones answer\n", c.half, fresh, some)
	return nil
}

// halfOpen is a connection that is silent, or has asked for TLS and then is, or ends within its first
// message.
func (c *crowd) halfOpen(i int, hello []byte) (net.Conn, error) {
	conn, err := c.dial(i, c.ports[0])
	if err != nil || i%3 == 0 {
		return conn, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	heard := make([]byte, 512)
	if _, err := conn.Read(heard); err != nil {
		return conn, err
	}
	if _, err := io.WriteString(conn, "a STARTTLS\r\n"); err != nil {
		return conn, err
	}
	n, err := conn.Read(heard)
	if err == nil && !strings.HasPrefix(string(heard[:n]), "a OK") {
		err = fmt.Errorf("heard %q", heard[:n])
	}
	if err == nil && i%3 == 2 {
		_, err = conn.Write(hello[:len(hello)/2])
	}
	return conn, err
}

func noop(t *talk) error {
	_, err := t.ask(step{say: "n NOOP\r\n", hear: "n OK …\r\n"})
	return err
}

// end has every idle session work once more, and leave.
func (c *crowd) end(idle []*talk) error {
	err := together(len(idle), func(i int) error {
		defer idle[i].Close()
		if err := noop(idle[i]); err != nil {
			return err
		}
		return idle[i].leave(scripts["imap"].bye)
	})
	if err == nil {
		fmt.Fprintf(c.out, "%d idle sessions have answered once more and ended right\n\n", len(idle))
	}
	return err
}

// look waits until the gateway has as many sessions as it must, and notes how it is.
func (c *crowd) look(ctx context.Context, name string, sessions int) error {
	s := stage{name: name}
	err := until(ctx, fmt.Sprintf("%d sessions %s", sessions, name), func() bool {
		m, err := c.gateway.scrape(ctx)
		s.figures = figuresOf(m)
		return err == nil && s.live == float64(sessions)
	})
	c.stages = append(c.stages, s)
	return err
}

// settle looks whether everything has gone back, has the gateway end, and tells how it was.
func (c *crowd) settle(ctx context.Context) error {
	first := c.stages[0].figures
	err := until(ctx, "descriptors and goroutines as at first", func() bool {
		m, err := c.gateway.scrape(ctx)
		return err == nil && !figuresOf(m).above(first)
	})
	err = errors.Join(err, c.look(ctx, "after all", 0), c.gateway.stop(ctx))
	for _, line := range c.gateway.journal.complaints() {
		err = errors.Join(err, fmt.Errorf("the log: %s", line))
	}
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "gateway\tMB\tdescriptors\tgoroutines\tsessions\t")
	for _, s := range c.stages {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t\n", s.name, s.memory/1e6, s.descriptors, s.goroutines, s.live)
	}
	t.Flush()
	return err
}
