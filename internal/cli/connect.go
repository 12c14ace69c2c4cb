package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starttls"
	"starttls/dialect"
	"starttls/internal/cert"
)

type connectFlags struct {
	ca, name string
	show     bool
	timeout  time.Duration
}

func newConnect(std streams) *cobra.Command {
	var f connectFlags
	cmd := &cobra.Command{
		Use:   "connect URL",
		Short: "open a session, through the upgrade, on standard input and output",
		Long: `Connect to URL, get to TLS there, and then pass standard input to the server and
its answers to standard output. What was offered, negotiated and verified is told on
standard error.

Options of URL
  tls=secure    the certificate must be for the host, or for match=NAME (default)
  tls=encrypt   any certificate
  match=NAME    the name that the certificate must be for
  min-version=1.2

Exit status: 0 fine; 1 the server has no TLS, refused it, or its certificate is not
right; 2 it could not be reached; 64 wrong usage.`,
		Example: `  starttls connect imap://mail.example.org
  starttls connect 'smtp://127.0.0.1:2525?tls=encrypt' --show
  printf 'a capability\r\nb logout\r\n' | starttls connect imaps://mail.example.org`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("connect takes one URL; got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), std, args[0]) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.ca, "ca", "", "trust these certificates, PEM `FILE` (default: the system's)")
	fs.StringVar(&f.name, "name", "", "how we call ourselves (default: the host's name)")
	fs.BoolVar(&f.show, "show", false, "print the conversation before TLS, secrets left out")
	fs.DurationVar(&f.timeout, "timeout", 30*time.Second, "for the whole way to TLS")
	return cmd
}

func (f *connectFlags) run(ctx context.Context, std streams, url string) error {
	e, err := starttls.ParseEndpoint(url, "tls", "match", "min-version")
	if err != nil {
		return err
	}
	v := verification{level: starttls.Secure, host: e.Host, match: e.Options.Get("match"), ca: f.ca}
	if word := e.Options.Get("tls"); word != "" {
		if v.level, err = starttls.ParseLevel(word); err != nil {
			return err
		}
		if v.level < starttls.Encrypt || v.level > starttls.Secure {
			return fmt.Errorf("tls=%s: connect is for TLS; meant is encrypt, verify or secure", word)
		}
	}
	if v.min, err = parseVersion(e.Options.Get("min-version")); err != nil {
		return err
	}
	config := &starttls.Config{Name: f.name, Timeout: f.timeout}
	if config.TLS, err = v.clientTLS(); err != nil {
		return err
	}
	if config.Name == "" {
		config.Name = hostname()
	}
	if f.show {
		config.Show = func(says dialect.Side, m dialect.Message, raw []byte) { showMessage(std.err, says, m, raw) }
	}
	conn, err := e.Dial(ctx, config)
	if err != nil {
		return connectFailed(err)
	}
	defer conn.Close()
	summary(std.err, e, v, conn)
	return failed(talk(std, conn))
}

// connectFailed adds what the user can do, and tells a server that refuses from one that is not there.
func connectFailed(err error) error {
	if _, answered := errors.AsType[*starttls.Error](err); !answered {
		return failed(err)
	}
	if _, wrong := errors.AsType[*tls.CertificateVerificationError](err); wrong {
		err = fmt.Errorf("%w\nstarttls: to go on without verification add ?tls=encrypt; to trust another CA, --ca FILE; to demand another name, ?match=NAME", err)
	}
	return failure{statusRefused, err}
}

// showMessage prints one message of the clear conversation, as text if it is text.
func showMessage(w io.Writer, says dialect.Side, m dialect.Message, raw []byte) {
	who := strings.ToUpper(says.String()[:1])
	if m.Kind == dialect.Secret {
		fmt.Fprintf(w, "%s: (secret, %d bytes)\n", who, len(raw))
		return
	}
	for _, b := range raw {
		if b >= 0x7f || b < ' ' && b != '\r' && b != '\n' && b != '\t' {
			fmt.Fprintf(w, "%s: % x\n", who, raw)
			return
		}
	}
	for line := range strings.Lines(string(raw)) {
		fmt.Fprintf(w, "%s: %s\n", who, strings.TrimRight(line, "\r\n"))
	}
}

// summary tells what was offered, negotiated and verified.
func summary(w io.Writer, e starttls.Endpoint, v verification, conn *starttls.Conn) {
	state := conn.ConnectionState()
	fmt.Fprintf(w, "connected   %s (%s)\n", e, conn.RemoteAddr())
	if e.Implicit {
		fmt.Fprintln(w, "upgrade     none, TLS from the first byte")
	} else {
		fmt.Fprintf(w, "upgrade     in-band (%s), offer %s\n", e.Dialect.Spec, conn.Heard.Offer)
	}
	if len(conn.Heard.Mechs) > 0 {
		fmt.Fprintf(w, "in clear    mechanisms %q\n", conn.Heard.Mechs)
	}
	fmt.Fprintf(w, "negotiated  %s, %s, %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), state.CurveID)
	if state.NegotiatedProtocol != "" {
		fmt.Fprintf(w, ", ALPN %s", state.NegotiatedProtocol)
	}
	leaf := state.PeerCertificates[0]
	fmt.Fprintf(w, "\ncertificate %q, by %q, until %s\n", leaf.Subject.String(), leaf.Issuer.String(), leaf.NotAfter.Format(time.DateOnly))
	fmt.Fprintf(w, "            for %q %v\n            SHA-256 %s\n            TLSA %s\n", leaf.DNSNames, leaf.IPAddresses, cert.Fingerprint(leaf), cert.TLSA(leaf))
	if v.level >= starttls.Verify {
		fmt.Fprintf(w, "verified    yes, for %s\n", v.wanted())
	} else {
		fmt.Fprintf(w, "verified    no (tls=%s)\n", v.level)
	}
}

// talk copies both ways until the server has closed its side, or standard input has failed.
func talk(std streams, conn net.Conn) error {
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, std.in)
		sent <- err
		if c, ok := conn.(*starttls.Conn); ok && err == nil {
			c.CloseWrite()
			if below, ok := c.NetConn().(interface{ CloseWrite() error }); ok {
				below.CloseWrite() // the end of TLS alone takes Exim back to the clear, where it waits
			}
		}
	}()
	_, err := io.Copy(std.out, conn)
	select {
	case serr := <-sent:
		if _, clear := errors.AsType[tls.RecordHeaderError](err); clear {
			err = nil // after the end of TLS Exim says its last words in the clear
		}
		return errors.Join(err, serr)
	default:
		return err
	}
}
