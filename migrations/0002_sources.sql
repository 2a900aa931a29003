-- Where the bytes of a download may come from, how much history a row keeps, and indexes for a long queue.

-- What identifies the bytes stands in `download` (total, validator, generation); a URL only says where to ask for them.
-- So it can be replaced, by one with a fresh token or by a list of mirrors, and nothing that is durable is lost.
CREATE TABLE source (
    download_id INTEGER NOT NULL REFERENCES download (id) ON DELETE CASCADE,
    url TEXT NOT NULL CHECK (url <> ''),
    -- Place in the order of preference, from 1. The first one is `download.url`.
    n INTEGER NOT NULL CHECK (n > 0),
    -- What it last answered with; NULL until it did.
    validator TEXT,
    supports_ranges INTEGER CHECK (supports_ranges IN (0, 1)),
    disabled_until INTEGER,
    disabled_reason TEXT,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (download_id, url),
    CHECK ((disabled_until IS NULL) = (disabled_reason IS NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO source (download_id, url, n, updated_at) SELECT id, url, 1, updated_at FROM download;

CREATE TRIGGER download_has_a_source AFTER INSERT ON download
BEGIN
    INSERT INTO source (download_id, url, n, updated_at) VALUES (NEW.id, NEW.url, 1, NEW.updated_at);
END;

-- How much history a row keeps. It is here and not in the program because the database is what writes history.
CREATE TABLE history (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    keep_attempts INTEGER NOT NULL CHECK (keep_attempts > 0),
    keep_transitions INTEGER NOT NULL CHECK (keep_transitions > 0),
    -- The last entry of the log that was removed: whoever follows the log and saw less has missed something.
    removed_to INTEGER NOT NULL CHECK (removed_to >= 0)
) STRICT;

-- Entries of rows that were deleted before this was counted left no trace but their missing numbers.
INSERT INTO history (id, keep_attempts, keep_transitions, removed_to)
SELECT 1, 50, 200, CASE WHEN newest = (SELECT count(*) FROM transition) THEN 0 ELSE newest END
FROM (SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'transition'), 0) AS newest);

CREATE TRIGGER transition_removed AFTER DELETE ON transition
WHEN OLD.seq > (SELECT removed_to FROM history)
BEGIN
    UPDATE history SET removed_to = OLD.seq;
END;

-- As before, and the oldest entries of the row make room for the new ones.
DROP TRIGGER download_stepped;

CREATE TRIGGER download_stepped AFTER UPDATE OF state ON download
BEGIN
    INSERT INTO transition (download_id, at, event, reason, from_state, to_state, epoch, generation, durable, discarded)
    VALUES (NEW.id, NEW.updated_at, NEW.last_event, NEW.last_reason, OLD.state, NEW.state,
            NEW.lease_epoch, NEW.generation, NEW.durable,
            CASE WHEN NEW.restarts > OLD.restarts THEN NEW.last_restart_discarded END);

    -- A try ends when its worker stops fetching, or fails and goes on.
    UPDATE attempt
    SET ended_at = NEW.updated_at, to_bytes = NEW.durable, outcome = NEW.last_event, reason = NEW.last_reason
    WHERE download_id = NEW.id AND ended_at IS NULL
      AND (NEW.state <> 'downloading' OR NEW.last_event = 'attempt_failed');

    INSERT INTO attempt (download_id, n, owner, epoch, started_at, from_bytes)
    SELECT NEW.id, (SELECT coalesce(max(n), 0) + 1 FROM attempt WHERE download_id = NEW.id),
           NEW.lease_owner, NEW.lease_epoch, NEW.updated_at, NEW.durable
    WHERE NEW.state = 'downloading' AND (OLD.state <> 'downloading' OR NEW.last_event = 'attempt_failed');

    DELETE FROM attempt
    WHERE download_id = NEW.id
      AND n <= (SELECT max(n) FROM attempt WHERE download_id = NEW.id) - (SELECT keep_attempts FROM history);

    DELETE FROM transition
    WHERE download_id = NEW.id
      AND seq <= (SELECT seq FROM transition WHERE download_id = NEW.id
                  ORDER BY seq DESC LIMIT 1 OFFSET (SELECT keep_transitions FROM history));
END;

-- The queue, one lane for each peer: the head of every lane is found without passing the rows of another.
DROP INDEX download_queue;
CREATE INDEX download_lane ON download (peer, priority DESC, id, retry_at, state)
    WHERE state IN ('queued', 'waiting');

-- The orders of a list.
CREATE INDEX download_by_priority ON download (priority DESC, id);
CREATE INDEX download_by_update ON download (updated_at, id);
CREATE INDEX download_by_name ON download (coalesce(filename, '') COLLATE NOCASE, id);
CREATE INDEX download_by_size ON download (coalesce(total, -1), id);

-- What may be forgotten once it is old.
CREATE INDEX download_finished ON download (updated_at, state) WHERE state IN ('completed', 'imported', 'cancelled');

PRAGMA user_version = 2;
