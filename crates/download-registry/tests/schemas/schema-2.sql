-- A registry of schema 2 with a row in every state, as the version that made it left it. Never made anew.
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA application_id = 1885693298;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _peerd_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _peerd_migrations VALUES(1,'downloads','2026-11-21 14:00:58',1,X'fdfae0d4cb020a03db9781e1558b4c055788f42640ca730263936ae28cfc0151d56051579c40e47ad1f16d3d7bb6633f',39498609);
INSERT INTO _peerd_migrations VALUES(2,'sources','2026-11-21 23:39:22',1,X'80f14205c48b03ebe1ae93b4e7d62cef44b4a81995e1dee5ea3a9f2e306da7360b150020406d69dcc2c378c3c88293c6',4428775);
CREATE TABLE download_state (
    name TEXT PRIMARY KEY NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO download_state VALUES('cancelled');
INSERT INTO download_state VALUES('completed');
INSERT INTO download_state VALUES('downloading');
INSERT INTO download_state VALUES('failed');
INSERT INTO download_state VALUES('finalizing');
INSERT INTO download_state VALUES('import_queued');
INSERT INTO download_state VALUES('imported');
INSERT INTO download_state VALUES('paused');
INSERT INTO download_state VALUES('queued');
INSERT INTO download_state VALUES('waiting');
CREATE TABLE total_source (
    name TEXT PRIMARY KEY NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO total_source VALUES('content_length');
INSERT INTO total_source VALUES('content_range');
INSERT INTO total_source VALUES('end_of_body');
INSERT INTO total_source VALUES('manifest');
INSERT INTO total_source VALUES('request');
CREATE TABLE layout (
    name TEXT PRIMARY KEY NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO layout VALUES('map');
INSERT INTO layout VALUES('prefix');
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
INSERT INTO download VALUES(1,'bob','published','https://bob.example/peer/items/published/file','published.mkv','/data/published.mkv','/incomplete/published.mkv.part','completed','published',NULL,0,100,'content_range','"v1"',1,'prefix',100,0,0,0,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,1700000000000,1700000000014,1700000000014);
INSERT INTO download VALUES(2,'bob','import-queued','https://bob.example/peer/items/import-queued/file','import-queued.mkv','/data/import-queued.mkv','/incomplete/import-queued.mkv.part','import_queued','import_queued',NULL,0,100,'content_range','"v1"',1,'prefix',100,0,0,0,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,'asked',NULL,NULL,NULL,1,NULL,1700000000000,1700000000015,1700000000014);
INSERT INTO download VALUES(3,'bob','imported','https://bob.example/peer/items/imported/file','imported.mkv','/data/imported.mkv','/incomplete/imported.mkv.part','imported','imported',NULL,0,100,'content_range','"v1"',1,'prefix',100,0,0,0,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,'taken',NULL,NULL,NULL,1,NULL,1700000000000,1700000000016,1700000000014);
INSERT INTO download VALUES(4,'bob','waiting','https://bob.example/peer/items/waiting/file','waiting.mkv','/data/waiting.mkv','/incomplete/waiting.mkv.part','waiting','retry_scheduled','unreachable',0,100,'content_range','"v1"',1,'map',20,1,20,0,NULL,NULL,NULL,1700000060000,0,'unreachable','the peer does not answer',NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,1700000000000,1700000000013,NULL);
INSERT INTO download VALUES(5,'bob','failed','https://bob.example/peer/items/failed/file','failed.mkv','/data/failed.mkv','/incomplete/failed.mkv.part','failed','failed','unreachable',0,100,'content_range','"v1"',1,'prefix',40,1,40,0,NULL,NULL,NULL,1700000090000,1,'unreachable','the peer does not answer',NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,1700000000000,1700000000013,NULL);
INSERT INTO download VALUES(6,'bob','cancelled','https://bob.example/peer/items/cancelled/file','cancelled.mkv','/data/cancelled.mkv','/incomplete/cancelled.mkv.part','cancelled','cancelled',NULL,0,100,'content_range','"v1"',1,'prefix',0,0,0,0,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,1700000000000,1700000000013,NULL);
INSERT INTO download VALUES(7,'bob','finalizing','https://bob.example/peer/items/finalizing/file','finalizing.mkv','/data/finalizing.mkv','/incomplete/finalizing.mkv.part','finalizing','sealed',NULL,0,100,'content_range','"v1"',1,'prefix',100,0,0,0,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'worker',1,1700000060010,1700000000000,1700000000013,NULL);
INSERT INTO download VALUES(8,'bob','downloading','https://bob.example/peer/items/downloading/file','downloading.mkv','/data/downloading.mkv','/incomplete/downloading.mkv.part','downloading','restarted','validator_changed',0,120,'content_range','"v2"',2,'prefix',20,0,0,1,'validator_changed',30,1700000000013,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'worker',1,1700000060010,1700000000000,1700000000014,NULL);
INSERT INTO download VALUES(9,'bob','paused','https://bob.example/peer/items/paused/file','paused.mkv','/data/paused.mkv','/incomplete/paused.mkv.part','paused','enqueued',NULL,5,NULL,NULL,NULL,0,'prefix',0,0,0,0,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,1700000000001,1700000000001,NULL);
INSERT INTO download VALUES(10,NULL,NULL,'https://example.org/plain?token=old',NULL,NULL,NULL,'queued','enqueued',NULL,0,NULL,NULL,NULL,0,'prefix',0,0,0,0,NULL,NULL,NULL,NULL,0,NULL,NULL,1000,NULL,NULL,X'0707070707070707070707070707070707070707070707070707070707070707',NULL,NULL,0,NULL,1700000000002,1700000000002,NULL);
CREATE TABLE download_range (
    download_id INTEGER NOT NULL REFERENCES download (id) ON DELETE CASCADE,
    start_at INTEGER NOT NULL CHECK (start_at >= 0),
    end_at INTEGER NOT NULL,
    PRIMARY KEY (download_id, start_at),
    CHECK (end_at > start_at)
) STRICT, WITHOUT ROWID;
INSERT INTO download_range VALUES(4,0,10);
INSERT INTO download_range VALUES(4,50,60);
INSERT INTO download_range VALUES(5,0,40);
INSERT INTO download_range VALUES(7,0,100);
INSERT INTO download_range VALUES(8,0,20);
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
INSERT INTO attempt VALUES(1,1,'worker',1,1700000000010,1700000000013,0,100,'sealed',NULL);
INSERT INTO attempt VALUES(2,1,'worker',1,1700000000010,1700000000013,0,100,'sealed',NULL);
INSERT INTO attempt VALUES(3,1,'worker',1,1700000000010,1700000000013,0,100,'sealed',NULL);
INSERT INTO attempt VALUES(4,1,'worker',1,1700000000010,1700000000013,0,20,'retry_scheduled','unreachable');
INSERT INTO attempt VALUES(5,1,'worker',1,1700000000010,1700000000013,0,40,'failed','unreachable');
INSERT INTO attempt VALUES(6,1,'worker',1,1700000000010,1700000000013,0,40,'cancelled',NULL);
INSERT INTO attempt VALUES(7,1,'worker',1,1700000000010,1700000000013,0,100,'sealed',NULL);
INSERT INTO attempt VALUES(8,1,'worker',1,1700000000010,NULL,0,NULL,NULL,NULL);
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
INSERT INTO transition VALUES(1,1,1700000000000,'enqueued',NULL,NULL,'queued',0,0,0,NULL);
INSERT INTO transition VALUES(2,1,1700000000010,'claimed',NULL,'queued','downloading',1,0,0,NULL);
INSERT INTO transition VALUES(3,1,1700000000013,'sealed',NULL,'downloading','finalizing',1,1,100,NULL);
INSERT INTO transition VALUES(4,1,1700000000014,'published',NULL,'finalizing','completed',1,1,100,NULL);
INSERT INTO transition VALUES(5,2,1700000000000,'enqueued',NULL,NULL,'queued',0,0,0,NULL);
INSERT INTO transition VALUES(6,2,1700000000010,'claimed',NULL,'queued','downloading',1,0,0,NULL);
INSERT INTO transition VALUES(7,2,1700000000013,'sealed',NULL,'downloading','finalizing',1,1,100,NULL);
INSERT INTO transition VALUES(8,2,1700000000014,'published',NULL,'finalizing','completed',1,1,100,NULL);
INSERT INTO transition VALUES(9,2,1700000000015,'import_queued',NULL,'completed','import_queued',1,1,100,NULL);
INSERT INTO transition VALUES(10,3,1700000000000,'enqueued',NULL,NULL,'queued',0,0,0,NULL);
INSERT INTO transition VALUES(11,3,1700000000010,'claimed',NULL,'queued','downloading',1,0,0,NULL);
INSERT INTO transition VALUES(12,3,1700000000013,'sealed',NULL,'downloading','finalizing',1,1,100,NULL);
INSERT INTO transition VALUES(13,3,1700000000014,'published',NULL,'finalizing','completed',1,1,100,NULL);
INSERT INTO transition VALUES(14,3,1700000000015,'import_queued',NULL,'completed','import_queued',1,1,100,NULL);
INSERT INTO transition VALUES(15,3,1700000000016,'imported',NULL,'import_queued','imported',1,1,100,NULL);
INSERT INTO transition VALUES(16,4,1700000000000,'enqueued',NULL,NULL,'queued',0,0,0,NULL);
INSERT INTO transition VALUES(17,4,1700000000010,'claimed',NULL,'queued','downloading',1,0,0,NULL);
INSERT INTO transition VALUES(18,4,1700000000013,'retry_scheduled','unreachable','downloading','waiting',1,1,20,NULL);
INSERT INTO transition VALUES(19,5,1700000000000,'enqueued',NULL,NULL,'queued',0,0,0,NULL);
INSERT INTO transition VALUES(20,5,1700000000010,'claimed',NULL,'queued','downloading',1,0,0,NULL);
INSERT INTO transition VALUES(21,5,1700000000013,'failed','unreachable','downloading','failed',1,1,40,NULL);
INSERT INTO transition VALUES(22,6,1700000000000,'enqueued',NULL,NULL,'queued',0,0,0,NULL);
INSERT INTO transition VALUES(23,6,1700000000010,'claimed',NULL,'queued','downloading',1,0,0,NULL);
INSERT INTO transition VALUES(24,6,1700000000013,'cancelled',NULL,'downloading','cancelled',1,1,40,NULL);
INSERT INTO transition VALUES(25,7,1700000000000,'enqueued',NULL,NULL,'queued',0,0,0,NULL);
INSERT INTO transition VALUES(26,7,1700000000010,'claimed',NULL,'queued','downloading',1,0,0,NULL);
INSERT INTO transition VALUES(27,7,1700000000013,'sealed',NULL,'downloading','finalizing',1,1,100,NULL);
INSERT INTO transition VALUES(28,8,1700000000000,'enqueued',NULL,NULL,'queued',0,0,0,NULL);
INSERT INTO transition VALUES(29,8,1700000000010,'claimed',NULL,'queued','downloading',1,0,0,NULL);
INSERT INTO transition VALUES(30,8,1700000000013,'restarted','validator_changed','downloading','downloading',1,2,0,30);
INSERT INTO transition VALUES(31,9,1700000000001,'enqueued',NULL,NULL,'paused',0,0,0,NULL);
INSERT INTO transition VALUES(32,10,1700000000002,'enqueued',NULL,NULL,'queued',0,0,0,NULL);
CREATE TABLE record (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
INSERT INTO record VALUES('peer','bob','{"url":"https://bob.example/"}',1700000000003);
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
INSERT INTO source VALUES(1,'https://bob.example/peer/items/published/file',1,NULL,NULL,NULL,NULL,1700000000014);
INSERT INTO source VALUES(2,'https://bob.example/peer/items/import-queued/file',1,NULL,NULL,NULL,NULL,1700000000015);
INSERT INTO source VALUES(3,'https://bob.example/peer/items/imported/file',1,NULL,NULL,NULL,NULL,1700000000016);
INSERT INTO source VALUES(4,'https://bob.example/peer/items/waiting/file',1,NULL,NULL,NULL,NULL,1700000000013);
INSERT INTO source VALUES(5,'https://bob.example/peer/items/failed/file',1,NULL,NULL,NULL,NULL,1700000000013);
INSERT INTO source VALUES(6,'https://bob.example/peer/items/cancelled/file',1,NULL,NULL,NULL,NULL,1700000000013);
INSERT INTO source VALUES(7,'https://bob.example/peer/items/finalizing/file',1,NULL,NULL,NULL,NULL,1700000000013);
INSERT INTO source VALUES(8,'https://bob.example/peer/items/downloading/file',1,NULL,NULL,NULL,NULL,1700000000014);
INSERT INTO source VALUES(9,'https://bob.example/peer/items/paused/file',1,NULL,NULL,NULL,NULL,1700000000001);
INSERT INTO source VALUES(10,'https://example.org/plain?token=old',1,NULL,NULL,NULL,NULL,1700000000002);
CREATE TABLE history (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    keep_attempts INTEGER NOT NULL CHECK (keep_attempts > 0),
    keep_transitions INTEGER NOT NULL CHECK (keep_transitions > 0),
    -- The last entry of the log that was removed: whoever follows the log and saw less has missed something.
    removed_to INTEGER NOT NULL CHECK (removed_to >= 0)
) STRICT;
INSERT INTO history VALUES(1,50,200,0);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('transition',32);
INSERT INTO sqlite_sequence VALUES('download',10);
CREATE UNIQUE INDEX download_live_target ON download (target)
    WHERE target IS NOT NULL AND state IN ('queued', 'downloading', 'waiting', 'paused', 'finalizing');
CREATE UNIQUE INDEX download_live_part ON download (part)
    WHERE part IS NOT NULL AND state IN ('queued', 'downloading', 'waiting', 'paused', 'finalizing');
CREATE UNIQUE INDEX download_live_item ON download (peer, item)
    WHERE item IS NOT NULL AND state IN ('queued', 'downloading', 'waiting', 'paused', 'finalizing');
CREATE INDEX download_due ON download (retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX download_lease ON download (lease_until) WHERE lease_owner IS NOT NULL;
CREATE INDEX download_by_state ON download (state, id);
CREATE INDEX download_by_item ON download (peer, item, id) WHERE item IS NOT NULL;
CREATE INDEX download_by_target ON download (target, id) WHERE target IS NOT NULL;
CREATE TRIGGER download_range_apart BEFORE INSERT ON download_range
WHEN EXISTS (
    SELECT 1 FROM download_range
    WHERE download_id = NEW.download_id AND start_at <= NEW.end_at AND end_at >= NEW.start_at
      AND start_at >= coalesce((SELECT max(start_at) FROM download_range
                                WHERE download_id = NEW.download_id AND start_at <= NEW.start_at), NEW.start_at))
BEGIN
    SELECT RAISE(ABORT, 'two ranges of a download overlap or touch');
END;
CREATE INDEX transition_by_download ON transition (download_id, seq);
CREATE TRIGGER download_enqueued AFTER INSERT ON download
BEGIN
    INSERT INTO transition (download_id, at, event, reason, from_state, to_state, epoch, generation, durable)
    VALUES (NEW.id, NEW.updated_at, NEW.last_event, NEW.last_reason, NULL, NEW.state,
            NEW.lease_epoch, NEW.generation, NEW.durable);
END;
CREATE TRIGGER download_has_a_source AFTER INSERT ON download
BEGIN
    INSERT INTO source (download_id, url, n, updated_at) VALUES (NEW.id, NEW.url, 1, NEW.updated_at);
END;
CREATE TRIGGER transition_removed AFTER DELETE ON transition
WHEN OLD.seq > (SELECT removed_to FROM history)
BEGIN
    UPDATE history SET removed_to = OLD.seq;
END;
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
END
;
CREATE INDEX download_lane ON download (peer, priority DESC, id, retry_at, state)
    WHERE state IN ('queued', 'waiting');
CREATE INDEX download_by_priority ON download (priority DESC, id);
CREATE INDEX download_by_update ON download (updated_at, id);
CREATE INDEX download_by_name ON download (coalesce(filename, '') COLLATE NOCASE, id);
CREATE INDEX download_by_size ON download (coalesce(total, -1), id);
CREATE INDEX download_finished ON download (updated_at, state) WHERE state IN ('completed', 'imported', 'cancelled');
COMMIT;
PRAGMA user_version = 2;
