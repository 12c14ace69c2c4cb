package socketmap

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// A Version is one of Postfix, as "postconf mail_version" has it, without the patch level. What a version
// does not know makes it defer the mail.
type Version struct{ Major, Minor int }

// Oldest is the version whose words all later ones know: the one to take when nothing is known.
var Oldest = Version{3, 4}

// reports is the first version that takes what TLS reporting needs.
var reports = Version{3, 10}

// ParseVersion reads "3.4", "3.10.5" or "3.12-20260821".
func ParseVersion(s string) (Version, error) {
	major, rest, _ := strings.Cut(strings.TrimSpace(s), ".")
	minor := rest
	if i := strings.IndexAny(rest, ".-"); i >= 0 {
		minor = rest[:i]
	}
	v := Version{}
	var errs [2]error
	v.Major, errs[0] = strconv.Atoi(major)
	v.Minor, errs[1] = strconv.Atoi(minor)
	if cmp.Or(errs[0], errs[1]) != nil || v.Major < 0 || v.Minor < 0 {
		return Version{}, fmt.Errorf("%q is no version of Postfix; meant is one such as 3.4 or 3.10", s)
	}
	if !v.atLeast(Oldest) {
		return Version{}, fmt.Errorf("version %s of Postfix is older than %s, the first that can be told a server's name for TLS", v, Oldest)
	}
	return v, nil
}

// String returns the version, "3.10".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

func (v Version) atLeast(w Version) bool {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor)) >= 0
}
