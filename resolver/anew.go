package resolver

import "context"

type anewKey struct{}

// Anew returns a context under which Lookup asks the servers and not a cache: before mail is put off
// because of an MTA-STS policy, its record is looked up anew (RFC 8461 §5).
func Anew(ctx context.Context) context.Context { return context.WithValue(ctx, anewKey{}, true) }

// IsAnew reports whether ctx comes from [Anew]. It is for those who implement a [Resolver].
func IsAnew(ctx context.Context) bool { return ctx.Value(anewKey{}) != nil }
