package dialect

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Strict transport security (IRCv3 sts): a client in the clear is told the port to come back to, and a
// client inside TLS for how many seconds it must come no other way. The first is worth nothing inside TLS,
// and the second nothing in the clear, where anybody could have said it.

// checkIRCSTS checks a policy: port=6697,duration=2592000,preload.
func checkIRCSTS(policy string) error {
	var seen []string
	for _, part := range strings.Split(policy, ",") {
		key, value, _ := strings.Cut(part, "=")
		var err error
		switch {
		case slices.Contains(seen, key):
			return fmt.Errorf("%s is given twice", key)
		case key == "port":
			var port uint64
			if port, err = strconv.ParseUint(value, 10, 16); port == 0 {
				err = errors.Join(err, strconv.ErrRange)
			}
		case key == "duration":
			_, err = strconv.ParseUint(value, 10, 32)
		case part != "preload":
			err = strconv.ErrSyntax
		}
		if err != nil {
			return errors.New("meant is port=6697,duration=SECONDS, or one of them")
		}
		seen = append(seen, key)
	}
	return nil
}

// sts returns the capability with what m's policy says for this leg, or "". It is for clients that
// understand values of capabilities.
func (s *irc) sts(m Message) string {
	if m.edit.sts == "" || !s.values {
		return ""
	}
	parts := slices.DeleteFunc(strings.Split(m.edit.sts, ","), func(part string) bool {
		return strings.HasPrefix(part, "port=") == s.inside
	})
	if len(parts) == 0 || s.inside && !strings.Contains(m.edit.sts, "duration=") {
		return ""
	}
	return "sts=" + strings.Join(parts, ",")
}
