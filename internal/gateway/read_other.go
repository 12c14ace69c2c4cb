//go:build !unix

package gateway

import "errors"

// canReadNow says that readNow works here.
const canReadNow = false

var errNotNow = errors.New("nothing to read")

func readNow(uintptr, []byte) (int, error) { return 0, errNotNow }
