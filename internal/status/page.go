package status

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

// A View is what the page shows besides the board's counts.
type View struct {
	Name    string // of the host
	Version string
	Started time.Time
	Routes  []Route
}

// A Route is one line of the page.
type Route struct {
	Name, Listen, Backend string
	Level                 string    // what is demanded of clients
	Live                  int       // sessions
	Backends              []Backend // in place of Backend, if there are several
	Certificates          []Certificate
}

// A Backend is one of several that do the same.
type Backend struct {
	Addr string
	Down string // why it is not used; empty if it is well
	Live int    // sessions
}

// A Certificate is one that clients are shown.
type Certificate struct {
	Names       []string
	From, Until time.Time
	TLSA        string // the record "3 1 1"
	Self        bool   // signed by itself
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"picture": picture, "left": left, "since": since, "join": strings.Join, "short": short,
}).Parse(pageText))

// Write writes the page.
func (b *Board) Write(w io.Writer, v View) error {
	now := b.now()
	type row struct {
		Route
		Day []Outcome
	}
	shown := struct {
		View
		Now    time.Time
		Rows   []row
		Alarms []Alarm
	}{View: v, Now: now, Alarms: b.Alarms()}
	for _, r := range v.Routes {
		shown.Rows = append(shown.Rows, row{r, b.Day(r.Name)})
	}
	return page.Execute(w, shown)
}

// Left says how long a certificate is good, and how that is to be seen: good; warn, which is later than whoever renews
// certificates does it, with a third of their life left; bad, when it is urgent or over.
func (c Certificate) Left(now time.Time) (text, class string) {
	left, life := c.Until.Sub(now), c.Until.Sub(c.From)
	text = fmt.Sprintf("%d days", int(left.Hours()/24))
	const day = 24 * time.Hour
	switch {
	case left <= 0:
		return "expired", "bad"
	case left < min(7*day, life/12):
		return text, "bad"
	case left < min(21*day, life/4):
		return text, "warn"
	}
	return text, "good"
}

// left is Left for the page.
func left(c Certificate, now time.Time) struct{ Text, Class string } {
	text, class := c.Left(now)
	return struct{ Text, Class string }{text, class}
}

func since(start, now time.Time) string {
	d := now.Sub(start)
	if d < 48*time.Hour {
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}

// The picture's size, and how many steps are one bar.
const (
	width, height = 576, 72
	perBar        = 4
)

// picture draws the day as bars, outcome on outcome, with its words for who cannot see it.
func picture(day []Outcome) template.HTML {
	const bars = Steps / perBar
	heights, most := make([][]int, bars), 1
	for i := range heights {
		heights[i] = make([]int, len(day))
		sum := 0
		for o := range day {
			for _, n := range day[o].Steps[i*perBar : (i+1)*perBar] {
				heights[i][o] += n
			}
			sum += heights[i][o]
		}
		most = max(most, sum)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="sessions within a day">`, width, height)
	for _, words := range day {
		fmt.Fprintf(&b, `<desc>%s: %d</desc>`, template.HTMLEscapeString(words.Word), words.Total)
	}
	const barWidth = width / bars
	for i, bar := range heights {
		y := float64(height)
		for o, n := range bar {
			if n == 0 {
				continue
			}
			h := float64(n) * height / float64(most)
			y = max(y-h, 0) // the sum of rounded heights may be a trifle more
			fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%.1f" width="%d" height="%.1f"/>`, class(day[o].Word), i*barWidth, y, barWidth-1, h)
		}
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // made of numbers and of classes that are letters
}

// class is an outcome's name in the style sheet.
func class(word string) string {
	return "o-" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r == '-' {
			return r
		}
		return -1
	}, word)
}
