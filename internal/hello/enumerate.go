package hello

import (
	"errors"
	"slices"
)

// A Chosen is one choice of a server.
type Chosen struct {
	Hello *Hello
	Reply *Reply
}

// Enumerate asks a server again and again, each time without the suite that it chose and without the
// group, until it refuses. It costs one connection more than the server has suites or groups, whichever
// are more. ask has one connection; its error of type [Alert] is a refusal, and every other one ends
// the enumeration and is returned with what is known by then.
//
// Suites and groups are struck out together, which makes of two enumerations one. When the server refuses
// and groups were struck out, they are put back, for good, for the suites that are left.
func Enumerate(h Hello, ask func(*Hello) (*Reply, error)) (all []Chosen, err error) {
	h.Suites, h.Groups = slices.Clone(h.Suites), slices.Clone(h.Groups)
	var struck []Group
	back := false // they were put back
	for len(h.Suites) > 0 {
		asked := h
		reply, err := ask(&asked)
		if _, refused := errors.AsType[Alert](err); refused || err == nil && !slices.Contains(h.Suites, reply.Suite) {
			if len(struck) == 0 {
				return all, nil
			}
			h.Groups, struck, back = append(struck, h.Groups...), nil, true
			continue
		}
		if err != nil {
			return all, err
		}
		all = append(all, Chosen{&asked, reply})
		h.Suites = without(h.Suites, reply.Suite)
		if !back && slices.Contains(h.Groups, reply.Group) && len(h.Groups) > 1 {
			h.Groups, struck = without(h.Groups, reply.Group), append(struck, reply.Group)
		}
	}
	return all, nil
}

// without returns all but one.
func without[T comparable](all []T, one T) []T {
	return slices.DeleteFunc(slices.Clone(all), func(other T) bool { return other == one })
}
