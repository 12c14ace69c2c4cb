//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
)

// A scope is what package peer takes for a test: it keeps what is to be stopped at its end.
type scope struct{ cleanups []func() }

// stopped is the panic of Fatalf and Skipf, which must not return.
type stopped struct {
	error
	missing bool
}

func (s *scope) Helper() {}

func (s *scope) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}

func (s *scope) Fatalf(format string, args ...any) {
	panic(stopped{fmt.Errorf(format, args...), false})
}

func (s *scope) Skipf(format string, args ...any) { panic(stopped{fmt.Errorf(format, args...), true}) }

func (s *scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// close undoes everything, the last first.
func (s *scope) close() {
	for n := len(s.cleanups); n > 0; n = len(s.cleanups) {
		f := s.cleanups[n-1]
		s.cleanups = s.cleanups[:n-1]
		f()
	}
}

// check ends the run on an error.
func (s *scope) check(err error) {
	if err != nil {
		s.Fatalf("%w", err)
	}
}

// caught turns the panic of a scope into an error.
func caught(err *error) {
	switch p := recover().(type) {
	case nil:
	case stopped:
		*err = p
	default:
		panic(p)
	}
}

// missing reports whether err says that a peer is not on the machine.
func missing(err error) bool {
	s, ok := errors.AsType[stopped](err)
	return ok && s.missing
}
