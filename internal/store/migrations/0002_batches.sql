-- Batches of counts that were written. One whose end nobody has seen, because the connection broke, is
-- tried again, and must not count twice.
CREATE TABLE batch (
	id TEXT PRIMARY KEY,
	at BIGINT NOT NULL
);
