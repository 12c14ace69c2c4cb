package cli

import (
	"fmt"
	"hash/fnv"
	"io"
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
// and then elsewhere. A run of one target has none.
type checkProgress struct {
	w        io.Writer
	every    time.Duration // between two lines
	terminal bool
	total    int // zero if it is not known
	from     time.Time

	mu   sync.Mutex
	n    int
	bad  int
	told time.Time
}

func newCheckProgress(w io.Writer, total int) *checkProgress {
	p := &checkProgress{w: w, total: total, from: time.Now(), terminal: isTerminal(w), every: 30 * time.Second}
	if p.terminal {
		p.every = 200 * time.Millisecond
	}
	p.told = p.from
	return p
}

// done counts a target.
func (p *checkProgress) done(r *finding.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	if r.Verdict == finding.Insufficient {
		p.bad++
	}
	if p.total == 1 || time.Since(p.told) < p.every {
		return
	}
	p.told = time.Now()
	text := fmt.Sprintf("%s, last %s", p.sum(), r.Target)
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
	if p.terminal && p.total != 1 {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
