package relay

import (
	"bufio"
	"bytes"
	"io"
	"regexp"
	"testing"
	"testing/iotest"
)

func fuzzDataReader(t *testing.T, in []byte, step uint8) {
	var src io.Reader = bytes.NewReader(in)
	if step%2 == 1 {
		src = iotest.OneByteReader(src)
	}
	r := bufio.NewReaderSize(src, 16)
	d := dataReader{r: r}
	var got []byte
	var watched content
	for {
		piece, end, err := d.next()
		got = append(got, piece...)
		watched.check(piece)
		if err != nil {
			if bytes.Contains(in, endOfData) || bytes.HasPrefix(in, endOfData[2:]) {
				t.Fatalf("no end found in %q: %v", in, err)
			}
			return
		}
		if end {
			break
		}
	}
	watched.end()
	d.close()
	rest, _ := io.ReadAll(r)
	want, behind := in[:0], in[min(3, len(in)):]
	if !bytes.HasPrefix(in, endOfData[2:]) {
		at := bytes.Index(in, endOfData)
		want, behind = in[:at+2], in[at+len(endOfData):]
	}
	if !bytes.Equal(got, want) || !bytes.Equal(rest, behind) {
		t.Fatalf("%q: got %q and %q", in, got, rest)
	}
	bad := regexp.MustCompile(`\x00|\r[^\n]|\r$|(?:^|[^\r])\n`).Match(want)
	if bad != (watched.fault != "") {
		t.Fatalf("%q: fault %q", want, watched.fault)
	}
}

func TestTLSOptional(t *testing.T) {
	good := func(name, header string) { checkHeader(t, name, header, true) }
	bad := func(name, header string) { checkHeader(t, name, header, false) }
	good("R19 plain", "From: a\r\nTLS-Required: No\r\n")
	good("R21 case", "tls-required: no\r\n")
	good("R21 folded", "TLS-Required:\r\n No\r\nX: y\r\n")
	good("R21 folded with a tab and spaces", "TLS-Required:  \r\n\t No \t\r\n")
	good("R21 without a space", "TLS-Required:NO\r\n")
	bad("R22 two of them", "TLS-Required: No\r\nTLS-Required: No\r\n")
	bad("R22 two that differ", "TLS-Required: No\r\nTLS-REQUIRED: Yes\r\n")
	bad("R22 Yes", "TLS-Required: Yes\r\n")
	bad("R22 in the fold of another", "Subject: x\r\n TLS-Required: No\r\n")
	bad("R22 more behind it", "TLS-Required: No, really\r\n")
	bad("R22 another name", "X-TLS-Required: No\r\n")
	bad("none", "")
}

func checkHeader(t *testing.T, name, header string, want bool) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		if got := tlsOptional([]byte(header)); got != want {
			t.Errorf("%q: %v", header, got)
		}
	})
}

func TestHeaderEnd(t *testing.T) {
	for in, want := range map[string]int{
		"":                             -1,
		"\r\n":                         0,
		"\r\nTLS-Required: No\r\n\r\n": 0, // R22: in the body
		"a: b\r\n":                     -1,
		"a: b\r\n\r\nx":                6,
	} {
		if got := headerEnd([]byte(in)); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}
