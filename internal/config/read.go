package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// A Place is where something stands in the file, both counted from 1. The zero Place is nowhere.
type Place struct{ Line, Column int }

// A Mistake is something wrong with the file.
type Mistake struct {
	Path string
	Place
	Text string // what is wrong, and what was meant
}

// Error is "file:line:column: what is wrong"; without a file, what is wrong alone.
func (m *Mistake) Error() string {
	switch {
	case m.Path == "":
		return m.Text
	case m.Place == (Place{}):
		return m.Path + ": " + m.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.Path, m.Line, m.Column, m.Text)
}

// maxSize bounds the file.
const maxSize = 1 << 20

// Read reads the file's text. path is for messages. All mistakes that can be told at once are, joined.
func Read(path string, text []byte) (*File, error) {
	f := &File{path: path}
	if len(text) > maxSize {
		return nil, f.Errorf("", "larger than %d bytes", maxSize)
	}
	d := toml.NewDecoder(bytes.NewReader(text))
	if err := d.DisallowUnknownFields().Decode(f); err != nil {
		return nil, f.translate(err)
	}
	f.places = places(text)
	return f, nil
}

// Errorf returns the mistake of the value at key: "route[1].listen", "tls.min-version". A key that is
// not in the file is told at the place of the table in which it should be. Of a File that was not read but
// made, the text alone is told.
func (f *File) Errorf(key, format string, args ...any) error {
	m := &Mistake{Path: f.path, Text: fmt.Sprintf(format, args...)}
	for key != "" && m.Place == (Place{}) {
		m.Place = cmp.Or(f.places[key], f.places[strings.ReplaceAll(key, "[0]", "")]) // [route] is a list of one
		key = key[:max(strings.LastIndexByte(key, '.'), 0)]
	}
	return m
}

// Duration reads the time at key, "30s" or "12h". An empty text is none.
func (f *File) Duration(key, text string, none time.Duration) (time.Duration, error) {
	if text == "" {
		return none, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, f.Errorf(key, "%q: a time is meant, such as 30s, 5m or 12h", text)
	}
	return d, nil
}

// translate puts the decoder's errors, which speak of Go's types, into our words.
func (f *File) translate(err error) error {
	if missing, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var all []error
		for _, e := range missing.Errors {
			all = append(all, f.mistake(&e, unknown(e.Key())))
		}
		return errors.Join(all...)
	}
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		return f.mistake(e, kindMeant(e))
	}
	return &Mistake{Path: f.path, Text: err.Error()}
}

func (f *File) mistake(e *toml.DecodeError, text string) error {
	line, column := e.Position()
	return &Mistake{Path: f.path, Place: Place{line, column}, Text: text}
}

// goType finds the decoder's words on a value of the wrong kind.
var goType = regexp.MustCompile(`cannot decode TOML (\S+) into (?:a )?(?:struct field \S+ of type )?(\S+)`)

// kindMeant says which kind of value was meant.
func kindMeant(e *toml.DecodeError) string {
	text := strings.TrimPrefix(e.Error(), "toml: ")
	key := strings.Join(e.Key(), ".")
	switch parts := goType.FindStringSubmatch(text); {
	case len(parts) == 3:
		return fmt.Sprintf("%s: %s is meant, not %s", key, words(parts[2]), article(parts[1]))
	case key != "":
		return key + ": " + text
	}
	return text
}

// words says a Go type in the words of TOML.
func words(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]string"):
		return `a list of texts, ["…", "…"],`
	case strings.HasPrefix(goType, "[]"):
		return "a list of tables, each under [[…]],"
	case goType == "string":
		return `a text in quotes, "…",`
	case goType == "int":
		return "a whole number"
	case goType == "bool":
		return "true or false"
	}
	return "a table"
}

func article(noun string) string {
	if strings.ContainsAny(noun[:1], "aeiou") {
		return "an " + noun
	}
	return "a " + noun
}

// unknown says that there is no such key, and which one was meant.
func unknown(key toml.Key) string {
	known := keysOf(reflect.TypeFor[File](), key[:len(key)-1])
	last := key[len(key)-1]
	text := fmt.Sprintf("unknown key %q", strings.Join(key, "."))
	near := slices.MinFunc(append(known, ""), func(a, b string) int { return cmp.Compare(distance(last, a), distance(last, b)) })
	if near != "" && distance(last, near) <= (len(last)+3)/3 {
		return text + fmt.Sprintf("; is %q meant?", near)
	}
	if len(known) > 0 {
		text += "; the keys here are " + strings.Join(known, ", ")
	}
	return text
}

// keysOf returns the keys of the table that stands under a path.
func keysOf(t reflect.Type, path []string) (keys []string) {
	for t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for field := range t.Fields() {
		name := field.Tag.Get("toml")
		switch {
		case name == "":
		case len(path) == 0:
			keys = append(keys, name)
		case name == path[0]:
			return keysOf(field.Type, path[1:])
		}
	}
	return keys
}

// distance is how many letters must be changed, put in or taken out to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
