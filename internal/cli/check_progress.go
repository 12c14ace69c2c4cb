package cli

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"sync"
	"time"

	"starttls/internal/finding"
)

func hashOf(text string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, text)
	return h.Sum64()
}

// A checkProgress tells how far a long run is, on standard error: a status line on a terminal, a plain line now
// and then elsewhere. It is silent where somebody sees the findings of one target come.
type checkProgress struct {
	w        io.Writer
	every    time.Duration // between two lines
	terminal bool
	total    int // zero if it is not known
	from     time.Time
	silent   bool

	mu   sync.Mutex
	n    int
	bad  int
	told time.Time
	open []underWay // the oldest first
}

// underWay is a target that is checked now.
type underWay struct {
	target string
	from   time.Time
}

func newCheckProgress(w io.Writer, total int) *checkProgress {
	p := &checkProgress{w: w, total: total, from: time.Now(), terminal: isTerminal(w), every: 15 * time.Second}
	if p.terminal {
		p.every = 200 * time.Millisecond
	}
	p.told = p.from
	return p
}

// begun notes that a target is checked from now on.
func (p *checkProgress) begun(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = append(p.open, underWay{target, time.Now()})
}

// watch tells, until ctx ends, what is waited for.
func (p *checkProgress) watch(ctx context.Context) {
	ticks := time.NewTicker(max(p.every, time.Second))
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			p.wait()
		case <-ctx.Done():
			return
		}
	}
}

// wait tells of the target that has been waited for the longest, if nothing else was told for a while.
func (p *checkProgress) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) > 0 {
		oldest := p.open[0]
		p.tell(fmt.Sprintf("%d done, %.0f s for %s", p.n, time.Since(oldest.from).Seconds(), oldest.target))
	}
}

// done counts a target.
func (p *checkProgress) done(r *finding.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	if r.Verdict == finding.Insufficient {
		p.bad++
	}
	if i := slices.IndexFunc(p.open, func(u underWay) bool { return u.target == r.Target }); i >= 0 {
		p.open = slices.Delete(p.open, i, i+1)
	}
	if p.total != 1 {
		p.tell(fmt.Sprintf("%s, last %s", p.sum(), r.Target))
	}
}

// tell tells, unless that was done a moment ago. The caller holds the lock.
func (p *checkProgress) tell(text string) {
	if p.silent || time.Since(p.told) < p.every {
		return
	}
	p.told = time.Now()
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%.79s", text)
		return
	}
	fmt.Fprintf(p.w, "starttls: %s\n", text)
}

func (p *checkProgress) sum() string {
	took := time.Since(p.from)
	of, left := "", ""
	if p.total > 0 {
		of = fmt.Sprintf(" of %d", p.total)
		rest := took * time.Duration(p.total-p.n) / time.Duration(max(p.n, 1))
		left = fmt.Sprintf(", %s to go", rest.Round(time.Second))
	}
	return fmt.Sprintf("%d%s done, %d insufficient, %.1f a second%s", p.n, of, p.bad, float64(p.n)/took.Seconds(), left)
}

// end takes the status line away.
func (p *checkProgress) end() {
	if p.terminal && !p.silent {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
