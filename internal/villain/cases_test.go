package villain

import (
	"maps"
	"testing"

	"starttls/dialect"
)

// cases are the names that attacks on clients have elsewhere: in fake-mail-server (nostarttls.secvuln.info, USENIX
// Security 2021; what has no number there is called by its group), in striptls, and in advisories.
// docs/check.md says which of them cannot be seen from here.
var cases = map[string]string{
	"imap/stripped":     "O_1 D_3 striptls-strip",
	"imap/refused":      "O_2",
	"imap/unknown":      "O_3 striptls-error",
	"imap/continue":     "O_4",
	"imap/deaf":         "D_1",
	"imap/imap4":        "D_2",
	"imap/imap2":        "striptls-imap2",
	"imap/preauth":      "P",
	"imap/preauth-bare": "P_1",
	"imap/preauth-auth": "P_2 P_3 P_4 P_5",
	"imap/injected":     "B_1",
	"imap/early":        "construction-reorder",
	"imap/junk":         "construction-junk",
	"imap/junk-ok":      "construction-junk-junk-ok CVE-2020-28896",
	"imap/tagged":       "construction-tagged",
	"imap/greets-no":    "construction-no",
	"imap/greets-bad":   "construction-bad",
	"imap/greets-bye":   "construction-bye",

	"pop3/stripped": "O_1 striptls-strip",
	"pop3/refused":  "O_2",
	"pop3/unknown":  "O_2 striptls-error",
	"pop3/deaf":     "O_3 capa-error",
	"pop3/apop":     "O_4",
	"pop3/injected": "B_1",
	"pop3/listing":  "greeting-listing",
	"pop3/sys-perm": "stls-sys-perm",
	"pop3/plain":    "stls-without-transition",
	"pop3/prefix":   "greeting-prefix",

	"smtp/stripped":   "O_1 striptls-strip",
	"smtp/unknown":    "O_2",
	"smtp/refused":    "O_3 striptls-454",
	"smtp/354":        "O_4",
	"smtp/deaf":       "D_1 striptls-ehlo-502",
	"smtp/200":        "striptls-invalid-code",
	"smtp/501":        "striptls-501",
	"smtp/injected":   "B_1 striptls-injected",
	"smtp/greets-221": "greeting-2yz",
	"smtp/greets-354": "greeting-3yz",
	"smtp/greets-421": "greeting-4yz",
	"smtp/greets-554": "greeting-5yz",
	"smtp/ehlo-221":   "ehlo-2yz",
	"smtp/ehlo-354":   "ehlo-3yz",
	"smtp/ehlo-421":   "ehlo-4yz",
	"smtp/ehlo-530":   "ehlo-5yz",
	"smtp/221":        "starttls-221",
	"smtp/250":        "starttls-250",
	"smtp/421":        "starttls-421",
	"smtp/500":        "starttls-500",
	"smtp/530":        "starttls-530",

	"ftp/stripped": "striptls-strip",
	"ftp/500":      "striptls-500",

	"nntp/stripped": "striptls-strip",
	"nntp/refused":  "striptls-580",
	"nntp/502":      "striptls-502",

	"acap/stripped": "striptls-strip",
	"acap/unknown":  "striptls-error",

	"xmpp/stripped":     "striptls-strip",
	"xmpp/refused":      "failure",
	"xmpp/foreign":      "proceed-namespace",
	"xmpp/stream-error": "stream-error",

	"irc/stripped": "striptls-strip",
	"irc/refused":  "striptls-691",
	"irc/451":      "striptls-451",
	"irc/cap-451":  "striptls-cap-451",
	"irc/silent":   "striptls-silent-drop",

	"postgres/declined":    "N",
	"postgres/injected":    "S-and-bytes CVE-2021-23222",
	"postgres/two-answers": "SN",
	"postgres/error":       "E-and-text",
	"postgres/gss":         "G",

	"ldap/wrong-id":    "wrong-message-id",
	"ldap/referral":    "referral-code",
	"ldap/disconnects": "notice-of-disconnection",

	"mysql/stripped": "without-CLIENT_SSL",

	"ftp/injected": "234-and-220",

	"nntp/injected": "382-and-101",
}

// certificateCases are those of every scheme.
var certificateCases = map[string]string{"self-signed": "T_1", "stranger": "T_2", "wrong-name": "T_3", "expired": "T_4"}

func caseOf(scheme, villain string) string {
	return cases[scheme+"/"+villain] + certificateCases[villain]
}

// TestEveryCaseHasAVillain: the cases are of villains that there are.
func TestEveryCaseHasAVillain(t *testing.T) {
	left := maps.Clone(cases)
	for _, d := range dialect.All {
		for _, v := range castOf(t, d.Schemes[0].Name) {
			delete(left, d.Schemes[0].Name+"/"+v.Name)
		}
	}
	for name := range left {
		t.Errorf("%s: there is no such villain", name)
	}
}
