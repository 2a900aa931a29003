//! Every type of problem there is, with what it means: `docs/problems.md` says the same words.

/// The last part of a problem's type, and what it means to whoever asked.
pub const TYPES: &[(&str, &str)] = &[
    ("bad-request", "400: the request cannot be understood; `detail` says what of it"),
    ("body-too-large", "413: the body is larger than any document of this API"),
    (
        "config-invalid",
        "422: the configuration read again is wrong, and the old one stays; `errors` has every problem",
    ),
    (
        "content-gone",
        "410: the bytes of this download are gone: cancelled, or its file was moved or replaced",
    ),
    ("defined-in-file", "409: the configuration file defines it; change it there and reload"),
    ("destination-active", "409: a live download has this item or this destination; `download_id` names it"),
    ("destination-exists", "409: a file of that name is there, and `downloads.on_conflict` is `fail`"),
    (
        "disk-full",
        "507: the file does not fit beside what is to stay free; make room or lower `downloads.min_free`",
    ),
    ("download-unknown", "404: there is no download of that number"),
    ("file-not-deleted", "500: the row is changed, and its file could not be deleted; `detail` says why"),
    (
        "host-not-allowed",
        "403: the admin address was reached under a name that is not in `admin.allowed_hosts`",
    ),
    ("idempotency-key-reused", "422: the `Idempotency-Key` came with another request before; use a new one"),
    ("import-unknown", "404: no importer has that name"),
    (
        "internal",
        "500: something went wrong on this side; the log says what, under the answer's `X-Request-Id`",
    ),
    ("invalid", "422: a value cannot be used; `field` names it, `detail` says why"),
    ("item-unknown", "404: the peer has no such item, or our key does not open it"),
    ("key-ambiguous", "401: two different keys were sent"),
    ("key-exists", "409: there is a key of that name; revoke it first"),
    ("key-missing", "401: a key is needed, in `X-Api-Key` or as Bearer"),
    ("key-unknown", "404: there is no key of that name"),
    ("key-wrong", "401: the key is not known here"),
    ("link-spent", "401: the one-time link was used, or is older than a minute; get another with `peerd ui`"),
    ("method-not-allowed", "405: this address does not know the method; `Allow` has those it knows"),
    ("not-found", "404: there is nothing under this address"),
    ("origin-not-allowed", "403: a page of another origin sent the request"),
    ("peer-error", "502: the peer gave no useful answer; `peer_status` has its status"),
    ("peer-exists", "409: there is another peer of that name; remove it first"),
    ("peer-key-refused", "502: the peer refuses our key"),
    ("peer-timeout", "504: the peer does not answer in time"),
    ("peer-unknown", "404: there is no peer of that name"),
    ("peer-unreachable", "502: the peer cannot be reached"),
    ("precondition-failed", "412: the file is not in the state the request asked for (RFC 9110 §13.1)"),
    ("range-not-satisfiable", "416: the file has no bytes in this range; `size` has what it has"),
    ("share-unknown", "404: there is no share of that name"),
    ("too-large", "413: the file is larger than `downloads.max_size`"),
    (
        "too-many-connections",
        "429 or 503: the key, or the server, is in use on as many connections as it may",
    ),
    ("too-many-keys", "409: as many keys as there may be; revoke one"),
    ("too-many-peers", "409: as many peers as there may be; remove one"),
    (
        "too-many-wrong-keys",
        "429: too many wrong keys came from this address; `Retry-After` says when it may try again",
    ),
    ("unavailable", "503: this cannot be answered right now; `Retry-After` says when to ask again"),
    ("wrong-state", "409: the state of the download does not allow this"),
];

/// Whether a problem may have this name: one that is not listed would surprise those who tell problems apart.
pub(super) fn is_listed(name: &str) -> bool {
    TYPES.iter().any(|(listed, _)| *listed == name)
}
