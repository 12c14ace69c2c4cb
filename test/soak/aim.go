//go:build linux

package main

import (
	"sync"
	"time"
)

// A life is the time of a session. Up is when it was inside TLS, zero if it never was.
type life struct{ began, up, broke time.Time }

// An aim is something that is done to a route, and may break sessions of it.
type aim struct {
	why  string
	from time.Time // before it was begun
	to   time.Time // after it was over; zero while it lasts
	// after is how long after from it breaks nothing yet.
	after time.Duration
	// newcomers says that it is aimed at those alone who were not served yet when it began.
	newcomers bool
}

// meant reports whether the aim is what may have broken a session.
func (a *aim) meant(l life) bool {
	switch {
	case !a.to.IsZero() && l.began.After(a.to):
		return false
	case a.newcomers && !l.up.IsZero() && l.up.Before(a.from):
		return false
	}
	return !l.broke.Before(a.from.Add(a.after))
}

// aims are all that there were, by route.
type aims struct {
	mu  sync.Mutex
	all map[string][]*aim
}

// begin notes an aim at routes, before it is done.
func (a *aims) begin(like aim, routes ...string) *aim {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = make(map[string][]*aim)
	}
	like.from = time.Now()
	for _, route := range routes {
		a.all[route] = append(a.all[route], &like)
	}
	return &like
}

// over notes that it is done: who comes from now on must be served.
func (a *aims) over(one *aim) {
	a.mu.Lock()
	defer a.mu.Unlock()
	one.to = time.Now()
}

// at returns what may have broken a session of a route, or "".
func (a *aims) at(route string, l life) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.all[route] {
		if one.meant(l) {
			return one.why
		}
	}
	return ""
}
