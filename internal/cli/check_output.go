package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"starttls/internal/check"
	"starttls/internal/finding"
	"starttls/internal/report"
)

// checkFormats are the words of --format.
var checkFormats = []string{"text", "line", "json", "jsonl", "csv", "html", "sarif", "junit", "nagios"}

// A checkOutput is where results go.
type checkOutput struct {
	format string
	w      *bufio.Writer
	file   *os.File // nil for standard output
	text   report.Text
	csv    report.CSV
	watch  *watcher          // nil if nobody looks on
	kept   []*finding.Result // of formats that are one document
	seen   map[uint64]past   // targets that were done before, by their hash
	nagios int               // the worst status
	many   bool              // json: an array
	n      int               // results that were written
}

// open opens the output of a run; one says that there is one target.
func (f *checkFlags) open(std streams, one bool) (*checkOutput, error) {
	o := &checkOutput{format: f.format}
	if !slices.Contains(checkFormats, f.format) {
		return nil, fmt.Errorf("unknown --format %q; the formats are %s", f.format, strings.Join(checkFormats, ", "))
	}
	if f.resume && (f.output == "" || f.format != "jsonl") {
		return nil, errors.New("--resume: meant is --output FILE --format jsonl")
	}
	w := std.out
	if f.output != "" {
		if err := o.openFile(f.output, f.resume); err != nil {
			return nil, failed(err)
		}
		w = o.file
	}
	o.w = bufio.NewWriter(w)
	terminal := o.file == nil && isTerminal(std.out)
	o.text = report.Text{W: o.w, All: f.all, Color: terminal && os.Getenv("NO_COLOR") == ""}
	if terminal && one && f.format == "text" {
		o.watch = &watcher{text: o.text, flush: o.w.Flush}
	}
	var err error
	if f.format == "csv" {
		o.csv, err = report.NewCSV(o.w)
	}
	return o, failed(err)
}

// isTerminal reports whether somebody is likely to read what is written there as it comes.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// openFile opens the output file anew, or to go on with it.
func (o *checkOutput) openFile(name string, resume bool) (err error) {
	flags := os.O_RDWR | os.O_CREATE
	if !resume {
		flags |= os.O_TRUNC
	}
	if o.file, err = os.OpenFile(name, flags, 0o666); err != nil || !resume {
		return err
	}
	whole, err := o.readSeen()
	if err != nil {
		return fmt.Errorf("--resume %s: %w", name, err)
	}
	if err := o.file.Truncate(whole); err != nil { // the last line may be a piece of one
		return err
	}
	_, err = o.file.Seek(whole, io.SeekStart)
	return err
}

// readSeen notes which targets are in the file, and returns where its last whole line ends.
func (o *checkOutput) readSeen() (whole int64, err error) {
	o.seen = map[uint64]past{}
	lines := bufio.NewReaderSize(o.file, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return 0, err
		}
		target, p, err := pastOf(line)
		if err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		o.seen[hashOf(target)] = p
		whole += int64(len(line))
	}
}

// pastOf reads the head of a result's line: there may be a million of them, and what is wanted stands before
// all that is long.
func pastOf(line []byte) (target string, p past, err error) {
	var verdict finding.Verdict
	wanted := map[string]any{"target": &target, "verdict": &verdict, "reached": &p.reached}
	fields := json.NewDecoder(bytes.NewReader(line))
	for at, err := fields.Token(); len(wanted) > 0; at, err = fields.Token() {
		name, ok := at.(string)
		switch {
		case err != nil:
			return "", past{}, fmt.Errorf("it is no result: %w", err)
		case at == json.Delim('{'):
			continue
		case !ok:
			return "", past{}, errors.New("it is no result")
		}
		value, ok := wanted[name]
		if !ok {
			value = new(json.RawMessage)
		}
		if err := fields.Decode(value); err != nil {
			return "", past{}, fmt.Errorf("it is no result: %s: %w", name, err)
		}
		delete(wanted, name)
	}
	p.bad = verdict == finding.Insufficient
	return target, p, nil
}

// A past is what became of a target that was done before.
type past struct{ reached, bad bool }

// before returns what became of a target that was done before.
func (o *checkOutput) before(target string) (p past, done bool) {
	p, done = o.seen[hashOf(target)]
	return p, done
}

// live shows a finding to who looks on.
func (o *checkOutput) live(s *finding.Service, f finding.Finding) {
	if o.watch != nil {
		o.watch.found(s, f)
	}
}

// result writes a result, to its end.
func (o *checkOutput) result(r *finding.Result) (err error) {
	switch o.format {
	case "text":
		if o.watch != nil {
			o.text.Summary(r)
		} else {
			o.text.Result(r)
		}
	case "line":
		err = report.Line(o.w, r)
	case "json":
		if o.many {
			o.w.WriteString([]string{"[\n", ",\n"}[min(o.n, 1)])
		}
		err = report.JSON(o.w, r)
	case "jsonl":
		err = report.JSONLine(o.w, r)
	case "csv":
		err = o.csv.Result(r)
	case "nagios":
		var status int
		status, err = report.Nagios(o.w, r, time.Now())
		o.nagios = max(o.nagios, status)
	default:
		o.kept = append(o.kept, r)
	}
	o.n++
	return errors.Join(err, o.w.Flush())
}

// close writes what is one document, and closes the file.
func (o *checkOutput) close() (err error) {
	write := map[string]func(io.Writer, []*finding.Result) error{"html": report.HTML, "sarif": report.SARIF, "junit": report.JUnit}[o.format]
	switch {
	case write != nil:
		err = write(o.w, o.kept)
	case o.format == "json" && o.many && o.n == 0:
		o.w.WriteString("[]\n")
	case o.format == "json" && o.many:
		o.w.WriteString("]\n")
	}
	err = errors.Join(err, o.w.Flush())
	if o.file != nil {
		err = errors.Join(err, o.file.Close())
	}
	return failed(err)
}

// status is the exit status of a run.
func (o *checkOutput) status(sum tally) error {
	if o.format == "nagios" && o.nagios > 0 {
		return failure{o.nagios, sum.orElse()}
	}
	return sum.status()
}

// watcher shows findings that are not as they should be as they come.
type watcher struct {
	mu    sync.Mutex
	text  report.Text
	flush func() error
	// target is the one that is checked, at whom what was found last is about.
	target, at string
}

func (w *watcher) found(s *finding.Service, f finding.Finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	protocol, at := "", w.target+" as a whole"
	if s != nil {
		protocol, at = s.Protocol, s.URL+" at "+s.Address
	}
	if at != w.at {
		w.at = at
		fmt.Fprintf(w.text.W, "\n%s\n", at)
	}
	if w.text.Shows(f) {
		w.text.Finding(protocol, f)
	}
	w.flush()
}

// others reads the results of --vantage.
func (f *checkFlags) others() (check.Vantage, error) {
	if f.vantage == "" {
		return nil, nil
	}
	file, err := os.Open(f.vantage)
	if err != nil {
		return nil, failed(fmt.Errorf("--vantage: %w", err))
	}
	defer file.Close()
	v, err := check.ReadVantage(file)
	if err != nil {
		return nil, failed(fmt.Errorf("--vantage %s: %w", f.vantage, err))
	}
	return v, nil
}
