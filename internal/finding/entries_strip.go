package finding

// strippingEntries are the signatures of somebody on the path who takes TLS away, or reads along.
var strippingEntries = []Entry{
	{
		ID: "strip.banner-masked", Stake: High, Evidence: Certain,
		Title:   "the greeting is not masked",
		Means:   "The greeting is made of asterisks. A firewall of the Cisco PIX or ASA family does that (inspect esmtp, mask-banner), and as a rule takes STARTTLS out as well. Postfix as a sender says HELO to such a greeting and so sends in the clear.",
		Clauses: clauses("RFC 3207 §6"),
		Mend: mend(`Postfix: as a sender: smtp_pix_workarounds without disable_esmtp
Cisco ASA: policy-map: no inspect esmtp, or parameters: no mask-banner and allow-tls`),
	},
	{
		ID: "strip.keyword-masked-a", Stake: High, Evidence: Certain,
		Title:   "the offer is not overwritten with XXXXXXXA",
		Means:   "Where STARTTLS must stand in the list, there is a word of its length, XXXXXXXA: a Cisco firewall with no allow-tls. All mail goes in the clear.",
		Clauses: clauses("RFC 3207 §6"),
		Mend:    mend(`Cisco ASA: policy-map type inspect esmtp: parameters: allow-tls`),
	},
	{
		ID: "strip.keyword-masked", Stake: High, Evidence: Certain,
		Title:   "no capability is overwritten with X",
		Means:   "A capability of the list was overwritten with the letter X in its length. Firewalls do that to words that they do not know or do not want, STARTTLS first of all.",
		Clauses: clauses("RFC 3207 §6"),
		Mend:    mend(`Cisco ASA: policy-map type inspect esmtp: parameters: allow-tls; match ehlo-reply-parameter others: log`),
	},
	{
		ID: "strip.command-masked", Stake: High, Evidence: Likely,
		Title:   "the upgrade reaches the server",
		Means:   "TLS is offered, but the server says that it does not know the command. Something between changes the command on its way.",
		Clauses: clauses("RFC 3207 §6"),
		Mend:    mend(`Cisco ASA: policy-map: no inspect esmtp`),
	},
	{
		ID: "strip.hello-refused", Stake: High, Evidence: Likely,
		Title:   "the hello that asks for extensions is understood",
		Means:   "EHLO is refused and HELO is taken. There are hardly any mail servers without EHLO; a firewall, or an attacker, takes it away, and STARTTLS with it.",
		Clauses: clauses("RFC 5321 §2.2.1; RFC 3207 §6"),
		Mend:    mend(`Cisco ASA: policy-map: no inspect esmtp`),
	},
	{
		ID: "strip.upgrade-refused", Stake: High, Evidence: Possible,
		Title:   "an offered upgrade is not refused",
		Means:   "TLS is listed, and the upgrade is answered with 454, 501, 502, a wrong 2xx or their like. A server with a broken key does that, and so does a tool that strips. If it stays so, and other places see the same, it is the server.",
		Clauses: clauses("RFC 3207 §6; RFC 8314 §4.1"),
	},
	{
		ID: "strip.blackhole", Stake: High, Evidence: Likely,
		Title:   "the handshake is not cut off",
		Means:   "The server goes ahead, and with the first bytes of TLS the connection dies without an alert, or nothing ever comes. Filters that look into packets do this; a handshake that a server refuses ends with an alert.",
		Clauses: clauses("RFC 8446 §6"),
	},
	{
		ID: "strip.plain-after-ready", Stake: High, Evidence: Likely,
		Title:   "TLS follows the go-ahead",
		Means:   "After the go-ahead come words in the clear where TLS must begin. A proxy on the path answers for the server, or adds words.",
		Clauses: clauses("RFC 3207 §4"),
	},
	{
		ID: "strip.preauth", Stake: High, Evidence: Likely,
		Title:   "the session does not begin logged in",
		Means:   "The greeting says that the client is logged in already, and so TLS cannot begin. A client that goes on hands its mail to whoever sent the greeting.",
		Clauses: clauses("RFC 9051 §7.1.4; CVE-2020-14093"),
		Mend:    mend(`Dovecot: a listener with PREAUTH is for programs on the same machine; bind it to a unix socket`),
	},
	{
		ID: "strip.policy-contradicted", Stake: High, Evidence: Certain,
		Title:   "a host whose policy promises TLS offers it",
		Means:   "The domain publishes DANE or MTA-STS in force, so its hosts have TLS, and here none is offered. Somebody between takes it away, or the domain breaks its own promise and gets no mail from careful senders.",
		Clauses: clauses("RFC 7672 §2.2; RFC 8461 §5"),
	},
	{
		ID: "strip.capability-removed", Stake: High, Evidence: Likely,
		Title:   "TLS is offered here as elsewhere",
		Means:   "From another place, or before, the same server offered TLS, and here and now it does not. Seen at the same time from two places it is likely that somebody near this place takes the offer away; in a history it is possible.",
		Clauses: clauses("RFC 3207 §6"),
	},
	{
		ID: "strip.tls-intercepted", Stake: High, Evidence: Likely,
		Title:   "the certificate is the same from everywhere",
		Means:   "From another place, or before, the same address shows another public key and another issuer. A virus scanner, a company's proxy or an attacker ends TLS between.",
		Clauses: clauses("RFC 3207 §6"),
	},
	{
		ID: "strip.banner-swapped", Stake: Medium, Evidence: Possible,
		Title:   "the server calls itself the same from everywhere",
		Means:   "From another place the same address greets with another name. Some access providers lead port 25 to a server of their own; clusters have many names as well.",
		Clauses: clauses("RFC 3207 §6"),
	},
	{
		ID: "strip.port-redirected", Stake: High, Evidence: Certain,
		Title:   "an address without a server does not answer",
		Means:   "An address at which there is no mail server answers as one. Everything that this place sends to port 25 goes to somebody else's server, and findings from here are about that one.",
		Clauses: clauses("RFC 3207 §6"),
	},
	{
		ID: "strip.mx-forged", Stake: High, Evidence: Certain,
		Title:   "the DNS answer is the one that was signed",
		Means:   "The answer for the domain's mail servers is bogus: signatures that must be there are missing or wrong. Somebody leads mail elsewhere, or the zone is broken; careful senders wait.",
		Clauses: clauses("RFC 4035 §4.3; RFC 7672 §2.1"),
	},
}
