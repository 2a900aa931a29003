-- The first schema: downloads, the ranges of each that are on disk, and the history the database writes by itself.
-- Ranges are half-open byte offsets of the representation. Times are milliseconds since 1970-01-01T00:00:00Z.

-- Words are rows, not CHECKs: a new one is then an INSERT, where a CHECK would cost a rebuild of the whole table.
CREATE TABLE download_state (
    name TEXT PRIMARY KEY NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO download_state (name) VALUES
    ('queued'), ('downloading'), ('waiting'), ('paused'), ('finalizing'),
    ('completed'), ('import_queued'), ('imported'), ('failed'), ('cancelled');

CREATE TABLE total_source (
    name TEXT PRIMARY KEY NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO total_source (name) VALUES
    ('content_length'), ('content_range'), ('manifest'), ('request'), ('end_of_body');

CREATE TABLE layout (
    name TEXT PRIMARY KEY NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO layout (name) VALUES ('prefix'), ('map');

CREATE TABLE download (
    -- Never reused: people and scripts hold on to the numbers they were given.
    id INTEGER PRIMARY KEY AUTOINCREMENT,

    peer TEXT CHECK (peer <> ''),
    item TEXT CHECK (item <> ''),
    url TEXT NOT NULL CHECK (url <> ''),
    filename TEXT CHECK (filename <> ''),
    target TEXT CHECK (target <> ''),
    part TEXT CHECK (part <> ''),

    state TEXT NOT NULL REFERENCES download_state (name),
    last_event TEXT NOT NULL,
    last_reason TEXT,
    priority INTEGER NOT NULL DEFAULT 0 CHECK (priority BETWEEN -10 AND 10),

    total INTEGER CHECK (total >= 0),
    total_source TEXT REFERENCES total_source (name),
    validator TEXT,
    generation INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0),
    -- Whether the length of the part file says something; within a generation only ever from prefix to map.
    layout TEXT NOT NULL DEFAULT 'prefix' REFERENCES layout (name),
    durable INTEGER NOT NULL DEFAULT 0 CHECK (durable >= 0 AND (total IS NULL OR durable <= total)),

    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Durable bytes when the last failure was counted: progress since then decides whether the count starts over.
    attempts_mark INTEGER NOT NULL DEFAULT 0 CHECK (attempts_mark >= 0),
    restarts INTEGER NOT NULL DEFAULT 0 CHECK (restarts >= 0),
    last_restart_reason TEXT,
    last_restart_discarded INTEGER CHECK (last_restart_discarded >= 0),
    last_restart_at INTEGER,
    retry_at INTEGER,
    retryable INTEGER NOT NULL DEFAULT 0 CHECK (retryable IN (0, 1)),
    error_kind TEXT,
    error_message TEXT,

    limit_down INTEGER CHECK (limit_down >= 0),
    import TEXT,
    import_state TEXT,
    sha256 BLOB CHECK (length(sha256) = 32),
    blake3 BLOB CHECK (length(blake3) = 32),

    lease_owner TEXT CHECK (lease_owner <> ''),
    lease_epoch INTEGER NOT NULL DEFAULT 0 CHECK (lease_epoch >= 0),
    lease_until INTEGER,

    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    completed_at INTEGER,

    CHECK (item IS NULL OR peer IS NOT NULL),
    CHECK ((total IS NULL) = (total_source IS NULL)),
    CHECK ((error_kind IS NULL) = (error_message IS NULL)),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL)),
    CHECK ((state IN ('downloading', 'finalizing')) = (lease_owner IS NOT NULL)),
    CHECK (state <> 'waiting' OR retry_at IS NOT NULL),
    CHECK (retry_at IS NULL OR state IN ('waiting', 'failed')),
    CHECK (retryable = 0 OR state = 'failed'),
    -- A row that says whole must know what whole is.
    CHECK (state NOT IN ('finalizing', 'completed', 'import_queued', 'imported')
        OR (total IS NOT NULL AND durable = total)),
    CHECK ((state IN ('completed', 'import_queued', 'imported')) = (completed_at IS NOT NULL))
) STRICT;

-- One live row owns a destination, its part file, and the item it fetches.
CREATE UNIQUE INDEX download_live_target ON download (target)
    WHERE target IS NOT NULL AND state IN ('queued', 'downloading', 'waiting', 'paused', 'finalizing');
CREATE UNIQUE INDEX download_live_part ON download (part)
    WHERE part IS NOT NULL AND state IN ('queued', 'downloading', 'waiting', 'paused', 'finalizing');
CREATE UNIQUE INDEX download_live_item ON download (peer, item)
    WHERE item IS NOT NULL AND state IN ('queued', 'downloading', 'waiting', 'paused', 'finalizing');

-- The queue in the order it is served. It covers what the claim asks, so rows that may not run yet cost no lookup.
CREATE INDEX download_queue ON download (priority DESC, id, retry_at, peer, state)
    WHERE state IN ('queued', 'waiting');
CREATE INDEX download_due ON download (retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX download_lease ON download (lease_until) WHERE lease_owner IS NOT NULL;
CREATE INDEX download_by_state ON download (state, id);
CREATE INDEX download_by_item ON download (peer, item, id) WHERE item IS NOT NULL;
CREATE INDEX download_by_target ON download (target, id) WHERE target IS NOT NULL;

-- What is synced to disk, merged: no two ranges of a download overlap or touch.
CREATE TABLE download_range (
    download_id INTEGER NOT NULL REFERENCES download (id) ON DELETE CASCADE,
    start_at INTEGER NOT NULL CHECK (start_at >= 0),
    end_at INTEGER NOT NULL,
    PRIMARY KEY (download_id, start_at),
    CHECK (end_at > start_at)
) STRICT, WITHOUT ROWID;

-- Two rows over the same bytes would count them twice, and a file with a hole in it would add up to a whole one. Only
-- the last row that begins at or before the new one, and those that begin within it, can be in its way.
CREATE TRIGGER download_range_apart BEFORE INSERT ON download_range
WHEN EXISTS (
    SELECT 1 FROM download_range
    WHERE download_id = NEW.download_id AND start_at <= NEW.end_at AND end_at >= NEW.start_at
      AND start_at >= coalesce((SELECT max(start_at) FROM download_range
                                WHERE download_id = NEW.download_id AND start_at <= NEW.start_at), NEW.start_at))
BEGIN
    SELECT RAISE(ABORT, 'two ranges of a download overlap or touch');
END;

-- One row per try; `from_bytes` and `to_bytes` are durable lengths, so a restart in between shows as a step back.
CREATE TABLE attempt (
    download_id INTEGER NOT NULL REFERENCES download (id) ON DELETE CASCADE,
    n INTEGER NOT NULL CHECK (n > 0),
    owner TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    from_bytes INTEGER NOT NULL,
    to_bytes INTEGER,
    outcome TEXT,
    reason TEXT,
    PRIMARY KEY (download_id, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE transition (
    -- Only ever grows, so a reader can follow the log by number.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    download_id INTEGER NOT NULL REFERENCES download (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    reason TEXT,
    from_state TEXT,
    to_state TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    durable INTEGER NOT NULL,
    discarded INTEGER
) STRICT;

CREATE INDEX transition_by_download ON transition (download_id, seq);

-- History is written by the database, in the transaction that changes the row: no caller can forget it.
CREATE TRIGGER download_enqueued AFTER INSERT ON download
BEGIN
    INSERT INTO transition (download_id, at, event, reason, from_state, to_state, epoch, generation, durable)
    VALUES (NEW.id, NEW.updated_at, NEW.last_event, NEW.last_reason, NULL, NEW.state,
            NEW.lease_epoch, NEW.generation, NEW.durable);
END;

-- One trigger, not three: statements within one have an order, triggers among each other have none.
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
END;

-- Small named values the owner of the queue keeps beside it: its peers, its limits, its counters.
CREATE TABLE record (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 1;
