package starttls_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
)

// TestClientAndServerMeet: every dialect gets from the clear to TLS, with itself.
func TestClientAndServerMeet(t *testing.T) {
	for _, d := range dialect.All {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			near, far := pair(t)
			var shown []dialect.Kind
			config := clientConfig()
			config.Show = func(says dialect.Side, m dialect.Message, raw []byte) { shown = append(shown, m.Kind) }
			done := runServer(t, far, d, serverConfig())
			client, err := starttls.Client(t.Context(), near, d, config)
			if err != nil {
				t.Fatal(err)
			}
			server := <-done
			if server.err != nil {
				t.Fatal(server.err)
			}
			checkRoundTrip(t, d, client, server.conn)
			if len(shown) == 0 {
				t.Error("Show was told nothing")
			}
		})
	}
}

func checkRoundTrip(t *testing.T, d *dialect.Dialect, client, server *starttls.Conn) {
	t.Helper()
	state := client.ConnectionState()
	version := uint16(tls.VersionTLS13)
	if d.Carrier != nil {
		version = tls.VersionTLS12
	}
	if state.Version != version || !state.HandshakeComplete {
		t.Errorf("the state is %+v", state)
	}
	if d.ALPN != nil && state.NegotiatedProtocol != d.ALPN[0] {
		t.Errorf("ALPN agreed on %q", state.NegotiatedProtocol)
	}
	heard := client.Heard
	says := func(k dialect.Kind) bool {
		return slices.ContainsFunc(d.Script.Clear, func(l dialect.Line) bool { return l.Kind == k && !l.May })
	}
	if says(dialect.Greeting) && heard.Greeting.Raw == nil || says(dialect.Caps) && heard.Caps.Raw == nil && heard.Offer == dialect.Unsaid {
		t.Errorf("of what the server said was kept %+v", heard)
	}
	if server.Heard.Offer != dialect.Unsaid || server.Heard.Greeting.Raw != nil {
		t.Errorf("a server has heard %+v", server.Heard)
	}
	for _, ends := range [][2]*starttls.Conn{{client, server}, {server, client}} {
		go io.WriteString(ends[0], "hello, world")
		buf := make([]byte, len("hello, world"))
		if _, err := io.ReadFull(ends[1], buf); err != nil || string(buf) != "hello, world" {
			t.Errorf("what arrives is %q, %v", buf, err)
		}
	}
	client.Close()
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
}

// TestClientErrors: a caller decides by errors.Is, and the details are in an Error.
func TestClientErrors(t *testing.T) {
	const greeting, offer = "220 mx.test\r\n", "250-mx.test\r\n250 STARTTLS\r\n"
	for name, row := range map[string]struct {
		says []string
		want error
		at   dialect.Kind
		why  dialect.Reason
		text string
	}{
		"not offered": {[]string{greeting, "250 mx.test\r\n"}, starttls.ErrNotOffered, dialect.Caps, 0, ""},
		"refused":     {[]string{greeting, offer, "454 later\r\n"}, starttls.ErrRefused, dialect.Ready, dialect.TLSUnavailable, "454 later"},
		"turned away": {[]string{"554 go away\r\n"}, starttls.ErrRefused, dialect.Greeting, 0, "554 go away"},
		"injected":    {[]string{greeting, offer, "220 go\r\n250 evil\r\n"}, starttls.ErrInjected, dialect.Ready, 0, ""},
		"no TLS":      {[]string{greeting, offer, "220 go\r\n", "evil evil"}, starttls.ErrInjected, dialect.Upgrade, 0, ""},
		"noise":       {[]string{"hello\r\n"}, starttls.ErrNoise, dialect.Greeting, 0, ""},
		"too long":    {[]string{"220 " + strings.Repeat("x", 1<<20)}, starttls.ErrTooLong, dialect.Greeting, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := pair(t)
			act(far, true, row.says...)
			conn, err := starttls.Client(t.Context(), near, &dialect.SMTP, clientConfig())
			var e *starttls.Error
			if conn != nil || !errors.Is(err, row.want) || !errors.As(err, &e) {
				t.Fatalf("got %v, %v", conn, err)
			}
			if e.Dialect != "smtp" || e.At != row.at || e.Reason != row.why || e.Text != row.text || e.Temporary() != (row.why == dialect.TLSUnavailable) {
				t.Errorf("got %+v", e)
			}
			for _, other := range []error{starttls.ErrNotOffered, starttls.ErrRefused, starttls.ErrInjected, starttls.ErrTLS, starttls.ErrTooLong, starttls.ErrNoise} {
				both := row.want == starttls.ErrInjected && other == starttls.ErrTLS // seen in the handshake
				if other != row.want && !both && errors.Is(err, other) {
					t.Errorf("it is %v as well", other)
				}
			}
			if _, err := near.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the connection is open: %v", err)
			}
		})
	}
}

func TestServerErrors(t *testing.T) {
	for name, row := range map[string]struct {
		says []string
		want []error
	}{
		"left":     {[]string{"QUIT\r\n"}, []error{io.EOF}},
		"injected": {[]string{"EHLO me\r\n", "STARTTLS\r\nEHLO evil\r\n"}, []error{starttls.ErrInjected, starttls.ErrTLS}},
		"no TLS":   {[]string{"STARTTLS\r\n", "\x15\x03\x01\x00\x02\x02\x28"}, []error{starttls.ErrTLS}},
		"noise":    {[]string{"GET / HTTP/1.1\r\n"}, []error{starttls.ErrNoise}},
		"too many": {[]string{strings.Repeat("NOOP\r\n", 200)}, []error{starttls.ErrTooLong}},
		"too long": {[]string{strings.Repeat("x", 1<<20)}, []error{starttls.ErrTooLong}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := pair(t)
			heard := act(near, false, row.says...)
			conn, err := starttls.Server(t.Context(), far, &dialect.SMTP, serverConfig())
			var e *starttls.Error
			if conn != nil || !errors.As(err, &e) {
				t.Fatalf("got %v, %v", conn, err)
			}
			for _, want := range row.want {
				if !errors.Is(err, want) {
					t.Errorf("the error is %v, not %v", err, want)
				}
			}
			if said := <-heard; strings.Contains(said, "evil") {
				t.Errorf("it has said %q", said)
			}
		})
	}
}

// TestServerRefusesWork: before TLS a client can name itself, ask, and leave.
func TestServerRefusesWork(t *testing.T) {
	near, far := pair(t)
	done := runServer(t, far, &dialect.SMTP, serverConfig())
	heard := <-act(near, false, "EHLO me\r\n", "AUTH PLAIN x\r\n", "MAIL FROM:<a>\r\n", "NOOP\r\n", "STARTTLS now\r\n", "QUIT\r\n")
	for _, want := range []string{"220 mx.test", "250 STARTTLS", "530 5.7.0", "250 2.0.0", "501 5.5.4", "221 2.0.0"} {
		if !strings.Contains(heard, want) {
			t.Errorf("no %q in %q", want, heard)
		}
	}
	if r := <-done; !errors.Is(r.err, io.EOF) {
		t.Errorf("got %v", r.err)
	}
}

// TestErrorsQuoteAndCut: the peer's words are from nobody.
func TestErrorsQuoteAndCut(t *testing.T) {
	e := &starttls.Error{Dialect: "smtp", At: dialect.Ready, Text: "454 \x1b[31m" + strings.Repeat("x", 1000), Err: starttls.ErrRefused}
	text := e.Error()
	if !strings.HasPrefix(text, `smtp: ready: refused: "454 \x1b[31mxxx`) || len(text) > 300 || strings.Contains(text, "\x1b") {
		t.Errorf("the error is %q", text)
	}
	if e.Text = ""; e.Error() != "smtp: ready: refused" {
		t.Errorf("the error is %q", e.Error())
	}
}

// TestTheCallersPatience: context and timeout end the way to TLS at any step, on both sides.
func TestTheCallersPatience(t *testing.T) {
	for step, says := range map[string][]string{
		"greeting": {}, "caps": {"220 x\r\n"}, "handshake": {"220 x\r\n", "250-x\r\n250 STARTTLS\r\n", "220 go\r\n"},
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			for _, client := range []bool{true, false} {
				canceled, cancel := context.WithCancelCause(t.Context())
				why := errors.New("why")
				cancel(why)
				deadline, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer stop()
				for _, row := range []struct {
					ctx     context.Context
					timeout time.Duration
					want    error
				}{
					{canceled, 0, why}, {deadline, -1, context.DeadlineExceeded}, {t.Context(), 20 * time.Millisecond, context.DeadlineExceeded},
				} {
					near, far := pair(t)
					var err error
					if client {
						act(far, true, says...)
						config := clientConfig()
						config.Timeout = row.timeout
						_, err = starttls.Client(row.ctx, near, &dialect.SMTP, config)
					} else {
						act(far, false, []string{"EHLO me\r\n", "STARTTLS\r\n"}[:max(0, len(says)-1)]...)
						config := serverConfig()
						config.Timeout = row.timeout
						_, err = starttls.Server(row.ctx, near, &dialect.SMTP, config)
					}
					if !errors.Is(err, row.want) {
						t.Errorf("client %t: the error is %v, not %v", client, err, row.want)
					}
					closed(t, far)
				}
			}
		})
	}
}

// TestTheTimeoutEndsWithTLS: what comes after is the caller's.
func TestTheTimeoutEndsWithTLS(t *testing.T) {
	near, far := pair(t)
	config, timeout := clientConfig(), 300*time.Millisecond
	config.Timeout = timeout
	ctx, cancel := context.WithCancel(t.Context())
	done := runServer(t, far, &dialect.IMAP, serverConfig())
	conn, err := starttls.Client(ctx, near, &dialect.IMAP, config)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	server := (<-done).conn
	time.AfterFunc(timeout+50*time.Millisecond, func() { io.WriteString(server, "x") })
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// TestALPNIsStrict where the protocol has an id.
func TestALPNIsStrict(t *testing.T) {
	for _, row := range []struct {
		d    *dialect.Dialect
		ids  []string
		good bool
	}{
		{&dialect.IMAP, []string{"h2"}, false}, {&dialect.IMAP, []string{"h2", "imap"}, true},
		{&dialect.IMAP, []string{}, true}, {&dialect.SMTP, []string{"h2"}, true},
	} {
		near, far := pair(t)
		done := runServer(t, far, row.d, serverConfig())
		config := clientConfig()
		config.TLS.NextProtos = row.ids
		_, err := starttls.Client(t.Context(), near, row.d, config)
		if r := <-done; row.good != (r.err == nil) || !row.good && !errors.Is(err, starttls.ErrTLS) {
			t.Errorf("%s offering %q: %v, %v", row.d.Name, row.ids, err, r.err)
		}
	}
}

// TestDialErrors tells who cannot be reached from who has no TLS.
func TestDialErrors(t *testing.T) {
	var op *net.OpError
	if _, err := starttls.Dial(t.Context(), "smtp://127.0.0.1:1", nil); !errors.As(err, &op) {
		t.Errorf("got %v", err)
	}
	if _, err := starttls.Dial(t.Context(), "nonsense", nil); err == nil {
		t.Error("nonsense was dialled")
	}
}
