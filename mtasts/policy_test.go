package mtasts

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// with returns a good policy with some text in place of another.
func with(old, new string) string {
	const good = "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\n"
	if !strings.Contains(good, old) {
		panic(old)
	}
	return strings.Replace(good, old, new, 1)
}

func TestParsePolicy(t *testing.T) {
	const week = 604800 * time.Second
	mx := []string{"mail.example.com", "*.example.net"}
	good := Policy{Mode: Enforce, MaxAge: week, MX: mx}
	aged := func(age time.Duration) *Policy { return &Policy{Mode: Enforce, MaxAge: age, MX: mx} }
	for _, c := range []struct {
		name, text string
		want       *Policy // nil if it must fail
	}{
		{"S47 LF", with("", ""), &good},
		{"S47 CRLF", strings.ReplaceAll(with("", ""), "\n", "\r\n"), &good},
		{"S47 mixed", with("\n", "\r\n"), &good},
		{"S47 no end", strings.TrimSuffix(with("", ""), "\n"), &good},
		{"S47 CR alone", strings.ReplaceAll(with("", ""), "\n", "\r"), nil},
		{"S47 CR at the end", strings.TrimSuffix(with("", ""), "\n") + "\r", nil},
		{"S47 CR CR LF", with("\n", "\r\r\n"), nil},
		{"S48 empty line at the end", with("", "") + "\n", &good},
		{"S48 empty line at the end, CRLF", strings.ReplaceAll(with("", ""), "\n", "\r\n") + "\r\n", &good},
		{"S48 two at the end", with("", "") + "\n\n", nil},
		{"S48 in the middle", with("mode", "\nmode"), nil},
		{"S48 in front", "\n" + with("", ""), nil},
		{"S48 line of blanks", with("", "") + "  \n", nil},
		{"S49 blanks before the line's end", with("STSv1\n", "STSv1 \t \n"), &good},
		{"S49 tab", with("mode: ", "mode:\t"), &good},
		{"S49 nothing", with("mode: ", "mode:"), &good},
		{"S50 space before :", with("mode:", "mode :"), nil},
		{"S50 leading space", with("mode", " mode"), nil},
		{"S50 BOM", "\ufeff" + with("", ""), nil},
		{"S51 two modes", with("max_age", "mode: none\nmax_age"), &good},
		{"S51 two max_ages", with("", "") + "max_age: 1\n", &good},
		{"S51 the second is wrong", with("", "") + "max_age: soon\n", &good},
		{"S51 the first is wrong", "mode: soon\n" + with("", ""), nil},
		{"S52 another version behind", with("", "") + "version: STSv2\n", &good},
		{"S52 another version in front", "version: STSv2\n" + with("", ""), nil},
		{"S53 version last", with("version: STSv1\n", "") + "version: STSv1\n", &good},
		{"S54 no version", with("version: STSv1\n", ""), nil},
		{"S54 no mode", with("mode: enforce\n", ""), nil},
		{"S54 no max_age", with("max_age: 604800\n", ""), nil},
		{"S55 enforce without mx", "version: STSv1\nmode: enforce\nmax_age: 1\n", nil},
		{"S55 testing without mx", "version: STSv1\nmode: testing\nmax_age: 1\n", nil},
		{"S55 mx misspelt", "version: STSv1\nmode: enforce\nmax_age: 1\nnmx: mail.example.com\n", nil},
		{"S56 none without mx", "version: STSv1\nmode: none\nmax_age: 1\n", &Policy{Mode: None, MaxAge: time.Second}},
		{"S57 Enforce", with("enforce", "Enforce"), nil},
		{"S57 Mode", with("mode", "Mode"), nil},
		{"S57 no such mode", with("enforce", "report"), nil},
		{"S58 max_age 0", with("604800", "0"), aged(0)},
		{"S59 the longest", with("604800", "31557600"), aged(MaxAge)},
		{"S60 a second more", with("604800", "31557601"), aged(MaxAge)},
		{"S60 ten digits", with("604800", "9999999999"), aged(MaxAge)},
		{"S61 negative", with("604800", "-5"), nil},
		{"S61 sign", with("604800", "+5"), nil},
		{"S61 11 digits", with("604800", "00000604800"), nil},
		{"S61 exponent", with("604800", "1e6"), nil},
		{"S61 unit", with("604800", "604800s"), nil},
		{"S61 blank inside", with("604800", "604 800"), nil},
		{"S61 empty", with("604800", ""), nil},
		{"S62 unknown with :", with("", "") + "note: https://example.com/\n", &good},
		{"S62 unknown with UTF-8", with("", "") + "note: bücher sind gut\n", &good},
		{"S62 unknown with what is no UTF-8", with("", "") + "note: \xff\n", nil},
		{"S62 unknown with NUL", with("", "") + "note: a\x00b\n", nil},
		{"S62 unknown with a tab inside", with("", "") + "note: a\tb\n", nil},
		{"S62 unknown without value", with("", "") + "note: \n", nil},
		{"S62 name of 33", with("", "") + strings.Repeat("a", 33) + ": b\n", nil},
		{"S63 *", with("*.example.net", "*"), nil},
		{"S63 *.", with("*.example.net", "*."), nil},
		{"S63 inner", with("*.example.net", "mail.*.example.com"), nil},
		{"S63 two", with("*.example.net", "*.*.example.com"), nil},
		{"S63 no dot", with("*.example.net", "*example.com"), nil},
		{"S63 part of a label", with("*.example.net", "mx*.example.com"), nil},
		{"S64 U-label", with("*.example.net", "*.bücher.example"), nil},
		{"S65 two names", with("*.example.net", "a.example, b.example"), nil},
		{"S65 two words", with("*.example.net", "a.example tafile=/x"), nil},
		{"S65 braces", with("*.example.net", "{a.example}"), nil},
		{"S65 underscore", with("*.example.net", "a_b.example"), nil},
		{"S65 hyphen at an end", with("*.example.net", "a-.example"), nil},
		{"S65 label of 64", with("*.example.net", strings.Repeat("a", 64)+".example"), nil},
		{"S65 name of 255", with("*.example.net", strings.Repeat("a.", 127)+"b"), nil},
		{"S66 trailing dot", with("*.example.net", "mx.example.net."), nil},
		{"S66 empty label", with("*.example.net", "mx..example.net"), nil},
		{"S67 HTML", "<!DOCTYPE html>\n<html>\n</html>\n", nil},
		{"S67 empty", "", nil},
		{"S67 empty lines", "\n\n", nil},
		{"S69 upper case", with("*.example.net", "*.Example.NET"), &good},
		{"64 KiB", with("", "") + note(MaxBody-len(with("", ""))), &good},
		{"64 KiB + 1", with("", "") + note(MaxBody+1-len(with("", ""))), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := ParsePolicy([]byte(c.text))
			switch {
			case err != nil && c.want != nil:
				t.Error(err)
			case err == nil && c.want == nil:
				t.Errorf("%+v", p)
			case err == nil && (p.Mode != c.want.Mode || p.MaxAge != c.want.MaxAge || !slices.Equal(p.MX, c.want.MX) || p.Text != c.text):
				t.Errorf("%+v", p)
			case err != nil && len(err.Error()) > 300:
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

// note returns an unknown field of n bytes.
func note(n int) string { return "note: " + strings.Repeat("a", n-len("note: ")) }

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		name, pattern, host string
		want                bool
	}{
		{"S68 one label", "*.example.com", "mail.example.com", true},
		{"S68 no label", "*.example.com", "example.com", false},
		{"S68 two labels", "*.example.com", "a.b.example.com", false},
		{"S68 another domain", "*.example.com", "evilexample.com", false},
		{"S68 empty label", "*.example.com", ".example.com", false},
		{"S68 no wildcard", "mail.example.com", "a.mail.example.com", false},
		{"S69 case and last dot", "MAIL.Example.COM", "mail.example.com.", true},
		{"S69 case of the host", "mail.example.com", "Mail.EXAMPLE.com", true},
		{"S70 A-labels", "*.xn--bcher-kva.de", "mx.xn--bcher-kva.de", true},
		{"S70 A-label for the wildcard", "*.example.com", "xn--bcher-kva.example.com", true},
		{"no host", "*.example.com", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := ParsePolicy([]byte(with("*.example.net", c.pattern)))
			if err != nil {
				t.Fatal(err)
			}
			p.MX = p.MX[1:] // without mail.example.com
			if p.Matches(c.host) != c.want {
				t.Errorf("%s, %s: %t", c.pattern, c.host, !c.want)
			}
		})
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(with("", ""), "mail.example.com")
	f.Add(strings.ReplaceAll(with("enforce", "none"), "\n", "\r\n"), "xn--bcher-kva.example.net")
	f.Add("version:STSv1\nmode:none\nmax_age:0", "")
	f.Fuzz(func(t *testing.T, text, host string) {
		p, err := ParsePolicy([]byte(text))
		if err != nil {
			return
		}
		if p.MaxAge < 0 || p.MaxAge > MaxAge || len(p.MX) == 0 && p.Mode != None || p.Text != text {
			t.Errorf("%+v", p)
		}
		for _, pattern := range p.MX {
			if !isPattern(pattern) || strings.ContainsAny(pattern, " ,={}\r\n\x00") {
				t.Errorf("pattern %q", pattern)
			}
			if name, ok := strings.CutPrefix(pattern, "*."); ok && (!p.Matches("a."+name) || p.Matches("a.b."+name) && len(p.MX) == 1) {
				t.Errorf("pattern %q", pattern)
			}
		}
		p.Matches(host)
	})
}

// TestPublish: what we publish is what we would accept, and the id follows the text.
func TestPublish(t *testing.T) {
	p, err := NewPolicy(Enforce, 24*time.Hour, "mx.example.com", "*.example.net")
	if err != nil || p.Text != "version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmx: *.example.net\r\nmax_age: 86400\r\n" {
		t.Fatalf("%+v, %v", p, err)
	}
	id, err := ParseRecord([]string{p.Record()})
	if err != nil {
		t.Error(err)
	}
	other, err := NewPolicy(Testing, 24*time.Hour, "mx.example.com", "*.example.net")
	if err != nil {
		t.Fatal(err)
	}
	if otherID, _ := ParseRecord([]string{other.Record()}); otherID == id {
		t.Error("two policies have one id")
	}
	for _, bad := range []struct {
		mode Mode
		age  time.Duration
		mx   string
	}{
		{"Enforce", time.Hour, "a.example"},
		{Enforce, time.Hour, "a.example."},
		{Enforce, time.Hour, "a.example\r\nmx: b.example"},
		{Enforce, MaxAge + time.Second, "a.example"},
		{Enforce, -time.Second, "a.example"},
		{Enforce, time.Millisecond, "a.example"},
	} {
		if p, err := NewPolicy(bad.mode, bad.age, bad.mx); err == nil {
			t.Errorf("%+v", p)
		}
	}
	if _, err := NewPolicy(Enforce, time.Hour); err == nil {
		t.Error("enforces, and names no MX")
	}
	if _, err := NewPolicy(None, time.Hour); err != nil {
		t.Error(err)
	}
}
