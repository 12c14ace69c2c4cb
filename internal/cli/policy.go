package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starttls"
	"starttls/internal/finding"
	"starttls/internal/lab"
	"starttls/internal/policy"
	"starttls/internal/store"
	"starttls/mtasts"
)

// policyFlags are the flags of "policy DOMAIN".
type policyFlags struct {
	evidence        evidenceFlags
	store           storeFlags
	level, format   string
	name            string
	live            bool
	parallel        int
	timeout         time.Duration
	requireTLS, opt bool
	tell            func(*policyRun, *inspection) error
}

func newPolicy(std streams) *cobra.Command {
	cmd := newPolicyCommand(std, (*policyRun).tell)
	cmd.AddCommand(newPolicyServe(std))
	return cmd
}

// newPolicyCommand is "policy DOMAIN", with who prints what was found.
func newPolicyCommand(std streams, tell func(*policyRun, *inspection) error) *cobra.Command {
	f := policyFlags{tell: tell}
	cmd := &cobra.Command{
		Use: "policy DOMAIN...",
		// "serve" is a command of its own below this one.
		TraverseChildren: true,
		Short:            "what a delivery to a domain must demand, and why",
		Long: `Say for each DOMAIN what a delivery to it must demand, and why: what the DNS answers
and how far that can be trusted, the MTA-STS policy, each MX host with its addresses and
TLSA records, what is demanded of it, and what may go wrong.

DOMAIN is a domain, or a next hop as Postfix writes it: example.org:587 with a port,
[mail.example.org] for a host that is not looked up in MX. "-" reads domains from
standard input, one a line.

Without --level each host is asked for what is proved of it: TLSA records (RFC 7672), else
MTA-STS (RFC 8461), else TLS if it is offered. --live connects to each host and says
whether it is what is demanded; no mail is sent.

Exit status: 0 mail can go to each domain; 1 it cannot to one, or with --live a host
is not what is demanded; 2 the DNS could not be asked, or is not fit for DNSSEC; 64 wrong
usage.`,
		Example: `  starttls policy example.org
  starttls policy --live example.org '[mail.example.net]:587'
  starttls policy --format json - <domains.txt | jq -r 'select(.refusal) | .domain'
  starttls policy --lab
  starttls policy --lab dane-rolled.test --live`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			return f.run(ctx, std, args)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVar(&f.live, "live", false, "connect to each host and verify it")
	fs.StringVar(&f.level, "level", "auto", "what is demanded, a `LEVEL`: none, may, encrypt, verify, secure, dane, dane-only, auto")
	fs.BoolVar(&f.requireTLS, "requiretls", false, "for a message with REQUIRETLS (RFC 8689)")
	fs.BoolVar(&f.opt, "tls-required-no", false, `for a message with "TLS-Required: No" (RFC 8689)`)
	fs.StringVar(&f.format, "format", "text", "text, json")
	fs.StringVar(&f.name, "name", "", "how we call ourselves, with --live (default: the host's name)")
	fs.IntVar(&f.parallel, "parallel", 8, "so many domains at the same time")
	fs.DurationVar(&f.timeout, "timeout", 10*time.Second, "for each question to the DNS, and for each session; thrice that for all that is asked of a domain")
	fs.StringVar(&f.store.state, "state", "", "look into the state `FOLDER` of a program that runs: its MTA-STS policies, and what it saw of hosts (default: nothing was seen before)")
	fs.StringVar(&f.store.url, "store", "", "the same, by its `URL`, sqlite:PATH or postgres://USER@HOST/DATABASE")
	f.evidence.add(fs)
	return cmd
}

// A policyRun is "policy DOMAIN", ready to run.
type policyRun struct {
	*policyFlags
	std      streams
	evidence *evidence
	options  policy.Options
}

// An inspection is a destination, its plan, and how its hosts are in truth.
type inspection struct {
	text string // the destination as it was given
	err  error  // it is none
	plan *policy.Plan
	live map[int][]string // by attempt, a line for each address
	bad  bool             // with --live: a host is not what is demanded
}

func (f *policyFlags) run(ctx context.Context, std streams, args []string) error {
	r := &policyRun{policyFlags: f, std: std}
	if err := r.check(args); err != nil {
		return err
	}
	kept, err := f.open(ctx)
	if err != nil {
		return err
	}
	if kept != nil {
		defer kept.Close()
	}
	if r.evidence, err = f.openEvidence(kept); err != nil {
		return err
	}
	defer r.evidence.close()
	if len(args) == 0 { // --lab
		for _, d := range lab.List() {
			args = append(args, d.Name)
		}
	}
	unfit := r.evidence.prove(ctx)
	if unfit != nil {
		fmt.Fprintf(std.err, "starttls: the DNS is not fit, and nothing it says is proved: %v\n", unfit)
	}
	bad, n, err := r.each(ctx, destinations(args, std.in))
	switch {
	case err != nil:
		return failed(err)
	case unfit != nil:
		return failed(errors.New("what was told rests on a DNS that is not fit"))
	case n > 0:
		return failure{statusRefused, fmt.Errorf("%d of the destinations %s not as %s should be: %s", n, plural(n, "is", "are"), plural(n, "it", "they"), firstOf(bad, n))}
	}
	return nil
}

// open opens what another program keeps, if it was named, and waits until it can be read.
func (f *policyFlags) open(ctx context.Context) (*store.Store, error) {
	switch {
	case f.store == storeFlags{}:
		return nil, nil
	case f.evidence.lab:
		return nil, errors.New("what is kept of the world says nothing of the lab: --lab goes without --state and --store")
	case f.store.url == "": // opened, it would be made
		if _, err := os.Stat(filepath.Join(f.store.state, storeFile)); err != nil {
			return nil, failed(fmt.Errorf("--state: %w", err))
		}
	}
	s, err := openStore(f.store.url, f.store.state, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	if err := s.Flush(ctx); err != nil {
		s.Close()
		return nil, failed(fmt.Errorf("%s cannot be read: %w", s, err))
	}
	return s, nil
}

// openEvidence opens the rest. kept may be nil.
func (f *policyFlags) openEvidence(kept *store.Store) (*evidence, error) {
	var cache mtasts.Cache = &mtasts.Memory{}
	if kept != nil {
		cache = kept.Policies
	}
	e, err := f.evidence.open(cache, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	e.gather.Timeout = f.timeout
	if kept != nil {
		e.gather.Memory = kept.Hosts
	}
	return e, nil
}

// check reads arguments and flags.
func (r *policyRun) check(args []string) error {
	if len(args) == 0 && !r.policyFlags.evidence.lab {
		return errors.New(`policy takes DOMAINs, such as example.org, or "-" to read them from standard input`)
	}
	for _, arg := range args {
		if arg == "-" {
			continue
		}
		d, err := policy.ParseDestination(arg)
		if err == nil && r.policyFlags.evidence.lab {
			err = inLab(d)
		}
		if err != nil {
			return err
		}
	}
	if r.format != "text" && r.format != "json" {
		return fmt.Errorf("unknown --format %q; the formats are text, json", r.format)
	}
	if r.parallel < 1 {
		return errors.New("--parallel is below 1")
	}
	if r.requireTLS && r.opt {
		return errors.New("--requiretls and --tls-required-no are of two different messages")
	}
	level, err := starttls.ParseLevel(r.level)
	if err != nil {
		return err
	}
	r.options = policy.Options{Default: &policy.Override{Level: level}, RequireTLS: r.requireTLS, TLSOptional: r.opt}
	if r.name == "" {
		r.name = hostname()
	}
	return nil
}

// destinations returns arguments, and for "-" the lines of in. Blank lines and such that begin with # are
// passed over.
func destinations(args []string, in io.Reader) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, arg := range args {
			if arg != "-" {
				if !yield(arg) {
					return
				}
				continue
			}
			lines := bufio.NewScanner(in)
			for lines.Scan() {
				line := strings.TrimSpace(lines.Text())
				if line != "" && line[0] != '#' && !yield(line) {
					return
				}
			}
		}
	}
}

// each inspects destinations, several at the same time, and tells of them in their order. It returns how
// many are not as they should be, and the first of those.
func (r *policyRun) each(ctx context.Context, all func(yield func(string) bool)) (bad []string, n int, err error) {
	queue := make(chan pending, r.parallel-1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(queue)
		for text := range all {
			next := pending{text, make(chan *inspection, 1)}
			select {
			case queue <- next:
				go func() { next.done <- r.inspect(ctx, text) }()
			case <-ctx.Done():
				return
			}
		}
	}()
	progress := newProgress(r.std)
	for next := range queue {
		i, err := next.wait(ctx, progress)
		if err != nil {
			return bad, n, err
		}
		progress.clear()
		if err := r.policyFlags.tell(r, i); err != nil {
			return bad, n, err
		}
		if i.err != nil || i.bad || i.plan.Refusal != nil {
			if n++; n <= mostNamed {
				bad = append(bad, finding.Clean(i.text))
			}
		}
		progress.step()
	}
	progress.clear()
	return bad, n, ctx.Err()
}

// mostNamed bounds how many are named of those that are not as they should be.
const mostNamed = 50

// firstOf names the first of n.
func firstOf(first []string, n int) string {
	text := strings.Join(first, ", ")
	if more := n - len(first); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// A pending inspection is under way.
type pending struct {
	text string // the destination
	done chan *inspection
}

// wait waits for it, and tells when that takes long.
func (p pending) wait(ctx context.Context, progress *progress) (*inspection, error) {
	seconds := time.NewTicker(time.Second)
	defer seconds.Stop()
	for waited := 1; ; waited++ {
		select {
		case i := <-p.done:
			return i, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-seconds.C:
			progress.waiting(finding.Clean(p.text), waited)
		}
	}
}

// inspect gathers, decides, and with --live goes to look.
func (r *policyRun) inspect(ctx context.Context, text string) *inspection {
	i := &inspection{text: text}
	d, err := policy.ParseDestination(text)
	if i.err = err; err != nil {
		return i
	}
	gathering, cancel := context.WithTimeout(ctx, 3*r.timeout)
	i.plan = policy.Decide(r.evidence.gather.Gather(gathering, d), r.options)
	cancel()
	if r.live {
		r.visit(ctx, i)
	}
	return i
}

// tell prints an inspection.
func (r *policyRun) tell(i *inspection) error {
	if r.format == "json" {
		return tellJSON(r.std.out, i)
	}
	if i.err != nil {
		_, err := fmt.Fprintf(r.std.out, "%s\n\n", finding.Clean(i.err.Error()))
		return err
	}
	if err := treeOf(i).write(r.std.out); err != nil {
		return err
	}
	_, err := fmt.Fprintln(r.std.out)
	return err
}

// plural chooses a word by a number.
func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}
