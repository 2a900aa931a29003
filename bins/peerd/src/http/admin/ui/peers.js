// Peers: who is up, what stands in the way, what they offer.

import { at, call, code, empty, entry, find, get, make, on, order, rate, say, size, some, trying } from "./kit.js";
import { want } from "./queue.js";
import { rows, watch } from "./rows.js";

const MARKS = { ok: "✓ good", warning: "! warn", failed: "✕ bad", skipped: "– quiet" };
let [browsed, next] = ["", ""];

export function begin() {
	on("offer-find", "submit", () => offer());
	on("items-more", "click", () => offer(next));
	watch((what) => what === "progress" || mark());
}

export const leave = () => { browsed = ""; };

export async function enter(name) {
	await trying(async () => {
		const { peers } = await get("/peers");
		find("peers").replaceChildren(...(peers.length ? peers.map(shown) : [empty("No peers yet. A friend makes you a key with ", code("peerd key create YOU --invite"), "; type what that prints.")]));
	});
	find("offer").hidden = !name;
	if (!name || name === browsed) return;
	browsed = name;
	find("offer-what").value = "";
	say(find("h-offer"), `What ${name} offers`);
	await offer();
	find("h-offer").focus();
}

export function heard(up, { peer, reason }) {
	const place = find("peers").querySelector(`[data-peer="${CSS.escape(peer)}"] .state`);
	if (place) reach(place, up, reason);
}

function reach(place, up, reason) {
	place.dataset.up = up;
	say(place, up === null ? "Not asked yet" : up ? "Up" : some("Down", reason).join(": "));
}

function shown({ name, url, key, up, limit_down: limit, error }) {
	const [state, found] = [make("span.state"), make("div", { role: "status" })];
	reach(state, up);
	return entry({ "data-peer": name }, name,
		[order("test", "Test", () => test(name, found, state), name), order("browse", "Browse", () => { location.hash = `peers/${at(name)}`; }, name)],
		some(state, url, !key && "no key", limit && `at most ${rate(limit)}`),
		make("p.bad", {}, error), found);
}

async function test(name, found, state) {
	say(found, "Looking at it from every side…");
	const result = await trying(() => call("POST", `/peers/${at(name)}/test`));
	if (!result) return say(found, "");
	const { ok, checks, version, system, latency_ms: latency } = result;
	reach(state, checks.every(({ check, outcome }) => check !== "reach" || outcome !== "failed"));
	return found.replaceChildren(some(ok ? "All is well" : "Something stands in the way", version && `${system} ${version}`, latency && `${latency} ms`).join(" · "),
		make("ul.checks", {}, ...checks.map(({ check, outcome, detail, remedy }) => make("li", {},
			make(`b.${MARKS[outcome].slice(2)}`, { "aria-hidden": true }, MARKS[outcome][0]),
			make("span", {}, make("b", {}, `${check} ${outcome}: `), detail, make("span.quiet", {}, remedy && ` ${remedy}`))))));
}

async function offer(cursor = "") {
	const [name, list, said] = [browsed, find("items"), find("items-said")];
	const query = new URLSearchParams({ limit: "50", q: find("offer-what").value.trim(), cursor });
	say(said, "Asking…");
	const page = await trying(() => get(`/peers/${at(name)}/items?${query}`));
	if (name !== browsed) return;
	if (!cursor) list.replaceChildren();
	const items = (page?.items || []).map((item) => offered(name, item));
	list.append(...items);
	say(said, page && !list.firstChild ? "It offers us nothing of the kind." : "");
	next = page?.next;
	find("items-more").hidden = !next;
	mark();
	if (cursor) items[0]?.querySelector("button").focus();
}

function offered(peer, { id, title, filename, size: bytes, share }) {
	const [name, said] = [title || filename || id, make("span", { role: "status" })];
	return entry({ "data-item": id }, name, [order("download", "Download", () => want({ peer, item: id }, said), name)],
		some(share, bytes !== null && size(bytes), filename !== name && filename, make("span.known")), said);
}

function mark() {
	const known = new Map([...rows.values()].filter((row) => row.peer === browsed).sort((a, b) => a.id - b.id).map((row) => [row.item, row.state]));
	for (const item of find("items").children) say(item.querySelector(".known"), known.has(item.dataset.item) ? known.get(item.dataset.item).replace("_", " ") : "");
}
