-- What was still answered by looking at every row is counted as it happens, or found by an index.

-- How many downloads are in each state.
CREATE TABLE state_count (
    state TEXT PRIMARY KEY NOT NULL REFERENCES download_state (name),
    n INTEGER NOT NULL CHECK (n >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO state_count (state, n) SELECT state, count(*) FROM download GROUP BY state;

CREATE TRIGGER download_came AFTER INSERT ON download
BEGIN
    INSERT INTO state_count (state, n) VALUES (NEW.state, 1) ON CONFLICT (state) DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER download_moved AFTER UPDATE OF state ON download
WHEN NEW.state <> OLD.state
BEGIN
    UPDATE state_count SET n = n - 1 WHERE state = OLD.state;
    INSERT INTO state_count (state, n) VALUES (NEW.state, 1) ON CONFLICT (state) DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER download_went AFTER DELETE ON download
BEGIN
    UPDATE state_count SET n = n - 1 WHERE state = OLD.state;
END;

-- A line of an import list asks whether its address is queued already.
CREATE INDEX download_by_url ON download (url, id) WHERE item IS NULL;

-- The list of one peer.
CREATE INDEX download_by_peer ON download (peer, id) WHERE peer IS NOT NULL;

-- What a start compares with the disk: whose a part file is, and which rows have bytes on record in one.
CREATE INDEX download_by_part ON download (part) WHERE part IS NOT NULL;
CREATE INDEX download_begun ON download (id)
    WHERE durable > 0 AND part IS NOT NULL
      AND state IN ('queued', 'downloading', 'waiting', 'paused', 'finalizing', 'failed');

PRAGMA user_version = 3;
