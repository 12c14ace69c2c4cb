package config

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const sample = `
grace = "10s"
[log]
format = "json"
[tls]
min-version = "1.3"
[[tls.certificate]]
cert = "a.pem"
key = "a.key"
[[route]]
listen = "imap://:143"
backend = "imap://127.0.0.1:1143"
idle = "2h"
[[route]]
name = "mx"
listen = "smtp://:25"
[[route.certificate]]
cert = "b.pem"
`

func TestRead(t *testing.T) {
	f, err := Read("sample.toml", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if f.Grace != "10s" || f.Log.Format != "json" || f.TLS.Certificates[0].Key != "a.key" ||
		len(f.Routes) != 2 || f.Routes[0].Idle != "2h" || f.Routes[1].Certificates[0].Cert != "b.pem" {
		t.Errorf("got %+v", f)
	}
}

// TestMistakes: each is told with its place and with what was meant.
func TestMistakes(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"unknown key":     {"[log]\nlevle = \"info\"", `f.toml:2:1: unknown key "log.levle"; is "level" meant?`},
		"unknown far":     {"[log]\nx = 1", `f.toml:2:1: unknown key "log.x"; the keys here are level, format`},
		"unknown table":   {"[lgo]\nlevel = \"info\"", `f.toml:1:2: unknown key "lgo"; is "log" meant?`},
		"unknown in list": {"[[route]]\n  lissen = \"\"", `f.toml:2:3: unknown key "route.lissen"; is "listen" meant?`},
		"text for number": {"[[route]]\nmax-connections = \"many\"", `f.toml:2:19: route.max-connections: a whole number is meant, not a string`},
		"number for text": {"[log]\nlevel = 3", `f.toml:2:9: log.level: a text in quotes, "…", is meant, not an integer`},
		"no quotes":       {"state = /var/lib", `f.toml:1:9:`},
		"twice":           {"state = \"a\"\nstate = \"b\"", `f.toml:2:1:`},
		"not TOML":        {"listen on 25", `f.toml:1:`},
		"too large":       {strings.Repeat("#\n", maxSize), "f.toml: larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read("f.toml", []byte(row.text))
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
		})
	}
}

func TestAllUnknownKeysAreToldAtOnce(t *testing.T) {
	_, err := Read("f.toml", []byte("one = 1\n[log]\ntwo = 2"))
	if err == nil || !strings.Contains(err.Error(), `:1:1: unknown key "one"`) || !strings.Contains(err.Error(), `:3:1: unknown key "log.two"`) {
		t.Errorf("got %v", err)
	}
}

func TestErrorfKnowsThePlace(t *testing.T) {
	f, err := Read("sample.toml", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"grace":                        "sample.toml:2:1: x",
		"tls.min-version":              "sample.toml:6:1: x",
		"tls.certificate[0].key":       "sample.toml:9:1: x",
		"route[0].backend":             "sample.toml:12:1: x",
		"route[1].listen":              "sample.toml:16:1: x",
		"route[1].certificate[0].cert": "sample.toml:18:1: x",
		"route[1].backend":             "sample.toml:14:3: x", // is not there: its table is
		"metrics.listen":               "sample.toml: x",
	} {
		if got := f.Errorf(key, "x").Error(); got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	f, err := Read("f.toml", []byte("grace = \"soon\""))
	if err != nil {
		t.Fatal(err)
	}
	want := `f.toml:1:1: "soon": a time is meant, such as 30s, 5m or 12h`
	if _, err := f.Duration("grace", f.Grace, 0); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if _, err := f.Duration("grace", "-1s", 0); err == nil {
		t.Error("a time below zero was taken")
	}
	if d, err := f.Duration("grace", "", time.Minute); err != nil || d != time.Minute {
		t.Errorf("got %v, %v", d, err)
	}
}

func TestASingleRouteMayBeATable(t *testing.T) {
	f, err := Read("f.toml", []byte("[route]\nlisten = \"imap://:143\""))
	if err != nil || len(f.Routes) != 1 || f.Errorf("route[0].listen", "x").Error() != "f.toml:2:1: x" {
		t.Errorf("got %+v, %v", f, err)
	}
}

func TestBackendIsOneOrSeveral(t *testing.T) {
	for value, want := range map[string][]string{
		`"imap://a"`:                 {"imap://a"},
		`'imap://a'`:                 {"imap://a"},
		`""`:                         nil,
		`["imap://a", "imap://b"]`:   {"imap://a", "imap://b"},
		"[\n\"a\", # one\n\"b\",\n]": {"a", "b"},
		`[]`:                         nil,
	} {
		f, err := Read("f.toml", []byte("[[route]]\nbackend = "+value+"\nbalance = \"least\""))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Routes[0].Servers(); err != nil || !slices.Equal(got, want) || f.Routes[0].Balance != "least" {
			t.Errorf("%s: %q, %v", value, got, err)
		}
	}
	for _, value := range []string{"7", "true", "[7]", `["a", ["b"]]`, "{ a = 1 }"} {
		f, err := Read("f.toml", []byte("[[route]]\nbackend = "+value))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Routes[0].Servers(); err == nil {
			t.Errorf("%s: %q", value, got)
		}
	}
}

// TestTheManualHasEachKey: what stands in docs/config.md is a file that can be read, and no key is missing.
func TestTheManualHasEachKey(t *testing.T) {
	page, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for line := range strings.Lines(string(page)) {
		if code, ok := strings.CutPrefix(line, "    "); ok {
			text.WriteString(code)
		}
	}
	if _, err := Read("config.md", []byte(text.String())); err != nil {
		t.Fatal(err)
	}
	var look func(table reflect.Type)
	look = func(table reflect.Type) {
		if table.Kind() == reflect.Slice {
			table = table.Elem()
		}
		for i := 0; table.Kind() == reflect.Struct && i < table.NumField(); i++ {
			field := table.Field(i)
			key := regexp.QuoteMeta(field.Tag.Get("toml"))
			if key != "" && !regexp.MustCompile(`(?m)(^|\{ |, )`+key+` = |^\[.*\b`+key+`\]`).MatchString(text.String()) {
				t.Errorf("%s is not in the manual", key)
			}
			look(field.Type)
		}
	}
	look(reflect.TypeFor[File]())
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("[[route.certificate]]\nx=[{}]\n[a.\"b.c\"]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if file, err := Read("f.toml", text); err == nil {
			file.Errorf("route[0].listen", "x")
		}
	})
}
