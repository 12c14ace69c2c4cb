-- What runs of a check have found for a target, from a place; n counts those that found something else than the
-- one before. result is the result of the first of them, as JSON.
CREATE TABLE run (
	id       TEXT PRIMARY KEY,
	target   TEXT NOT NULL,
	place    TEXT NOT NULL,
	n        BIGINT NOT NULL,
	first_at BIGINT NOT NULL,
	last_at  BIGINT NOT NULL,
	result   TEXT NOT NULL
);
CREATE UNIQUE INDEX run_target ON run (target, place, n);
CREATE INDEX run_last ON run (last_at);
