//go:build race

package peers

func init() { buildFlags = []string{"-race"} }
