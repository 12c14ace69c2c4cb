package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"starttls/internal/check"
	"starttls/internal/finding"
	"starttls/internal/store"
)

// run checks all targets.
func (f *checkFlags) run(ctx context.Context, std streams, args []string) (err error) {
	config, err := f.config()
	if err != nil {
		return err
	}
	if f.jobs < 1 {
		return fmt.Errorf("--jobs %d: meant is 1 or more", f.jobs)
	}
	for _, arg := range args { // a mistake on the command line is told before anything is asked
		t, err := check.ParseTarget(arg)
		if err == nil && f.evidence.lab && t.Domain != nil {
			err = inLab(*t.Domain)
		}
		if err != nil {
			return err
		}
	}
	targets, size, err := f.targets(std, args)
	if err != nil {
		return err
	}
	defer targets.Close()
	e, err := f.evidence.open(nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer e.close()
	config.Unfit = unfit(e.names, std)
	if config.Mail = e.gather; e.lab != nil {
		config.Dial, config.Roots = e.lab.Dial, e.lab.Roots()
	} else {
		config.Nobody = "192.0.2.1:25" // set aside for documentation (RFC 5737)
	}
	if e.lab != nil || len(f.evidence.dns.servers) > 0 {
		config.Addresses = e.addresses
	}
	out, err := f.open(std, size == 1 && len(args) == 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.close()) }()
	out.many = size != 1
	others, err := f.others()
	if err != nil {
		return err
	}
	kept, err := f.openHistory(ctx)
	if err != nil {
		return err
	}
	if kept != nil {
		defer kept.Close()
	}
	progress := newCheckProgress(std.err, size)
	if out.watch != nil {
		out.watch.target, progress.silent = args[0], true
	}
	config.Tell = func(target string, s *finding.Service, found finding.Finding) {
		out.live(s, found)
	}
	run := checkRun{
		checker: check.New(config), std: std, out: out, progress: progress, others: others, here: f.here,
	}
	if kept != nil {
		run.history = kept.Runs
	}
	err = run.all(ctx, targets, f.jobs)
	progress.end()
	if err != nil {
		return failed(err)
	}
	return out.status(run.sum)
}

// targets returns all targets, one on a line, and how many there are if that is known.
func (f *checkFlags) targets(std streams, args []string) (r io.ReadCloser, size int, err error) {
	given := strings.NewReader(strings.Join(append(args, ""), "\n"))
	switch f.list {
	case "":
		return io.NopCloser(given), len(args), nil
	case "-":
		return io.NopCloser(io.MultiReader(given, std.in)), 0, nil
	}
	file, err := os.Open(f.list)
	if err != nil {
		return nil, 0, failed(fmt.Errorf("--targets: %w", err))
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(given, file), file}, 0, nil
}

// A checkRun is one run over all targets.
type checkRun struct {
	checker  *check.Checker
	std      streams
	out      *checkOutput
	progress *checkProgress
	others   check.Vantage
	history  *store.Runs // nil if there is none
	here     string

	mu  sync.Mutex
	sum tally
	err error // of writing, or of the history
}

// reserve is how much memory the collector lets be wasted, in percent of what is used. With a thousand targets at
// the same time that is their stacks for the most part.
const reserve = 75

// all checks the targets, jobs of them at the same time, and writes results as they come.
func (r *checkRun) all(ctx context.Context, targets io.Reader, jobs int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer debug.SetGCPercent(debug.SetGCPercent(reserve))
	var workers, watching sync.WaitGroup
	watching.Go(func() { r.progress.watch(ctx) })
	defer watching.Wait()
	defer cancel()
	slots := make(chan struct{}, jobs)
	// Each target has a goroutine of its own: the large stack that a handshake needs ends with it, and is not
	// there while the next target is waited for.
	err := r.feed(ctx, targets, func(t check.Target) {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		workers.Go(func() {
			defer func() { <-slots }()
			if !r.one(ctx, t) {
				cancel()
			}
		})
	})
	workers.Wait()
	if r.err != nil {
		return r.err
	}
	return errors.Join(err, context.Cause(ctx))
}

// feed gives the targets to work, until ctx ends. Blank lines, and those that begin with #, are none.
func (r *checkRun) feed(ctx context.Context, targets io.Reader, work func(check.Target)) error {
	lines := bufio.NewScanner(targets)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if p, done := r.out.before(text); done {
			r.mu.Lock()
			r.sum.count(p)
			r.mu.Unlock()
			continue
		}
		t, err := check.ParseTarget(text)
		if err != nil {
			fmt.Fprintf(r.std.err, "starttls: target %d is left out: %v\n", n, err)
			r.mu.Lock()
			r.sum.wrong++
			r.mu.Unlock()
			continue
		}
		if work(t); ctx.Err() != nil {
			return nil
		}
	}
	return lines.Err()
}

// one checks one target and reports whether to go on.
func (r *checkRun) one(ctx context.Context, t check.Target) bool {
	r.progress.begun(t.Text)
	result, err := r.checker.Check(ctx, t)
	if err != nil {
		return false
	}
	if r.others != nil {
		r.others.Compare(result, r.out.live)
	}
	result.Vantage = r.here
	keep, err := r.recall(ctx, result)
	if err == nil {
		err = r.write(result)
	}
	if err == nil { // a run that is killed between tells again, and loses nothing
		err = keep()
	}
	return r.note(err)
}

// write writes a result, unless something has failed before.
func (r *checkRun) write(result *finding.Result) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.add(result)
	r.progress.done(result)
	if r.err != nil {
		return r.err
	}
	return r.out.result(result)
}

// note notes what has failed first, and reports whether to go on.
func (r *checkRun) note(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = cmp.Or(r.err, err)
	return r.err == nil
}

// unfit returns what finds out, once, whether DNSSEC works here, and tells it if it does not.
func unfit(n names, std streams) func(context.Context) error {
	var once sync.Once
	var err error
	return func(ctx context.Context) error {
		once.Do(func() {
			if err = n.Check(ctx); err != nil && ctx.Err() == nil {
				fmt.Fprintf(std.err, "starttls: the DNS is not fit, what needs DNSSEC cannot be told: %v\n", err)
			}
		})
		return err
	}
}

// A tally says what the exit status is.
type tally struct{ targets, reached, bad, wrong int }

func (t *tally) add(r *finding.Result) { t.count(past{r.Reached, r.Verdict == finding.Insufficient}) }

func (t *tally) count(p past) {
	t.targets++
	if p.reached {
		t.reached++
	}
	if p.bad {
		t.bad++
	}
}

// orElse is what is wrong in words, for a status that is told otherwise.
func (t tally) orElse() error {
	if err := t.status(); err != nil {
		return err
	}
	return fmt.Errorf("%d of %d targets have findings to look at", t.targets, t.targets)
}

// status is 0 only if every target was reached and nothing is insufficient.
func (t tally) status() error {
	switch {
	case t.bad > 0:
		return failure{statusRefused, fmt.Errorf("%d of %d targets have findings that are insufficient", t.bad, t.targets)}
	case t.reached < t.targets || t.wrong > 0:
		return failed(fmt.Errorf("%d of %d targets could not be reached or tested", t.targets-t.reached+t.wrong, t.targets+t.wrong))
	}
	return nil
}
