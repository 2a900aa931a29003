// Every download we know of, kept true by the stream. Views are told of `progress`, `changed` and `gone` rows, and `all`.

import { announce, at, get, pause } from "./kit.js";

export const rows = new Map(); // id → row, as the API shows it
export const attempts = { max: 0 };
export let more = false; // whether there are rows that are not here
export let live = false; // whether what is here is still told

const watchers = [];
export const watch = (watcher) => watchers.push(watcher);
const tell = (what, id) => watchers.forEach((watcher) => watcher(what, id));

export function setLive(is) {
	live = is;
	tell("all");
}

export const WHOLE = ["completed", "import_queued", "imported"];
export const GROUPS = {
	All: null, Running: ["downloading", "finalizing"], Waiting: ["queued", "waiting"], Paused: ["paused"],
	Failed: ["failed"], Finished: [...WHOLE, "cancelled"],
};
export const nameOf = (row) => row.filename || row.item || row.url;

export function snapshot(data) {
	const before = new Map(rows);
	rows.clear();
	older.clear();
	for (const row of data.downloads) {
		hear(before.get(row.id), row);
		rows.set(row.id, row);
	}
	more = data.more;
	tell("all");
}

export function progress({ download_id: id, ...now }) {
	const row = rows.get(id);
	if (!row) return void refresh(id);
	Object.assign(row, now, furthest(row, now));
	return tell("progress", id);
}

/** Answers and events overtake each other. */
const furthest = (a, b) => ({ written: Math.max(a.written, b.written), durable: Math.max(a.durable, b.durable) });

export function anew(id) {
	if (rows.has(id)) Object.assign(rows.get(id), { written: 0, durable: 0, restarts: null });
}

export function put(row) {
	const old = rows.get(row.id);
	hear(old, row);
	if (old?.restarts === row.restarts && [old, row].every(({ state }) => state === "downloading")) Object.assign(row, furthest(old, row));
	rows.set(row.id, row);
	tell("changed", row.id);
}

export function remove(id) {
	if (rows.delete(id)) tell("gone", id);
}

function hear(before, row) {
	if (!before || before.state === row.state) return;
	if (row.state === "completed") announce(`${nameOf(row)} is complete`);
	if (row.state === "failed") announce(`${nameOf(row)} failed: ${row.error?.message}`);
}

const asking = new Map(); // id → whether to ask once more

/** One question at a time for each, after a pause; until it is answered. */
export async function refresh(id) {
	if (asking.has(id)) return void asking.set(id, true);
	let wait = 50;
	do {
		asking.set(id, false);
		await pause(wait);
		asking.set(id, false);
		try {
			put(await get(`/downloads/${id}`));
			wait = 50;
		} catch ({ status }) {
			if (status === 404) remove(id);
			else asking.set(id, status !== 401);
			wait = Math.min(30_000, wait * 4);
		}
	} while (asking.get(id));
	asking.delete(id);
}

const older = new Map(); // query → cursor, or null at its end

export const exhausted = (group, text) => older.get(query(group, text)) === null;

/** Fetches further rows, until there is one we did not have. */
export async function fetchOlder(group, text) {
	const list = query(group, text);
	for (let fresh = []; !fresh.length && older.get(list) !== null;) {
		const { downloads, next } = await get(`/downloads?${list}&cursor=${at(older.get(list) || "")}`);
		older.set(list, next);
		fresh = downloads.filter((row) => !rows.has(row.id));
		for (const row of fresh) rows.set(row.id, row);
	}
	tell("all");
}

const query = (group, text) => `${new URLSearchParams({ sort: "newest", limit: "200", state: GROUPS[group] || "", q: text })}`;
