package peer

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A SignedZone is a zone as an operator has it: text, signed by ldns-signzone.
type SignedZone struct {
	Origin     string              // with the last dot
	Text       string              // records; SOA, NS, and the DS of zones below are added
	Algorithms []string            // names that ldns-keygen knows; if empty, the zone is not signed
	NSEC3      []string            // options of ldns-signzone besides -n; if nil, NSEC
	From, To   time.Time           // validity of the signatures; if zero, from now for four weeks
	DS         string              // in the zone above: "" right, "none", "wrong"
	Edit       func(string) string // what befalls the zone once it is signed
}

// NSD is a running name server.
type NSD struct {
	Addr   string
	Zones  []string // origins, the root first
	Anchor string   // the DS records of the root
	Log    string
}

// StartNSD signs zones, from those that are deepest up to the root, and serves them.
func StartNSD(t T, zones ...SignedZone) *NSD {
	t.Helper()
	in := begin(t, "nsd", "nsd", "ldns-keygen", "ldns-signzone")
	n := &NSD{Addr: in.addrs(1)[0], Log: in.log}
	conf := []string{
		"server:", "  ip-address: " + strings.Replace(n.Addr, ":", "@", 1),
		"  do-ip6: no", `  username: ""`, `  chroot: ""`, `  zonesdir: "` + in.dir + `"`, `  database: ""`,
		`  pidfile: "` + in.path("pid") + `"`, `  zonelistfile: "` + in.path("zone.list") + `"`,
		`  xfrdfile: "` + in.path("xfrd.state") + `"`, `  xfrdir: "` + in.dir + `"`,
		"  server-count: 1", "  rrl-ratelimit: 0",
		"remote-control:", "  control-enable: no",
	}
	labels := func(z SignedZone) int { return strings.Count(strings.TrimPrefix(z.Origin, "."), ".") }
	zones = slices.SortedStableFunc(slices.Values(zones), func(a, b SignedZone) int { return cmp.Compare(labels(b), labels(a)) })
	ds := map[string]string{} // by the zone that it is in
	for i, z := range zones {
		name := fmt.Sprintf("zone%d", i)
		own := in.sign(z, name, ds[z.Origin])
		conf = append(conf, "zone:", `  name: "`+z.Origin+`"`, `  zonefile: "`+name+`.signed"`)
		n.Zones = slices.Insert(n.Zones, 0, z.Origin)
		if z.Origin == "." {
			n.Anchor = own
			continue
		}
		parent := parentOf(z.Origin, zones)
		ds[parent] += z.Origin + " NS ns." + z.Origin + "\nns." + z.Origin + " A 127.0.0.1\n" + own
	}
	in.start(in.command("nsd", "-d", "-c", in.write("nsd.conf", conf...)), syscall.SIGTERM, n.Addr)
	return n
}

// parentOf returns the deepest of the zones above an origin.
func parentOf(origin string, zones []SignedZone) string {
	for rest := origin; rest != "."; {
		_, rest, _ = strings.Cut(rest, ".")
		rest = cmp.Or(rest, ".")
		if slices.ContainsFunc(zones, func(z SignedZone) bool { return z.Origin == rest }) {
			return rest
		}
	}
	return "."
}

// sign writes a zone to NAME.signed and returns its DS records.
func (in *instance) sign(z SignedZone, name, below string) (ds string) {
	in.t.Helper()
	text := "$ORIGIN " + z.Origin + "\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n" + z.Text + "\n" + below
	plain := in.write(name+".zone", text)
	signed := in.path(name + ".signed")
	if z.Algorithms == nil {
		in.fatal(os.Rename(plain, signed))
		return ""
	}
	args := []string{"-o", z.Origin, "-f", signed}
	if z.NSEC3 != nil {
		args = append(args, append([]string{"-n"}, z.NSEC3...)...)
	}
	if !z.From.IsZero() {
		args = append(args, "-i", fmt.Sprint(z.From.Unix()), "-e", fmt.Sprint(z.To.Unix()))
	}
	args = append(args, "-U", plain)
	for _, algorithm := range z.Algorithms {
		key, own := in.key(z.Origin, algorithm, "-k")
		if z.DS == "wrong" {
			_, own = in.key(z.Origin, algorithm, "-k")
		}
		zsk, _ := in.key(z.Origin, algorithm)
		args = append(args, zsk, key)
		ds += own
	}
	in.run(in.command("ldns-signzone", args...))
	if z.Edit != nil {
		text, err := os.ReadFile(signed)
		in.fatal(err)
		in.write(name+".signed", z.Edit(string(text)))
	}
	if z.DS == "none" {
		return ""
	}
	return ds
}

// key makes a key, and returns the path that ldns-signzone wants and the DS record of a key for keys.
func (in *instance) key(origin, algorithm string, options ...string) (path, ds string) {
	in.t.Helper()
	args := []string{"-a", algorithm}
	if strings.HasPrefix(algorithm, "RSA") {
		args = append(args, "-b", "1024")
	}
	out, err := in.command("ldns-keygen", append(append(args, options...), origin)...).Output()
	if exit, ok := err.(*exec.ExitError); ok {
		in.t.Fatalf("ldns-keygen: %v: %s", err, exit.Stderr)
	}
	in.fatal(err)
	path = filepath.Join(in.dir, strings.TrimSpace(string(out)))
	if len(options) > 0 {
		text, err := os.ReadFile(path + ".ds")
		in.fatal(err)
		ds = string(text) + "\n"
	}
	return path, ds
}
