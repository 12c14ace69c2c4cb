package resolver

import (
	"errors"
	"fmt"
)

// The extended DNS errors that we give (RFC 8914 §4; 27 is of RFC 9276 §3.2).
const (
	edeNone        = -1
	edeBogus       = 6
	edeExpired     = 7
	edeNotYetValid = 8
	edeNoKey       = 9
	edeNoSignature = 10
	edeNoZoneKey   = 11
	edeNoDenial    = 12
	edeUnreachable = 22
	edeNetwork     = 23
	edeInvalidData = 24
	edeIterations  = 27
)

// bogus is the fault of an answer that is not signed as it must be.
func bogus(code int, format string, args ...any) error {
	return &Error{Status: Bogus, Code: code, Err: fmt.Errorf(format, args...)}
}

// indeterminate is the fault of an answer that says nothing.
func indeterminate(code int, format string, args ...any) error {
	return &Error{Status: Indeterminate, Code: code, Err: fmt.Errorf(format, args...)}
}

// isBogus tells a fault of the signatures from all that ends a search: a budget, a server, the time.
func isBogus(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == Bogus
}
