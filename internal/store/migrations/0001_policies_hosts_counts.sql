-- All times are seconds since 1970, UTC. Texts in JSON are arrays of strings.

-- MTA-STS policies (RFC 8461). body is the policy as fetched; used is when a delivery asked for it; due is
-- when it is to be fetched anew.
CREATE TABLE sts (
	domain   TEXT PRIMARY KEY,
	id       TEXT NOT NULL,
	mode     TEXT NOT NULL,
	body     TEXT NOT NULL,
	fetched  BIGINT NOT NULL,
	expires  BIGINT NOT NULL,
	used     BIGINT NOT NULL,
	due      BIGINT NOT NULL,
	failures BIGINT NOT NULL
);
CREATE INDEX sts_due ON sts (due);

-- What was seen of hosts (RFC 3207 §6). spki is hexadecimal.
CREATE TABLE host (
	name     TEXT PRIMARY KEY,
	first_at BIGINT NOT NULL,
	last_at  BIGINT NOT NULL,
	version  BIGINT NOT NULL,
	spki     TEXT NOT NULL,
	issuer   TEXT NOT NULL
);
CREATE INDEX host_last ON host (last_at);

-- Sessions by policy (RFC 8460 §4.2). day is that of UTC, in days since 1970; policy is the hash of type,
-- policy_domain, strings and mx.
CREATE TABLE session_count (
	day           BIGINT NOT NULL,
	domain        TEXT NOT NULL,
	policy        TEXT NOT NULL,
	type          TEXT NOT NULL,
	policy_domain TEXT NOT NULL,
	strings       TEXT NOT NULL,
	mx            TEXT NOT NULL,
	successful    BIGINT NOT NULL,
	failed        BIGINT NOT NULL,
	PRIMARY KEY (day, domain, policy)
);

-- Failures of these sessions (RFC 8460 §4.3). failure is the hash of all that follows but sessions.
CREATE TABLE failure_count (
	day            BIGINT NOT NULL,
	domain         TEXT NOT NULL,
	policy         TEXT NOT NULL,
	failure        TEXT NOT NULL,
	type           TEXT NOT NULL,
	sending_ip     TEXT NOT NULL,
	receiving_host TEXT NOT NULL,
	receiving_helo TEXT NOT NULL,
	receiving_ip   TEXT NOT NULL,
	info           TEXT NOT NULL,
	reason         TEXT NOT NULL,
	sessions       BIGINT NOT NULL,
	PRIMARY KEY (day, domain, policy, failure)
);
