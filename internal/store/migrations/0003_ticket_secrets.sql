-- Secrets by which the tickets of TLS sessions are protected at all nodes. day is that of UTC, in days since
-- 1970; secret is hexadecimal.
CREATE TABLE ticket_secret (
	day    BIGINT PRIMARY KEY,
	secret TEXT NOT NULL
);
