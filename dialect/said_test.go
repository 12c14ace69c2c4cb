package dialect

import "testing"

// TestBytesAreSaidInWords: of lines the whole is for people to read, of bytes what they say.
func TestBytesAreSaidInWords(t *testing.T) {
	for _, row := range []struct{ raw, text, want string }{
		{"454 4.7.0 not now\r\n", "454 4.7.0 not now", "454 4.7.0 not now\r\n"},
		{"0\x0c\x02\x01\x01x\x07\n\x01\x02\x04\x00\x04\x00", "2 unsupported extended operation", "2 unsupported extended operation"},
		{"E\x00\x00\x00\x10C0A000\x00Mno\x00\x00", "0A000 no", "0A000 no"},
		{"\x01\x02", "", "\x01\x02"},
	} {
		if got := (Message{Raw: []byte(row.raw), Text: row.text}).Said(); string(got) != row.want {
			t.Errorf("%q, %q: %q", row.raw, row.text, got)
		}
	}
}
