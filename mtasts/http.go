package mtasts

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"time"

	"starttls/resolver"
	"starttls/tlsrpt"
)

// Limits of a fetch. Time and size are those that RFC 8461 §3.3 suggests.
const (
	recordTimeout  = 15 * time.Second // for the record, before
	fetchTimeout   = time.Minute      // for all of it
	connectTimeout = 10 * time.Second
	maxAddrs       = 8
	maxHeader      = 16 << 10
)

// Record looks up the id of the record that announces a policy. It fails with [ErrNoRecord] inside an
// [*Error] if there is none.
func (c *Client) Record(ctx context.Context, domain string) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	answer, err := c.Resolver.Lookup(ctx, "_mta-sts."+domain, resolver.TXT)
	if err != nil {
		return "", &Error{domain, tlsrpt.STSPolicyFetchError, err}
	}
	id, err = ParseRecord(answer.TXT)
	switch {
	case errors.Is(err, ErrNoRecord):
		return "", &Error{domain, tlsrpt.STSPolicyFetchError, err}
	case err != nil:
		return "", &Error{domain, tlsrpt.STSPolicyInvalid, err}
	}
	return id, nil
}

// Fetch gets a domain's policy from its policy host, mta-sts.DOMAIN, past every cache (RFC 8461 §3.3).
// Errors are [*Error].
func (c *Client) Fetch(ctx context.Context, domain string) (*Policy, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	host := "mta-sts." + domain
	// The environment names no proxy for us, nothing is kept for another time, and a Transport on its own
	// follows no redirect.
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx, host) },
		// crypto/tls compares SNI with DNS-IDs only, and lets "*" stand for the whole left-most label.
		TLSClientConfig:        &tls.Config{ServerName: host, RootCAs: c.Roots, Time: c.now, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	defer transport.CloseIdleConnections()

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return nil, &Error{domain, tlsrpt.STSPolicyFetchError, err}
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", cmp.Or(c.UserAgent, "starttls"))
	resp, err := transport.RoundTrip(req)
	if err != nil {
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			return nil, &Error{domain, tlsrpt.STSWebPKIInvalid, err}
		}
		return nil, &Error{domain, tlsrpt.STSPolicyFetchError, err}
	}
	defer resp.Body.Close()
	return read(domain, resp)
}

// read reads a policy from a response.
func read(domain string, resp *http.Response) (*Policy, error) {
	fail := func(t tlsrpt.ResultType, format string, args ...any) (*Policy, error) {
		return nil, &Error{domain, t, fmt.Errorf(format, args...)}
	}
	if resp.StatusCode != http.StatusOK {
		return fail(tlsrpt.STSPolicyFetchError, "the policy host answers with status %d", resp.StatusCode)
	}
	kind := resp.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(kind); media != "text/plain" || err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return fail(tlsrpt.STSPolicyInvalid, "the policy is not text/plain: %q", clip(kind))
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return fail(tlsrpt.STSPolicyInvalid, "the policy is encoded, which was not asked for: %q", clip(coding))
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	if err != nil {
		return fail(tlsrpt.STSPolicyFetchError, "reading the policy: %w", err)
	}
	policy, err := ParsePolicy(text)
	if err != nil {
		return fail(tlsrpt.STSPolicyInvalid, "%w", err)
	}
	return policy, nil
}

// dial connects to the first address of the policy host that answers.
func (c *Client) dial(ctx context.Context, host string) (net.Conn, error) {
	addrs, failed := c.addrs(ctx, host)
	for _, addr := range addrs {
		conn, err := c.connect(ctx, addr)
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, cmp.Or(failed, fmt.Errorf("%s has no address", host))
}

// addrs looks up the addresses of the policy host, IPv4 first. An error may come with addresses of the
// other family.
func (c *Client) addrs(ctx context.Context, host string) (addrs []netip.Addr, failed error) {
	for _, t := range []resolver.Type{resolver.A, resolver.AAAA} {
		answer, err := c.Resolver.Lookup(ctx, host, t)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		addrs = append(addrs, answer.Addrs[:min(len(answer.Addrs), maxAddrs/2)]...)
	}
	return addrs, failed
}

func (c *Client) connect(ctx context.Context, addr netip.Addr) (net.Conn, error) {
	allow := c.Allow
	if allow == nil {
		allow = Public
	}
	if !allow(addr) {
		return nil, fmt.Errorf("%s is not a public address", addr)
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return dial(ctx, "tcp", netip.AddrPortFrom(addr, 443).String())
}

// special are the networks that are not on the Internet, or lead back off it (RFC 6890), besides those
// that package netip knows.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // shared by carriers (RFC 6598)
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), // for benchmarks
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),        // IPv4 in the first form (RFC 4291 §2.5.5.1)
	netip.MustParsePrefix("64:ff9b::/96"), // to IPv4 through NAT64 (RFC 6052)
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2001::/32"), // Teredo
	netip.MustParsePrefix("2002::/16"), // 6to4
	netip.MustParsePrefix("fec0::/10"),
}

// Public reports whether an address is on the Internet: not loopback, private, link-local, multicast or
// otherwise special. Whoever runs a zone can point a name at our own network.
func Public(addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, prefix := range special {
		if prefix.Contains(addr) {
			return false
		}
	}
	return addr.IsGlobalUnicast() && !addr.IsPrivate()
}
