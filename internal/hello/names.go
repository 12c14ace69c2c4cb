package hello

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Versions of SSL and TLS, as on the wire.
const (
	SSL30 = 0x0300
	TLS10 = 0x0301
	TLS11 = 0x0302
	TLS12 = 0x0303
	TLS13 = 0x0304
)

// VersionName returns a version's name: "TLS 1.2".
func VersionName(v uint16) string {
	if v < SSL30 || v > TLS13 {
		return fmt.Sprintf("0x%04X", v)
	}
	return [...]string{"SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"}[v-SSL30]
}

//go:embed suites.txt
var suiteText string

// suites maps the registry's numbers to its names; suiteIDs is in order.
var suites, suiteIDs = readSuites()

func readSuites() (names map[uint16]string, ids []uint16) {
	names = map[uint16]string{}
	for line := range strings.Lines(suiteText) {
		number, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		id, err := strconv.ParseUint(number, 16, 16)
		if err != nil {
			panic(err)
		}
		names[uint16(id)] = name
		ids = append(ids, uint16(id))
	}
	return names, ids
}

// SuiteName returns the name of a cipher suite in IANA's registry.
func SuiteName(id uint16) string {
	if name := suites[id]; name != "" {
		return name
	}
	return fmt.Sprintf("0x%04X", id)
}

// Suites returns the suites that a version knows, weakest last where that can be told by the numbers of
// the registry. SSL 3.0 to TLS 1.2 know all but those of 1.3.
func Suites(version uint16, match func(name string) bool) (ids []uint16) {
	for _, id := range suiteIDs {
		if is13 := id>>8 == 0x13; is13 == (version == TLS13) && match(suites[id]) {
			ids = append(ids, id)
		}
	}
	slices.Reverse(ids) // those with the high numbers are the later ones
	return ids
}

// A Group is a key exchange of the registry of supported groups.
type Group uint16

// Groups that code asks for by name.
const (
	P256           Group = 23
	X25519         Group = 29
	X25519MLKEM768 Group = 0x11ec
)

// groupNames are those that some server may take, the better ones first.
var groupNames = []struct {
	id   Group
	name string
}{
	{X25519MLKEM768, "X25519MLKEM768"}, {0x11eb, "SecP256r1MLKEM768"}, {0x11ed, "SecP384r1MLKEM1024"},
	{0x0200, "MLKEM512"}, {0x0201, "MLKEM768"}, {0x0202, "MLKEM1024"}, {0x6399, "X25519Kyber768Draft00"},
	{X25519, "X25519"}, {30, "X448"}, {P256, "P-256"}, {24, "P-384"}, {25, "P-521"},
	{31, "brainpoolP256r1tls13"}, {32, "brainpoolP384r1tls13"}, {33, "brainpoolP512r1tls13"},
	{26, "brainpoolP256r1"}, {27, "brainpoolP384r1"}, {28, "brainpoolP512r1"}, {22, "secp256k1"},
	{256, "ffdhe2048"}, {257, "ffdhe3072"}, {258, "ffdhe4096"}, {259, "ffdhe6144"}, {260, "ffdhe8192"},
	{21, "P-224"}, {20, "secp224k1"}, {19, "P-192"}, {18, "secp192k1"}, {17, "secp160r2"}, {16, "secp160r1"}, {15, "secp160k1"},
	{14, "sect571r1"}, {13, "sect571k1"}, {12, "sect409r1"}, {11, "sect409k1"}, {10, "sect283r1"}, {9, "sect283k1"},
	{8, "sect239k1"}, {7, "sect233r1"}, {6, "sect233k1"}, {5, "sect193r2"}, {4, "sect193r1"}, {3, "sect163r2"}, {2, "sect163r1"}, {1, "sect163k1"},
}

// String returns the group's name.
func (g Group) String() string {
	for _, n := range groupNames {
		if n.id == g {
			return n.name
		}
	}
	return fmt.Sprintf("0x%04X", uint16(g))
}

// PostQuantum reports whether the group has ML-KEM in it.
func (g Group) PostQuantum() bool {
	return strings.Contains(g.String(), "MLKEM") || strings.Contains(g.String(), "Kyber")
}

// Groups returns all groups that match, the better ones first.
func Groups(match func(Group) bool) (all []Group) {
	for _, n := range groupNames {
		if match(n.id) {
			all = append(all, n.id)
		}
	}
	return all
}

// A Scheme is a signature algorithm of RFC 8446 §4.2.3, or a hash and a signature of RFC 5246 §7.4.1.4.1.
type Scheme uint16

var schemeNames = []struct {
	id   Scheme
	name string
}{
	{0x0403, "ecdsa_secp256r1_sha256"}, {0x0503, "ecdsa_secp384r1_sha384"}, {0x0603, "ecdsa_secp521r1_sha512"},
	{0x0807, "ed25519"}, {0x0808, "ed448"}, {0x0804, "rsa_pss_rsae_sha256"}, {0x0805, "rsa_pss_rsae_sha384"}, {0x0806, "rsa_pss_rsae_sha512"},
	{0x0809, "rsa_pss_pss_sha256"}, {0x080a, "rsa_pss_pss_sha384"}, {0x080b, "rsa_pss_pss_sha512"},
	{0x0401, "rsa_pkcs1_sha256"}, {0x0501, "rsa_pkcs1_sha384"}, {0x0601, "rsa_pkcs1_sha512"},
	{0x0303, "ecdsa_sha224"}, {0x0301, "rsa_pkcs1_sha224"}, {0x0203, "ecdsa_sha1"}, {0x0201, "rsa_pkcs1_sha1"}, {0x0202, "dsa_sha1"},
	{0x0402, "dsa_sha256"}, {0x0101, "rsa_pkcs1_md5"},
}

// String returns the scheme's name.
func (s Scheme) String() string {
	for _, n := range schemeNames {
		if n.id == s {
			return n.name
		}
	}
	return fmt.Sprintf("0x%04x", uint16(s))
}

// Schemes returns the schemes whose name matches, the better ones first.
func Schemes(match func(name string) bool) (all []Scheme) {
	for _, n := range schemeNames {
		if match(n.name) {
			all = append(all, n.id)
		}
	}
	return all
}

// Any matches every name.
func Any(string) bool { return true }

// primes are the finite-field groups that many servers share, by the start of the SHA-256 of the prime:
// RFC 7919, RFC 2409, RFC 3526 and RFC 5114.
var primes = map[string]string{
	"9cd3b7f336872f46": "ffdhe2048", "0eaf67db3a839156": "ffdhe3072", "4648414224ac881b": "ffdhe4096",
	"227ac9066b3ddd9e": "ffdhe6144", "770b14efaf6f0499": "ffdhe8192",
	"3f35a3f5f6c4376a": "modp1024", "64fcc83ec403930b": "modp1536", "d66436f79bbd6b2e": "modp2048", "48cf8b092fbce435": "modp3072",
	"4ee95187682bcb23": "modp4096", "d1bfe6d0925ce7e4": "modp6144", "39ab4feab950a312": "modp8192",
	"44c55cfee5c07592": "dh1024-160", "bfe545862ca102ad": "dh2048-224", "0b7835722cb61982": "dh2048-256",
}

// primeName returns the name of a group by its prime, or "dh-custom".
func primeName(p []byte) string {
	sum := sha256.Sum256(p)
	if name := primes[hex.EncodeToString(sum[:8])]; name != "" {
		return name
	}
	return "dh-custom"
}
