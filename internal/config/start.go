package config

import "reflect"

// AsAtStart puts what a gateway reads at its start only back to what it was in first, and returns the keys at
// which f had said otherwise.
func (f *File) AsAtStart(first *File) (keys []string) {
	for _, k := range []struct {
		name     string
		now, was any // pointers to the same type
	}{
		{"state", &f.State, &first.State}, {"user", &f.User, &first.User}, {"log", &f.Log, &first.Log},
		{"tls.tickets", &f.TLS.Tickets, &first.TLS.Tickets}, {"acme", &f.ACME, &first.ACME}, {"metrics", &f.Metrics, &first.Metrics},
	} {
		if !reflect.DeepEqual(k.now, k.was) {
			keys = append(keys, k.name)
			reflect.ValueOf(k.now).Elem().Set(reflect.ValueOf(k.was).Elem())
		}
	}
	return keys
}
