package cli

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"starttls"
	"starttls/internal/gateway"
	"starttls/internal/tryout"
)

// others fills in the backends of clients that ask for a host by name.
func (a *assembly) others(r *running) error {
	r.Backs = make(map[string]*gateway.Back)
	for _, name := range slices.Sorted(maps.Keys(a.Backends)) {
		host := strings.ToLower(strings.TrimSuffix(name, "."))
		word, _, byWork := strings.Cut(name, ":")
		if byWork {
			host = name
		}
		back, text, err := a.behind(r, a.Backends[name])
		switch {
		case byWork && !slices.Contains(r.Dialect.Addressed, word):
			err = fmt.Errorf("%s has no word for that; meant is %s", r.Dialect.Name, strings.Join(append([]string{"a host"}, r.Dialect.Addressed...), ", or "))
		case r.Backs[host] != nil:
			err = fmt.Errorf("%s has one already", host)
		case !byWork && !r.Chooses():
			err = fmt.Errorf("on %s the server is dialled before a client can name any", r.listen)
		}
		if err != nil {
			return a.wrong("backends."+name, fmt.Errorf("backend for %s: %w", name, err))
		}
		r.Backs[host] = &back
		r.others = append(r.others, text+" for "+host)
	}
	return nil
}

// behind returns the backend of a URL, and it and its level for people.
func (a *assembly) behind(r *running, url string) (back gateway.Back, text string, err error) {
	fail := func(format string, args ...any) (gateway.Back, string, error) {
		return gateway.Back{}, "", fmt.Errorf(format, args...)
	}
	e, err := starttls.ParseEndpoint(url, "tls", "match", "min-version", "dial", "proxy", "client")
	if err != nil {
		return back, "", err
	}
	if e.Dialect != r.Dialect {
		return fail("%s in front and %s behind: a gateway speaks the same protocol on both sides", r.Dialect.Name, e.Dialect.Name)
	}
	if e.Address == r.listen.Address {
		return fail("%s: the backend is the gateway itself", url)
	}
	if e.Network == "tcp" && e.Host == "" {
		return fail("%s: a backend has a host", url)
	}
	back.Name, back.Addr, back.Implicit = e.Host, e.String(), e.Implicit
	switch word := e.Options.Get("tls"); {
	case word != "":
		if back.Level, err = starttls.ParseLevel(word); err != nil {
			return back, "", err
		}
		if back.Level > starttls.Secure {
			return fail("tls=%s: a backend's tls is none, may, encrypt, verify or secure", word)
		}
		if back.Implicit && back.Level < starttls.Encrypt {
			return fail("tls=%s: %s is TLS from the first byte", word, e.Scheme)
		}
	case !e.Local():
		back.Level = starttls.Secure
	case e.Implicit:
		back.Level = starttls.Encrypt
	}
	if err := reached(r, e, &back); err != nil {
		return back, "", err
	}
	version, err := parseVersion(e.Options.Get("min-version"))
	if err != nil {
		return back, "", err
	}
	v := verification{level: back.Level, host: e.Host, match: e.Options.Get("match"), ca: a.CA, min: version}
	if back.Level != starttls.None {
		if back.TLS, err = v.clientTLS(); err != nil {
			return back, "", err
		}
	}
	if back.Name == "" {
		back.Name = r.Name
	}
	dialer := &net.Dialer{Timeout: 30 * time.Second}
	back.Dial = func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, e.Network, e.Address) }
	return back, e.String() + " (tls=" + back.Level.String() + ")", nil
}

// reached reads when a backend is dialled, and what it is told of the client.
func reached(r *running, e starttls.Endpoint, back *gateway.Back) error {
	switch word := e.Options.Get("dial"); word {
	case "", "late", "early":
		back.Early = word == "early"
	default:
		return fmt.Errorf("dial=%s: meant is early or late", word)
	}
	switch word := e.Options.Get("proxy"); word {
	case "":
	case "1", "2":
		back.Proxy = int(word[0] - '0')
	default:
		return fmt.Errorf("proxy=%s: meant is 1 or 2, the version of the header", word)
	}
	switch word := e.Options.Get("client"); {
	case word == "":
	case r.Dialect.Tells == "":
		return fmt.Errorf("client=%s: %s has no words for who a client is; proxy=2 may do", word, r.Dialect.Name)
	case word != r.Dialect.Tells:
		return fmt.Errorf("client=%s: meant is %s", word, r.Dialect.Tells)
	case back.Proxy != 0:
		return fmt.Errorf("client= and proxy= say the same: choose one")
	default:
		back.Tell = true
	}
	return nil
}

// tryout puts the built-in server behind.
func (a *assembly) tryout(r *running) error {
	server, ok := tryout.New(r.Dialect.Name)
	if !ok {
		return fmt.Errorf("there is no built-in server for %s: name a BACKEND", r.Dialect.Name)
	}
	server.Out, server.Name = a.std.out, r.Name
	if out := forMachines(a.file, a.std); out != nil {
		server.Out = slog.NewLogLogger(out, slog.LevelInfo).Writer()
	}
	r.back = "a built-in try-out server: any name, any password, nothing is kept on disk"
	r.Back.Name, r.Back.Dial = r.Name, server.Dial
	return nil
}
