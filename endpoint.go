package starttls

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"starttls/dialect"
)

// An Endpoint is where a protocol is spoken, and how TLS begins there. Its text is a URL:
// scheme://host:port?key=value, or scheme+unix:/path?key=value. The port may be left out.
type Endpoint struct {
	Dialect  *dialect.Dialect
	Scheme   string // "submission"
	Implicit bool   // TLS from the first byte
	Network  string // "tcp" or "unix"
	Host     string // of a TCP endpoint: name or address, empty for all addresses
	Address  string // for net.Dial and net.Listen
	Options  url.Values
}

// ParseEndpoint reads an endpoint. Options whose keys are not among those named are an error.
func ParseEndpoint(text string, options ...string) (Endpoint, error) {
	fail := func(format string, args ...any) (Endpoint, error) {
		return Endpoint{}, fmt.Errorf("%s: %s", text, fmt.Sprintf(format, args...))
	}
	name, rest, ok := strings.Cut(text, ":")
	if !ok || !strings.HasPrefix(rest, "/") {
		return fail("not an endpoint; meant is scheme://host:port, such as imap://127.0.0.1:143")
	}
	name, isUnix := strings.CutSuffix(strings.ToLower(name), "+unix")
	d, scheme := dialect.ByScheme(name)
	if d == nil {
		return fail("unknown scheme %q; the schemes are %s", name, strings.Join(Schemes(), ", "))
	}
	u, err := url.Parse(text)
	if err != nil {
		return fail("%v", errors.Unwrap(err))
	}
	if u.User != nil || u.Fragment != "" {
		return fail("an endpoint has no user and no fragment")
	}
	e := Endpoint{Dialect: d, Scheme: name, Implicit: scheme.Implicit}
	if e.Options, err = url.ParseQuery(u.RawQuery); err != nil {
		return fail("%v", err)
	}
	for key, values := range e.Options {
		if !slices.Contains(options, key) {
			return fail("unknown option %q; the options here are %s", key, strings.Join(options, ", "))
		}
		if len(values) > 1 {
			return fail("option %q is given %d times", key, len(values))
		}
	}
	if isUnix {
		if u.Host != "" || u.Path == "" || u.Path == "/" {
			return fail("meant is %s+unix:/path/of/socket", name)
		}
		e.Network, e.Address = "unix", u.Path
		return e, nil
	}
	if !strings.HasPrefix(rest, "//") || u.Path != "" && u.Path != "/" {
		return fail("meant is %s://host:port", name)
	}
	port := u.Port()
	if port == "" {
		port = strconv.Itoa(int(scheme.Port))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return fail("port %q is not a number from 0 to 65535", port)
	}
	e.Network, e.Host = "tcp", u.Hostname()
	e.Address = net.JoinHostPort(e.Host, port)
	return e, nil
}

// Schemes lists the names that an endpoint can begin with.
func Schemes() []string {
	var names []string
	for _, d := range dialect.All {
		for _, s := range d.Schemes {
			names = append(names, s.Name)
		}
	}
	return names
}

// Local reports whether the endpoint is on this machine: a unix socket, a loopback address or the name
// localhost. What goes there crosses no network.
func (e Endpoint) Local() bool {
	if e.Network == "unix" || e.Host == "localhost" {
		return true
	}
	ip := net.ParseIP(e.Host)
	return ip != nil && ip.IsLoopback()
}

// Reachable returns the endpoint as who dials it says it: one that listens at all addresses is on this
// machine.
func (e Endpoint) Reachable() Endpoint {
	if e.Network == "tcp" && (e.Host == "" || net.ParseIP(e.Host).IsUnspecified()) {
		_, port, _ := net.SplitHostPort(e.Address)
		e.Host, e.Address = "localhost", net.JoinHostPort("localhost", port)
	}
	return e
}

// String returns the endpoint without its options.
func (e Endpoint) String() string {
	if e.Network == "unix" {
		return e.Scheme + "+unix:" + e.Address
	}
	return e.Scheme + "://" + e.Address
}
