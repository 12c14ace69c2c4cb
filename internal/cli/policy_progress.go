package cli

import (
	"fmt"
	"io"
)

// A progress tells how many are done, and what is waited for: in a line that changes on a terminal, now and then
// in a line of its own elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	done     int
	shown    bool
}

func newProgress(std streams) *progress { return &progress{w: std.err, terminal: isTerminal(std.err)} }

func (p *progress) step() {
	if p.done++; p.terminal {
		p.show("%d done", p.done)
	}
}

// waiting tells for how many seconds a destination has been waited for.
func (p *progress) waiting(text string, seconds int) {
	const every = 10 // seconds
	switch {
	case p.terminal:
		p.show("%d done, %d s for %s", p.done, seconds, text)
	case seconds%every == 0:
		fmt.Fprintf(p.w, "starttls: %d done, %d s for %s\n", p.done, seconds, text)
	}
}

// show puts a line in place of the last; it fits a terminal of 80 columns.
func (p *progress) show(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.w, "\r%.79s", fmt.Sprintf(format, args...))
	p.shown = true
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
