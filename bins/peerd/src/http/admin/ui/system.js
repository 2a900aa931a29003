// The daemon itself: limits, disk, facts, and its configuration.

import { call, duration, every, facts, find, get, make, moment, on, rate, say, size, trying } from "./kit.js";

const WAYS = ["down", "up"];
const UNITS = { "B/s": 1, "KiB/s": 2 ** 10, "MiB/s": 2 ** 20, "GiB/s": 2 ** 30 };
const touched = new Set(); // ways whose limit somebody is about to set
const unitOf = (way) => find(`${way}-unit`);
let rest = () => {};

export function begin() {
	for (const way of WAYS) {
		unitOf(way).append(...Object.keys(UNITS).map((unit) => make("option", {}, unit)));
		for (const field of [way, `${way}-unit`]) on(field, "input", () => touched.add(way));
	}
	on("limits", "submit", set);
	on("reload", "click", reload);
}

export const leave = () => rest();

export async function enter() {
	leave();
	touched.clear();
	rest = every(10_000, show);
	await trying(show);
}

async function show() {
	const known = await get("/system");
	const { disk, downloads: { enabled, running, max_concurrent: most }, listeners, warnings } = known;
	const room = ({ free, path }) => make(`span.${free < disk.min_free ? "warn" : "num"}`, {},
		make("b", {}, `${free === null ? "?" : size(free)} free`), ` in ${path}`);
	facts(find("disk"), [["Downloads", room(disk.downloads)], ["Incomplete", room(disk.incomplete)], ["To stay free", size(disk.min_free)]]);
	facts(find("daemon"), [
		["Version", known.version], ["Up", `${duration(known.uptime)}, since ${moment(known.started_at)}`],
		["Running", enabled ? `${running} of ${most} at once` : "downloads are disabled"], ["For peers", listeners.peer.join(", ")],
		["For you", listeners.admin.join(", ")], ["Configuration", known.config_file || "none: defaults"], ["State", known.state_dir],
	]);
	find("warnings").replaceChildren(...warnings.map(warning));
	fill(known.limits);
}

const warning = ({ message, help, origin }) => make("p.banner.warn", {}, make("b", {}, `${origin}: ${message}`), help);

/** Exactly; what is being edited is left alone. */
function fill(now) {
	for (const way of WAYS) {
		if (touched.has(way)) continue;
		const exact = (unit) => now[way] >= UNITS[unit] && (now[way] / UNITS[unit]) * 1000 % 1 === 0;
		const unit = Object.keys(UNITS).findLast(exact) || "MiB/s";
		unitOf(way).value = unit;
		find(way).value = now[way] / UNITS[unit] || "";
	}
}

/** Only what was edited: the other one may be somebody else's by now. */
async function set() {
	// Upwards: a small limit is none the less one.
	const bytes = (way) => Math.ceil(find(way).value * UNITS[unitOf(way).value]);
	const ways = [...touched];
	const now = await trying(() => call("PUT", "/limits", Object.fromEntries(ways.map((way) => [way, bytes(way)]))));
	if (!now) return;
	ways.forEach((way) => touched.delete(way));
	fill(now);
	say(find("limits-said"), `In force: ${WAYS.map((way) => `${way} ${now[way] ? rate(now[way]) : "no limit"}`).join(", ")}`);
}

async function reload() {
	const place = find("reloaded");
	try {
		const { applied, at_restart: later } = await call("POST", "/system/reload");
		place.replaceChildren(make("p", {}, applied.length ? `In force now: ${applied.join(", ")}` : "Nothing to apply."),
			make("p.warn", {}, later.length ? `At the next start: ${later.join(", ")}` : ""));
		await show();
	} catch (error) {
		place.replaceChildren(make("p.bad", {}, `Nothing was changed: ${error.message}`), ...(error.problem?.errors || []).map(warning));
	}
}
