package cli

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"starttls"
	"starttls/internal/finding"
	"starttls/internal/report"
	"starttls/internal/villain"
)

// clientFlags are for checking a client.
type clientFlags struct{ url, ca string }

func (f *clientFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.url, "client", "", "check a client: listen at `URL` and the ports after it as hostile servers, or with mx: be the mail domains of a lab; TARGETs are the client's command")
	fs.StringVar(&f.ca, "client-ca", "", "write the authority that the client must trust to `FILE` (default: a temporary one)")
}

// settleTime is how long a client may take to come back after it has left.
const settleTime = time.Second

// A clientRun is what every check of a client has: where results go, and who is told what goes on.
type clientRun struct {
	*checkFlags
	std    streams
	out    *checkOutput
	people io.Writer
	text   report.Text
	said   []byte // what the client printed the last time
	ended  string // and how it ended
	absent bool   // that it was not where it was sent has been told
}

// A clientCheck is one run of hostile servers.
type clientCheck struct {
	*clientRun
	stage *villain.Stage
	ca    string
}

// together lets several write to one stream, one after the other: visits end while the client's own words
// are printed.
type together struct {
	mu sync.Mutex
	w  io.Writer
}

func (t *together) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.w.Write(p)
}

// openClient opens the output. People read it on standard output if that is not for machines.
func (f *checkFlags) openClient(std streams) (r *clientRun, err error) {
	r = &clientRun{checkFlags: f, std: std, people: &together{w: std.out}}
	if r.out, err = f.open(std, false); err != nil {
		return nil, err
	}
	r.std.err = &together{w: std.err}
	if f.format != "text" || f.output != "" {
		r.people = r.std.err
	}
	r.text = r.out.text
	return r, nil
}

// checkClient has hostile servers listen, has the command visit them if there is one, and tells what the
// client did.
func (f *checkFlags) checkClient(ctx context.Context, std streams, command []string) (err error) {
	if options, mail := strings.CutPrefix(f.client.url, backendMX); mail {
		return f.checkSender(ctx, std, options, command)
	}
	e, err := starttls.ParseEndpoint(f.client.url, "match")
	if err != nil {
		return err
	}
	if err := isThere(command); err != nil {
		return err
	}
	run, err := f.openClient(std)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run.out.close()) }()
	c := &clientCheck{clientRun: run}
	name := e.Options.Get("match")
	if name == "" {
		name = e.Host
	}
	c.stage, err = villain.Open(villain.Config{
		Endpoint: e, Names: []string{name, hostname()}, Patience: f.patience, Timeout: f.timeout, Tell: c.tell,
	})
	if err != nil {
		return failed(err)
	}
	defer c.stage.Close()
	forget, err := c.writeCA()
	if err != nil {
		return failed(err)
	}
	defer forget()
	c.introduce(e, len(command) > 0)
	if len(command) > 0 {
		err = c.run(ctx, command)
	} else {
		c.await(ctx)
	}
	if err != nil {
		return failed(err)
	}
	return c.conclude(c.stage.Result())
}

// isThere looks for the client's program, before anything is said of the servers that it is for.
func isThere(command []string) error {
	if len(command) == 0 || strings.Contains(command[0], "{") {
		return nil
	}
	_, err := exec.LookPath(command[0])
	return failed(err)
}

// writeCA writes the authority for the client. forget takes a temporary file away.
func (c *clientCheck) writeCA() (forget func(), err error) {
	forget = func() {}
	if c.ca = c.client.ca; c.ca == "" {
		dir, err := os.MkdirTemp("", "starttls-client-")
		if err != nil {
			return nil, err
		}
		c.ca, forget = filepath.Join(dir, "ca.pem"), func() { os.RemoveAll(dir) }
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.stage.CA().Raw})
	return forget, os.WriteFile(c.ca, text, 0o644)
}

// introduce says who is where.
func (c *clientCheck) introduce(e starttls.Endpoint, driven bool) {
	fmt.Fprintf(c.people, "Hostile %s servers for a client. It must trust the authority in\n  %s\n\n", e.Dialect.Name, c.ca)
	for _, l := range c.stage.Listeners {
		_, port, _ := net.SplitHostPort(l.Addr)
		fmt.Fprintf(c.people, "  %5s  %-12s %s\n", port, l.Name, l.Does)
	}
	if driven {
		fmt.Fprintln(c.people, "\nThe client is run once for each.")
	} else {
		fmt.Fprintln(c.people, "\nPoint the client at each, the honest one too, and have it log in or send. Ctrl-C ends.")
	}
	fmt.Fprintln(c.people)
}

// tell shows what is known after a visit. Whether a client that gave nothing away has withstood is known
// when it was at the honest server.
func (c *clientCheck) tell(_ *villain.Listener, f finding.Finding) { c.show(f) }

func (c *clientRun) show(f finding.Finding) {
	fmt.Fprintf(c.people, "  %s %s\n", c.text.Mark(f.Verdict), finding.Wrap(f.Evidence, 70, "        "))
}

// await waits until the client was everywhere, or the user has had enough.
func (c *clientCheck) await(ctx context.Context) {
	tick := time.NewTicker(settleTime / 4)
	defer tick.Stop()
	quiet := 0
	for quiet < 8 { // of ticks: it was everywhere, and does not come back
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if quiet++; !c.stage.Visited() {
			quiet = 0
		}
	}
}

// run runs the client for each villain.
func (c *clientCheck) run(ctx context.Context, command []string) error {
	for _, l := range c.stage.Listeners {
		host, port, _ := net.SplitHostPort(l.Addr)
		err := c.runOne(ctx, command, "{host}", host, "{port}", port, "{addr}", l.Addr, "{ca}", c.ca, "{villain}", l.Name)
		if err != nil {
			return err
		}
		c.seeOut(l)
		if begun, _ := c.stage.Visits(l); begun == 0 {
			c.tellAbsent(l.Name)
		}
	}
	return nil
}

// tellAbsent tells, once, how a client ended that was not where it was sent.
func (c *clientRun) tellAbsent(where string) {
	if c.absent {
		return
	}
	c.absent = true
	const most = 500
	said := c.said[max(0, len(c.said)-most):]
	fmt.Fprintf(c.std.err, "starttls: the client was not at %s: %s; it said %s\n", where, c.ended, finding.Quote(said))
}

// runOne runs the client once, words filled in. What it prints and its status are its own; --all shows the
// former.
func (c *clientRun) runOne(ctx context.Context, command []string, words ...string) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	fill := strings.NewReplacer(words...)
	args := make([]string, len(command))
	for i, arg := range command {
		args[i] = fill.Replace(arg)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = settleTime
	err := cmd.Run()
	c.said, c.ended = said.Bytes(), "it could not be run"
	if cmd.ProcessState != nil {
		c.ended = cmd.ProcessState.String()
	}
	if c.all {
		c.std.err.Write(said.Bytes())
	}
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended && ctx.Err() == nil && !errors.Is(err, exec.ErrWaitDelay) {
		return err
	}
	return nil
}

// seeOut waits for the end of the client's connections, its own process having ended: a moment for one to
// be noticed, and longer for what is under way.
func (c *clientCheck) seeOut(l *villain.Listener) {
	for waited := time.Duration(0); waited < settleTime; waited += settleTime / 50 {
		begun, ended := c.stage.Visits(l)
		if begun > 0 && ended == begun || begun == 0 && waited > settleTime/10 {
			return
		}
		time.Sleep(settleTime / 50)
	}
}

// conclude writes the result and says what the exit status is. A client that was not tested in
// everything has not passed.
func (c *clientRun) conclude(r *finding.Result) error {
	if err := c.out.result(r); err != nil {
		return failed(err)
	}
	var sum tally
	sum.add(r)
	if err := c.out.status(sum); err != nil {
		return err
	}
	for _, f := range r.All {
		if f.Verdict == finding.NotTestable {
			return failed(fmt.Errorf("not everything could be tested: %s", f.Evidence))
		}
	}
	return nil
}
