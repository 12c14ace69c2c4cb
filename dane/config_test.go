package dane

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"starttls/dane/danetest"
	"starttls/resolver"
)

// A server shakes hands with all who come, until the test ends, and tells of the names they ask for.
type server struct {
	*testing.T
	addr  string
	asked chan string
}

func serve(t *testing.T, config *tls.Config) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	s := &server{t, ln.Addr().String(), make(chan string, 16)}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		s.asked <- hello.ServerName
		return nil, nil
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				secured := tls.Server(conn, config)
				if secured.Handshake() == nil {
					secured.Write([]byte("x")) // the client reads it, and a ticket before it
					secured.Read(make([]byte, 1))
				}
			}()
		}
	}()
	return s
}

// dial shakes hands and returns what came of it.
func (s *server) dial(config *tls.Config) (tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return tls.ConnectionState{}, err
	}
	return conn.(*tls.Conn).ConnectionState(), nil
}

func at(config *tls.Config) *tls.Config {
	config.Time = func() time.Time { return danetest.Now }
	return config
}

func TestConfig(t *testing.T) {
	root := danetest.Issue(t, nil, "Root", nil, danetest.CA)
	leaf := danetest.Issue(t, root, "leaf", []string{"mx.example.net"})
	stranger := danetest.Issue(t, nil, "leaf", []string{"mx.example.net"})
	names := []string{"mx.example.net", "example.com"}
	for version, word := range map[uint16]string{tls.VersionTLS12: "TLS 1.2", tls.VersionTLS13: "TLS 1.3"} {
		s := serve(t, at(&tls.Config{Certificates: []tls.Certificate{danetest.Server(leaf, root)}, MaxVersion: version}))
		records := []resolver.TLSARecord{danetest.TLSA(3, 1, 1, leaf)}

		t.Run("D08 the right server, "+word, func(t *testing.T) {
			if _, err := s.dial(Config(at(&tls.Config{}), records, names)); err != nil {
				t.Fatal(err)
			}
			if asked := <-s.asked; asked != names[0] {
				t.Errorf("SNI %q", asked)
			}
		})
		t.Run("D14 the wrong server, "+word, func(t *testing.T) {
			_, err := s.dial(Config(at(&tls.Config{}), []resolver.TLSARecord{danetest.TLSA(3, 1, 1, stranger)}, names))
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("got %v", err)
			}
		})
		t.Run("D75 a session is resumed, and verified, "+word, func(t *testing.T) {
			cache := tls.NewLRUClientSessionCache(1)
			first := Config(at(&tls.Config{ClientSessionCache: cache}), records, names)
			if state, err := s.dial(first); err != nil || state.DidResume {
				t.Fatal(state.DidResume, err)
			}
			if state, err := s.dial(first); err != nil || !state.DidResume {
				t.Fatal(state.DidResume, err)
			}
			moved := Config(at(&tls.Config{ClientSessionCache: cache}), []resolver.TLSARecord{danetest.TLSA(3, 1, 1, stranger)}, names)
			_, err := s.dial(moved)
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("records have changed, and the session was resumed: %v", err)
			}
		})
	}
	t.Run("the caller's own verification is asked as well", func(t *testing.T) {
		s := serve(t, at(&tls.Config{Certificates: []tls.Certificate{danetest.Server(leaf)}}))
		no := errors.New("no")
		base := at(&tls.Config{VerifyConnection: func(tls.ConnectionState) error { return no }})
		if _, err := s.dial(Config(base, []resolver.TLSARecord{danetest.TLSA(3, 1, 1, leaf)}, names)); !errors.Is(err, no) {
			t.Errorf("got %v", err)
		}
		if base.InsecureSkipVerify || base.ServerName != "" {
			t.Error("the caller's configuration was changed")
		}
	})
}
