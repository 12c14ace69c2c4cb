package mtasts

import (
	"errors"
	"strings"
	"testing"
)

func TestParseRecord(t *testing.T) {
	long := strings.Repeat("a", 32)
	for _, c := range []struct {
		name    string
		records []string
		id      string // "" if it must fail
	}{
		{"S01 as in the RFC", []string{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z"},
		{"S02 no space, no end", []string{"v=STSv1;id=1"}, "1"},
		{"S03 blank before the delimiter", []string{"v=STSv1 ; id=1"}, "1"},
		{"S03 tabs", []string{"v=STSv1\t;\tid=1\t;\t"}, "1"},
		{"S04 V", []string{"V=STSv1; id=1"}, ""},
		{"S04 stsv1", []string{"v=stsv1; id=1"}, ""},
		{"S05 version alone", []string{"v=STSv1"}, ""},
		{"S05 nothing behind the version", []string{"v=STSv1;"}, ""},
		{"S05 empty id", []string{"v=STSv1; id="}, ""},
		{"S05 hyphen", []string{"v=STSv1; id=a-b"}, ""},
		{"S05 33 characters", []string{"v=STSv1; id=" + long + "a"}, ""},
		{"S05 no id", []string{"v=STSv1; a=b"}, ""},
		{"S06 32 characters", []string{"v=STSv1; id=" + long}, long},
		{"S07 version last", []string{"id=1; v=STSv1"}, ""},
		{"S08 two records", []string{"v=STSv1; id=1", "v=STSv1; id=2"}, ""},
		{"S08 the same twice", []string{"v=STSv1; id=1", "v=STSv1; id=1"}, ""},
		{"S08 a wrong one and a good one", []string{"v=STSv1;", "v=STSv1; id=1"}, ""},
		{"S09 another TXT", []string{"spf, or what it is", "v=STSv1; id=1"}, "1"},
		{"S09 another version", []string{"v=STSv1; id=1", "v=STSv2; id=2"}, "1"},
		{"S10 field before", []string{"v=STSv1; a_b-c.d=<:>; id=1"}, "1"},
		{"S10 field behind", []string{"v=STSv1; id=1; x=1;"}, "1"},
		{"S11 two ids", []string{"v=STSv1; id=1; id=2"}, "1"},
		{"S11 the second is none", []string{"v=STSv1; id=1; id=a-b"}, "1"},
		{"S12 no =", []string{"v=STSv1; id=1; x"}, ""},
		{"S12 ;;", []string{"v=STSv1;; id=1"}, ""},
		{"S12 ;; at the end", []string{"v=STSv1; id=1;;"}, ""},
		{"S12 = in a value", []string{"v=STSv1; id=1; a=b=c"}, ""},
		{"S12 empty value", []string{"v=STSv1; id=1; a="}, ""},
		{"S12 name of 33", []string{"v=STSv1; id=1; " + long + "a=1"}, ""},
		{"S12 name with a hyphen first", []string{"v=STSv1; id=1; -a=1"}, ""},
		{"S12 not ASCII", []string{"v=STSv1; id=1; a=ü"}, ""},
		{"S12 blanks around =", []string{"v=STSv1; id = 1"}, ""},
		{"S12 comma", []string{"v=STSv1, id=1"}, ""},
		{"S12 leading space", []string{" v=STSv1; id=1"}, ""},
		{"S12 space at the end", []string{"v=STSv1; id=1 "}, ""},
		{"S12 quotes", []string{`"v=STSv1; id=1"`}, ""},
		{"S12 STSv11", []string{"v=STSv11; id=1"}, ""},
		{"S12 NUL", []string{"v=STSv1; id=1\x00"}, ""},
		{"S12 line end", []string{"v=STSv1; id=1\n"}, ""},
		{"60,000 bytes", []string{"v=STSv1; id=1; " + strings.Repeat("a=b;", 15000)}, "1"},
		{"60,000 bytes of nothing", []string{"v=STSv1; " + strings.Repeat(";", 60000)}, ""},
		{"none", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := ParseRecord(c.records)
			if id != c.id || (err == nil) != (c.id != "") {
				t.Errorf("id %q, error %v", id, err)
			}
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

// TestNoRecordIsNotAWrongOne: only a domain that announces nothing has nothing to mend.
func TestNoRecordIsNotAWrongOne(t *testing.T) {
	if _, err := ParseRecord([]string{"spf", "v=STSv2; id=1"}); !errors.Is(err, ErrNoRecord) {
		t.Error("no record:", err)
	}
	for _, wrong := range [][]string{{"v=STSv1;"}, {"v=STSv1; id=1", "v=STSv1; id=1"}} {
		if _, err := ParseRecord(wrong); err == nil || errors.Is(err, ErrNoRecord) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add("v=STSv1; id=20160831085700Z;", "spf")
	f.Add("v=STSv1 ; a=b ;id=1", "v=STSv2; id=1")
	f.Fuzz(func(t *testing.T, a, b string) {
		id, err := ParseRecord([]string{a, b})
		if err != nil {
			return
		}
		if id == "" || len(id) > 32 || !all(id, isAlphanumeric) {
			t.Errorf("id %q", id)
		}
		if again, err := ParseRecord([]string{"v=STSv1; id=" + id}); err != nil || again != id {
			t.Errorf("%q read back: %q, %v", id, again, err)
		}
	})
}
