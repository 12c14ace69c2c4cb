package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"starttls/internal/proxyproto"
)

// maxHeader is how long a declared proxy may take to say who the client is.
const maxHeader = 5 * time.Second

// errProxy is a declared proxy that does not say it.
var errProxy = errors.New("a PROXY header must come from there")

// fromProxy reports whether the client's connection comes from a declared proxy.
func (s *session) fromProxy() bool {
	addr := addrOf(s.conns.front.RemoteAddr())
	return slices.ContainsFunc(s.route.Front.Proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// introduce hears from a declared proxy who the client is, and counts it among those from its address.
// A header that is missing ends the session: a proxy that leaves it out would let its clients write it.
func (s *session) introduce() error {
	if !s.fromProxy() {
		return nil
	}
	s.conns.front.SetReadDeadline(time.Now().Add(maxHeader))
	h, err := proxyproto.Read(s.conns.front)
	if err != nil {
		return errors.Join(errProxy, err)
	}
	s.conns.front.SetReadDeadline(time.Time{})
	if !h.Source.IsValid() {
		return nil // it speaks for itself
	}
	s.client, s.server = h.Source, h.Destination
	return s.recount(s, counted(h.Source.Addr()))
}

// peer is who the client is, for the log.
func (s *session) peer() string {
	if s.client.IsValid() {
		return s.client.String()
	}
	return s.conns.front.RemoteAddr().String()
}

// ends are the addresses of the client and of where it came to: as a proxy has told them, else as they are
// here. Those of a unix socket are not valid.
func (s *session) ends() (client, server netip.AddrPort) {
	if s.client.IsValid() {
		return s.client, s.server
	}
	return portOf(s.conns.front.RemoteAddr()), portOf(s.conns.front.LocalAddr())
}

// announce says to a backend who the client is, before anything else is said.
func (s *session) announce(conn net.Conn) error {
	if s.to.Proxy == 0 {
		return nil
	}
	h := proxyproto.Header{}
	h.Source, h.Destination = s.ends()
	h.ALPN, h.Authority, h.TLS = tlsHeader(s.secured)
	return s.to.header(conn, h)
}

// header says a PROXY header to a server that wants one. The zero header is that of the gateway itself.
func (b *Back) header(conn net.Conn, h proxyproto.Header) error {
	var text []byte
	switch b.Proxy {
	case 0:
		return nil
	case 1:
		text = h.AppendV1(nil)
	default:
		text = h.AppendV2(nil)
	}
	_, err := conn.Write(text)
	return err
}

// tlsHeader is what a backend that is dialled inside TLS is told of it.
func tlsHeader(conn *tls.Conn) (alpn, name string, h *proxyproto.TLS) {
	if conn == nil {
		return "", "", nil
	}
	state := conn.ConnectionState()
	h = &proxyproto.TLS{Version: proxyVersions[state.Version], Cipher: tls.CipherSuiteName(state.CipherSuite)}
	if len(state.PeerCertificates) > 0 {
		h.Cert, h.Verified, h.CN = true, len(state.VerifiedChains) > 0, state.PeerCertificates[0].Subject.CommonName
		h.Resumed = state.DidResume
	}
	return state.NegotiatedProtocol, state.ServerName, h
}

// proxyVersions are the words of the PROXY protocol, which are those of OpenSSL.
var proxyVersions = map[uint16]string{
	tls.VersionTLS10: "TLSv1", tls.VersionTLS11: "TLSv1.1", tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3",
}

func portOf(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		p := tcp.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
	}
	return netip.AddrPort{}
}

// dialAs dials the backend of a session and says who the client is.
func (s *session) dialAs(ctx context.Context) (net.Conn, error) {
	conn, err := s.dial(ctx, s.to, s.conns.front)
	if err != nil {
		return nil, dialError{err}
	}
	if err := s.announce(conn); err != nil {
		conn.Close()
		s.hungUp(conn)
		return nil, err
	}
	return conn, nil
}
