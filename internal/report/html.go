package report

import (
	_ "embed"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"starttls/internal/finding"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"sender":  senderText,
	"verdict": verdictOf,
	"day":     func(t time.Time) string { return t.Format(time.DateOnly) },
	"minute":  func(t time.Time) string { return t.Format(minute) },
	"service": func(r *finding.Result, i int) *finding.Service { return &r.Services[i] },
	"about":   explained,
	"hops":    hops,
	"matrix":  matrix,
	"life":    life,
}).Parse(pageText))

// HTML writes results as one page that needs nothing else: no script, no picture and no style from
// anywhere.
func HTML(w io.Writer, results []*finding.Result) error {
	return page.Execute(w, results)
}

// An explanation is a finding with what the catalogue says of it.
type explanation struct {
	finding.Finding
	Means string
	Mend  []finding.Mend
}

// explanations are findings, the gravest first; Quiet are those that ask for nothing.
type explanations struct{ Shown, Quiet []explanation }

func explained(s *finding.Service, all []finding.Finding) (e explanations) {
	protocol := ""
	if s != nil {
		protocol = s.Protocol
	}
	for _, f := range byGravity(all) {
		entry, _ := finding.ByID(f.ID)
		x := explanation{f, entry.Means, entry.MendsFor(protocol)}
		if (Text{}).Shows(f) {
			e.Shown = append(e.Shown, x)
		} else {
			e.Quiet = append(e.Quiet, x)
		}
	}
	return e
}

// A label is a text in a picture.
type label struct {
	X, Y int
	Text string
}

// A hop is one stretch of the way of mail or of a session, for the picture of the path.
type hop struct {
	From, To, X, Text int // of the line, the point and its name
	Name              string
	Verdict           finding.Verdict // of what protects the way to it
	Protects          []label         // what does
}

// A pathPicture is the way to a service.
type pathPicture struct {
	Width int
	Hops  []hop
}

// Sizes of the pictures, in their own units.
const (
	hopWidth = 190
	barWidth = 540
)

// hops is the way to a service: the DNS and who is at its end if it is a mail domain's, the clear phase,
// TLS.
func hops(r *finding.Result, s *finding.Service) pathPicture {
	both := append(slices.Clone(r.Findings), s.Findings...)
	var p pathPicture
	if d := r.Domain; d != nil {
		p.add("DNS", worstOf(both, "mail.mx", "mail.dnssec", "strip.mx-forged"), map[bool]string{true: "DNSSEC", false: "MX not signed"}[d.Secure])
		demand := ""
		for _, mx := range d.MX {
			if mx.Host == s.Host {
				demand = mx.Source + ", tls=" + mx.Level
			}
		}
		p.add(s.Host, worstOf(both, "mail.dane", "mail.sts-hosts"), demand)
	}
	if s.Clear != nil {
		p.add("upgrade", worstOf(s.Findings, "clear.", "strip."), "offer: "+s.Clear.Offer)
	}
	if s.TLS == nil {
		p.add("session", finding.Insufficient, string(s.Outcome))
	} else {
		p.add("session", worstOf(s.Findings, "tls.", "cert."), s.TLS.Version, s.TLS.Group)
	}
	p.Width = 60 + hopWidth*len(p.Hops) + 60
	return p
}

// add appends a hop.
func (p *pathPicture) add(name string, v finding.Verdict, protects ...string) {
	x := 24 + hopWidth*(len(p.Hops)+1)
	h := hop{From: x - hopWidth + 14, To: x - 14, X: x, Text: x - 40, Name: cut(name), Verdict: v}
	for i, text := range protects {
		h.Protects = append(h.Protects, label{x - 60, 70 + 16*i, cut(text)})
	}
	p.Hops = append(p.Hops, h)
}

// cut keeps a text from running into the next.
func cut(text string) string {
	if len(text) > 30 {
		return strings.ToValidUTF8(text[:29], "") + "…"
	}
	return text
}

// worstOf is the worst verdict of the findings whose ids begin like one of these.
func worstOf(all []finding.Finding, ids ...string) finding.Verdict {
	return finding.Worst(slices.DeleteFunc(slices.Clone(all), func(f finding.Finding) bool {
		return !slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(f.ID, id) })
	}))
}

// A cell is what one standard says of one fact.
type cell struct {
	X       int
	Verdict finding.Verdict
	Clause  string
}

// A head is the name of a standard over its column.
type head struct {
	X    int
	Name string
}

// A line is a fact, as all standards judge it.
type line struct {
	Y, TextY int
	Kind     string
	Value    string
	Cells    []cell
}

// A matrixPicture is the handshake matrix: facts down, standards across.
type matrixPicture struct {
	Width, Height int
	Heads         []head
	Lines         []line
}

const (
	lineHeight = 18
	headHeight = 30
	factWidth  = 430
	cellWidth  = 130
)

func matrix(s *finding.Service) matrixPicture {
	m := matrixPicture{Width: factWidth + cellWidth*len(s.Standards)}
	for i, st := range s.Standards {
		m.Heads = append(m.Heads, head{factWidth + cellWidth*i, st.Name})
	}
	for _, f := range s.Facts {
		l := line{Y: headHeight + lineHeight*len(m.Lines), TextY: headHeight + lineHeight*len(m.Lines) + 12, Kind: f.Kind, Value: f.Value}
		for i, st := range s.Standards {
			c := cell{X: factWidth + cellWidth*i, Verdict: finding.NotApplicable}
			for _, j := range st.Judged {
				if j.Fact == f {
					c.Verdict, c.Clause = j.Verdict, j.Clause
				}
			}
			l.Cells = append(l.Cells, c)
		}
		m.Lines = append(m.Lines, l)
	}
	m.Height = headHeight + lineHeight*len(m.Lines)
	return m
}

// A bar is the life of a certificate, for the timeline.
type bar struct {
	TextY, Y, X, Width int
	Name               string
	Verdict            finding.Verdict
	From, To           string
}

// A lifePicture is the timeline of a chain, with the day of the check in it.
type lifePicture struct {
	Height, Now int
	Bars        []bar
}

func life(r *finding.Result, s *finding.Service) lifePicture {
	chain := append(slices.Clone(s.Chain), s.Others...)
	p := lifePicture{Height: 34*len(chain) + 16}
	if len(chain) == 0 {
		return p
	}
	// The leaf fills the picture: an authority's decades would leave nothing of it.
	from, to := r.Started, r.Started
	for _, c := range append(chain[:1:1], s.Others...) {
		if c.NotBefore.Before(from) {
			from = c.NotBefore
		}
		if c.NotAfter.After(to) {
			to = c.NotAfter
		}
	}
	span := max(to.Sub(from), time.Hour)
	at := func(t time.Time) int {
		x := int(float64(barWidth) * float64(t.Sub(from)) / float64(span))
		return min(max(x, 0), barWidth)
	}
	p.Now = at(r.Started)
	for i, c := range chain {
		b := bar{TextY: 34*i + 12, Y: 34*i + 18, X: at(c.NotBefore), Name: c.Subject, Verdict: finding.Good, From: c.NotBefore.Format(time.DateOnly), To: c.NotAfter.Format(time.DateOnly)}
		b.Width = max(at(c.NotAfter)-b.X, 2)
		switch {
		case r.Started.After(c.NotAfter) || r.Started.Before(c.NotBefore):
			b.Verdict = finding.Insufficient
		case c.NotAfter.Sub(r.Started) < 14*24*time.Hour:
			b.Verdict = finding.PhaseOut
		}
		p.Bars = append(p.Bars, b)
	}
	return p
}
