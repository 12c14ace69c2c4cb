package cli

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"starttls"
	"starttls/internal/config"
	"starttls/internal/systemd"
)

// An identity is who the program is, once it needs root no longer.
type identity struct {
	uid, gid int
	groups   []int
}

// identityOf reads NAME or NAME:GROUP. Without GROUP the groups are those that the user is in.
func identityOf(word string) (who identity, err error) {
	name, group, hasGroup := strings.Cut(word, ":")
	u, err := user.Lookup(name)
	if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
		return who, errors.New("there is no such user")
	} else if err != nil {
		return who, err
	}
	ids := []string{u.Gid}
	if hasGroup {
		g, err := user.LookupGroup(group)
		if _, unknown := errors.AsType[user.UnknownGroupError](err); unknown {
			return who, errors.New("there is no such group")
		} else if err != nil {
			return who, err
		}
		ids = []string{g.Gid}
	} else if more, err := u.GroupIds(); err == nil {
		ids = append(ids, more...)
	}
	for _, id := range ids {
		n, aerr := strconv.Atoi(id)
		who.groups, err = append(who.groups, n), cmp.Or(err, aerr)
	}
	who.gid = who.groups[0]
	n, aerr := strconv.Atoi(u.Uid)
	who.uid, err = n, cmp.Or(err, aerr)
	if who.uid == 0 {
		err = cmp.Or(err, errors.New("that is root"))
	}
	return who, err
}

// become makes the whole process that user, for good.
func (who identity) become() error {
	err := syscall.Setgroups(who.groups)
	if err == nil {
		err = syscall.Setgid(who.gid)
	}
	if err == nil {
		err = syscall.Setuid(who.uid)
	}
	if err == nil && syscall.Setuid(0) == nil {
		err = errors.New("there is a way back")
	}
	return err
}

// leaveRoot becomes the user that the configuration names. What may be for root alone is done before: the
// sockets of TCP are opened and put among those that were handed over, and the state folder is made. All else is done as that user: what it cannot read is found
// out now, and not when it is read again.
func (s *service) leaveRoot(sockets *handed) error {
	file, err := s.read()
	if err != nil || file.User == "" {
		return nil // whoever loads it tells what is wrong
	}
	who, err := identityOf(file.User)
	switch {
	case err != nil || who.uid == os.Getuid():
		return nil // the same
	case os.Getuid() != 0:
		return failed(file.Errorf("user", "user %q: only root can become another user", file.User))
	}
	if err := sockets.openAll(file); err != nil {
		return failed(err)
	}
	if err := who.makeFolder(cmp.Or(file.State, defaultState())); err != nil {
		return failed(file.Errorf("state", "%v", err))
	}
	if err := who.become(); err != nil {
		return failed(file.Errorf("user", "user %q: %v", file.User, err))
	}
	return nil
}

// makeFolder makes the state folder for that user, if it is not there and its parent is. What else is wrong with it
// is told by who writes into it.
func (who identity) makeFolder(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil
	}
	return os.Lchown(dir, who.uid, who.gid) // whoever can write to its parent may have put a link in its place meanwhile
}

// openAll opens where a configuration wants to listen by TCP, unless that was handed over. Each is called by its
// address as written, by which it is found.
func (h *handed) openAll(file *config.File) error {
	endpoints := []starttls.Endpoint{tcpAt(file.Metrics.Listen), tcpAt(file.ACME.Port80), tcpAt(file.ACME.Port443)}
	for _, r := range file.Routes {
		if e, err := starttls.ParseEndpoint(r.Listen, listenOptions...); err == nil {
			endpoints = append(endpoints, e)
		}
	}
	for _, e := range endpoints {
		there := func(s systemd.Socket) bool { return s.Name == e.Address || listensAt(e, s.Addr()) }
		if e.Network != "tcp" || e.Address == "" || anyPort(e) || slices.ContainsFunc(*h, there) {
			continue
		}
		ln, err := net.Listen("tcp", e.Address)
		if err != nil {
			return fmt.Errorf("before becoming %s: %w", file.User, err)
		}
		*h = append(*h, systemd.Socket{Name: e.Address, Listener: ln, Ours: true})
	}
	return nil
}

// tcpAt is the endpoint of an address.
func tcpAt(address string) starttls.Endpoint {
	host, _, _ := net.SplitHostPort(address)
	return starttls.Endpoint{Network: "tcp", Host: host, Address: address}
}
