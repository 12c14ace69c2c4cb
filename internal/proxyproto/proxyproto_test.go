package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

var (
	client = netip.MustParseAddrPort("192.0.2.7:41800")
	server = netip.MustParseAddrPort("198.51.100.25:25")
	six    = netip.MustParseAddrPort("[2001:db8::7]:41800")
	six2   = netip.MustParseAddrPort("[2001:db8::25]:25")
)

// v2 is a header of version 2 by hand, so that reader and writer are not each other's only witness.
func v2(command, family byte, body string) string {
	return signature + string([]byte{0x20 | command, family, byte(len(body) >> 8), byte(len(body))}) + body
}

const addresses4 = "\xc0\x00\x02\x07\xc6\x33\x64\x19\xa3\x48\x00\x19"

func TestRead(t *testing.T) {
	for name, row := range map[string]struct {
		in   string
		want Header
	}{
		"v1 TCP4":                           {"PROXY TCP4 192.0.2.7 198.51.100.25 41800 25\r\n", Header{Source: client, Destination: server}},
		"v1 TCP6":                           {"PROXY TCP6 2001:db8::7 2001:db8::25 41800 25\r\n", Header{Source: six, Destination: six2}},
		"v1 UNKNOWN":                        {"PROXY UNKNOWN\r\n", Header{}},
		"v1 UNKNOWN with junk":              {"PROXY UNKNOWN ffff:: :: 1 2\r\n", Header{}},
		"v2 TCP4":                           {v2(1, 0x11, addresses4), Header{Source: client, Destination: server}},
		"v2 certificate on this connection": {v2(1, 0x11, addresses4+"\x20\x00\x05\x07\x00\x00\x00\x00"), Header{Source: client, Destination: server, TLS: &TLS{Cert: true, Verified: true}}},
		"v2 certificate earlier":            {v2(1, 0x11, addresses4+"\x20\x00\x05\x05\x00\x00\x00\x00"), Header{Source: client, Destination: server, TLS: &TLS{Cert: true, Resumed: true, Verified: true}}},
		"v2 LOCAL":                          {v2(0, 0x11, addresses4), Header{}},
		"v2 unix":                           {v2(1, 0x31, strings.Repeat("\x00", 216)), Header{}},
		"v2 unknown TLV":                    {v2(1, 0x11, addresses4+"\xee\x00\x02xx"), Header{Source: client, Destination: server}},
		"v2 SNI and ALPN":                   {v2(1, 0x11, addresses4+"\x01\x00\x04imap\x02\x00\x01a"), Header{Source: client, Destination: server, ALPN: "imap", Authority: "a"}},
		"v2 TLS": {
			v2(1, 0x11, addresses4+"\x20\x00\x15\x03\x00\x00\x00\x00\x21\x00\x07TLSv1.3\x22\x00\x03joe"),
			Header{Source: client, Destination: server, TLS: &TLS{Version: "TLSv1.3", CN: "joe", Cert: true, Verified: true}},
		},
		"v2 TLS, certificate not verified": {
			v2(1, 0x11, addresses4+"\x20\x00\x05\x03\x00\x00\x00\x01"),
			Header{Source: client, Destination: server, TLS: &TLS{Cert: true}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := strings.NewReader(row.in + "EHLO")
			h, err := Read(iotest.OneByteReader(r))
			if err != nil || !reflect.DeepEqual(h, row.want) {
				t.Fatalf("got %+v, %v; want %+v", h, err, row.want)
			}
			if rest, _ := io.ReadAll(r); string(rest) != "EHLO" {
				t.Errorf("left for the protocol: %q", rest)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                "",
		"the protocol itself":    "EHLO client.example.org\r\n",
		"v1 without an end":      "PROXY TCP4 " + strings.Repeat("1", 200),
		"v1 cut":                 "PROXY TCP4 192.0.2.7",
		"v1 bare LF":             "PROXY TCP4 192.0.2.7 198.51.100.25 41800 25\nEHLO x" + strings.Repeat(".", 107),
		"v1 family and address":  "PROXY TCP4 2001:db8::7 198.51.100.25 41800 25\r\n",
		"v1 mapped address":      "PROXY TCP4 ::ffff:192.0.2.7 198.51.100.25 41800 25\r\n",
		"v1 zone":                "PROXY TCP6 fe80::1%eth0 2001:db8::25 41800 25\r\n",
		"v1 port":                "PROXY TCP4 192.0.2.7 198.51.100.25 65536 25\r\n",
		"v1 port with a zero":    "PROXY TCP4 192.0.2.7 198.51.100.25 041800 25\r\n",
		"v1 two blanks":          "PROXY TCP4  192.0.2.7 198.51.100.25 41800 25\r\n",
		"v1 other family":        "PROXY UDP4 192.0.2.7 198.51.100.25 41800 25\r\n",
		"v2 version 3":           strings.Replace(v2(1, 0x11, addresses4), "\x21\x11", "\x31\x11", 1),
		"v2 command 2":           v2(2, 0x11, addresses4),
		"v2 cut":                 v2(1, 0x11, addresses4)[:20],
		"v2 length of 64 KiB":    signature + "\x21\x11\xff\xff" + addresses4,
		"v2 short for TCP4":      v2(1, 0x11, addresses4[:11]),
		"v2 short for TCP6":      v2(1, 0x21, addresses4),
		"v2 TLV cut":             v2(1, 0x11, addresses4+"\x01\x00"),
		"v2 TLV that lies":       v2(1, 0x11, addresses4+"\x01\x00\x05imap"),
		"v2 TLS TLV cut":         v2(1, 0x11, addresses4+"\x20\x00\x02\x01\x00"),
		"v2 sub-TLV that lies":   v2(1, 0x11, addresses4+"\x20\x00\x08\x01\x00\x00\x00\x00\x21\x00\x07"),
		"v2 checksum":            v2(1, 0x11, addresses4+"\x03\x00\x04\x00\x00\x00\x00"),
		"v2 checksum of 3 bytes": v2(1, 0x11, addresses4+"\x03\x00\x03\x00\x00\x00"),
		"v2 signature almost":    "\r\n\r\n\x00\r\nQUIT\r\x21\x11\x00\x0c" + addresses4,
	} {
		t.Run(name, func(t *testing.T) {
			if h, err := Read(strings.NewReader(in)); err == nil {
				t.Errorf("read %+v", h)
			}
		})
	}
	if _, err := Read(strings.NewReader("GET / HTTP/1.1\r\n")); !errors.Is(err, ErrNone) {
		t.Errorf("got %v", err)
	}
}

func TestChecksumThatIsRight(t *testing.T) {
	raw := []byte(v2(1, 0x11, addresses4+"\x02\x00\x01a\x03\x00\x04\x00\x00\x00\x00\x01\x00\x01b"))
	at := bytes.Index(raw, []byte("\x03\x00\x04\x00")) + 3
	binary.BigEndian.PutUint32(raw[at:], crc32.Checksum(raw, crc32.MakeTable(crc32.Castagnoli)))
	if h, err := Read(bytes.NewReader(raw)); err != nil || h.ALPN != "b" || h.Authority != "a" {
		t.Errorf("got %+v, %v", h, err)
	}
	raw[at-10]++ // the port
	if _, err := Read(bytes.NewReader(raw)); err == nil {
		t.Error("a changed header was read")
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for name, h := range map[string]Header{
		"local": {},
		"TCP4":  {Source: client, Destination: server},
		"TCP6":  {Source: six, Destination: six2},
		"all": {Source: client, Destination: server, ALPN: "imap", Authority: "mail.example.org",
			TLS: &TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", CN: "joe", Cert: true, Verified: true}},
		"TLS without certificate": {Source: client, Destination: server, TLS: &TLS{Version: "TLSv1.2"}},
		"certificate unverified":  {Source: client, Destination: server, TLS: &TLS{Cert: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Read(bytes.NewReader(h.AppendV2(nil))); err != nil || !reflect.DeepEqual(got, h) {
				t.Errorf("version 2: got %+v, %v; want %+v", got, err, h)
			}
			want := Header{Source: h.Source, Destination: h.Destination}
			if got, err := Read(bytes.NewReader(h.AppendV1(nil))); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("version 1: got %+v, %v; want %+v", got, err, want)
			}
		})
	}
	mixed := Header{Source: client, Destination: six2}
	want := "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::25 41800 25\r\n"
	if got := string(mixed.AppendV1(nil)); got != want {
		t.Errorf("two families: got %q", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 198.51.100.25 41800 25\r\n"))
	f.Add([]byte(v2(1, 0x11, addresses4+"\x20\x00\x15\x03\x00\x00\x00\x00\x21\x00\x07TLSv1.3\x22\x00\x03joe")))
	f.Add([]byte(v2(1, 0x21, strings.Repeat("\x01", 36)+"\x03\x00\x04abcd")))
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := Read(bytes.NewReader(in))
		if err != nil {
			return
		}
		if again, err := Read(bytes.NewReader(h.AppendV2(nil))); err != nil || again.Source != h.Source || again.Destination != h.Destination {
			t.Errorf("%+v reads back as %+v, %v", h, again, err)
		}
	})
}
