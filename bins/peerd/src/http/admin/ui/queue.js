// The queue: which rows are shown, in which order; adding one, and what a row may be told.

import { announce, ask, call, code, every, find, get, make, on, order, say, trying } from "./kit.js";
import { GROUPS, exhausted, fetchOlder, more, nameOf, put, remove, rows, WHOLE, watch } from "./rows.js";
import { Row } from "./row.js";

const PAGE = 100;
const shown = new Map(); // id → Row
let [group, text, sort, room, due] = ["All", "", "newest", PAGE, 0];
const dirty = new Set(); // ids, and "order" when a row may have come, gone or moved

export function begin() {
	for (const name of Object.keys(GROUPS)) {
		find("states").append(make("button", { "data-group": name, onclick: () => choose(name) }, name, " ", make("span.num")));
	}
	on("search", "input", ({ target }) => { text = target.value.trim(); choose(group); });
	on("sort", "change", ({ target }) => { sort = target.value; choose(group); });
	on("more", "click", further);
	on("add", "submit", add);
	showAll();
	watch((what, id) => {
		if (what === "all") shown.forEach((row) => dirty.add(row.id));
		soon(id, what === "progress" ? id : "order");
	});
	every(1000, async () => shown.forEach((row) => row.tick()));
}

function choose(name) {
	[group, room] = [name, PAGE];
	for (const chip of find("states").children) chip.setAttribute("aria-pressed", chip.dataset.group === name);
	soon("order");
}

function soon(...what) {
	what.forEach((each) => dirty.add(each));
	due ||= setTimeout(() => {
		due = 0;
		if (dirty.has("order")) arrange();
		for (const id of dirty) if (rows.has(id)) shown.get(id)?.paint(rows.get(id));
		dirty.clear();
		const running = [...rows.values()].filter((row) => row.state === "downloading");
		const sum = running.reduce((all, row) => all + row.rate, 0);
		dispatchEvent(new CustomEvent("rate", { detail: { running: running.length, sum } }));
	}, 80);
}

const over = (row) => row.state === "failed" || GROUPS.Finished.includes(row.state);
const ORDERS = {
	newest: (a, b) => b.id - a.id,
	// As the daemon serves them; what is over comes last, the latest first.
	queue: (a, b) => over(a) - over(b) || (over(a) ? b.id - a.id : b.priority - a.priority || a.id - b.id),
};

function found() {
	const words = text.toLowerCase().split(/\s+/);
	return [...rows.values()].filter((row) => {
		const said = [nameOf(row), row.peer, row.item, row.url].join(" ").toLowerCase();
		return (!GROUPS[group] || GROUPS[group].includes(row.state)) && words.every((word) => said.includes(word));
	}).sort(ORDERS[sort]);
}

function arrange() {
	const all = found();
	const wanted = all.slice(0, room);
	const [list, focused, keep] = [find("downloads"), document.activeElement, new Set(wanted.map((row) => row.id))];
	for (const [id, row] of shown) if (!keep.has(id)) drop(id, row);
	let place = list.firstElementChild;
	for (const row of wanted) {
		if (!shown.has(row.id)) shown.set(row.id, new Row(row, ORDERED));
		const { item } = shown.get(row.id);
		if (item === place) place = place.nextElementSibling;
		else list.insertBefore(item, place);
	}
	// Moving an element takes the focus from what is in it.
	if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
	list.hidden = !wanted.length;
	counts();
	none(wanted.length);
	const rest = all.length - wanted.length;
	find("more").hidden = !rest && (!more || exhausted(group, text));
	say(find("more"), rest ? `Show more (${rest})` : "Load older ones");
}

/** Takes a row away. A focus in it goes to the next row. */
function drop(id, row) {
	const near = row.item.nextElementSibling || row.item.previousElementSibling;
	const held = row.item.contains(document.activeElement);
	row.end();
	row.item.remove();
	shown.delete(id);
	if (held) (near ? near.querySelector(".name") : find("add-what")).focus();
}

function counts() {
	for (const chip of find("states").children) {
		const states = GROUPS[chip.dataset.group];
		const count = [...rows.values()].filter((row) => !states || states.includes(row.state)).length;
		say(chip.lastElementChild, count + (more && !states ? "+" : ""));
	}
}

function none(count) {
	find("none").hidden = count > 0;
	find("none").replaceChildren(...(rows.size ? ["No download matches. ", order("all", "Show all", () => { showAll(); find("search").focus(); })]
		: ["Nothing in the queue yet. Look at what your ", make("a", { href: "#peers" }, "peers"), " offer, or type ", code("peerd add PEER/ITEM"), "."]));
}

function showAll() {
	find("search").value = text = "";
	choose("All");
}

async function further() {
	if (found().length <= room) await trying(() => fetchOlder(group, text));
	room += PAGE;
	soon("order");
}

async function reveal(id) {
	if (!rows.has(id)) await trying(async () => put(await get(`/downloads/${id}`)));
	showAll();
	[room, location.hash] = [Infinity, "queue"];
	setTimeout(() => {
		shown.get(id)?.open(true);
		shown.get(id)?.name.focus();
	}, 200);
}

async function add() {
	const [field, said] = [find("add-what"), find("add-said")];
	const [, peer, item] = /^([^/:]+)\/(.+)$/.exec(field.value.trim()) || [];
	const url = field.value.trim();
	if (!item && !url.includes("://")) say(said, "Write PEER/ITEM, such as alice/Videos:4f2a, or a whole address.");
	else if (await want(item ? { peer, item } : { url }, said)) field.value = "";
}

/** Queues what is wished for, says into `said` what came of it, and returns whether it is new. */
export async function want(wish, said) {
	try {
		const row = await call("POST", "/downloads", wish);
		put(row);
		say(said, `Added: ${nameOf(row)}`);
		return true;
	} catch (error) {
		const id = error.problem?.download_id;
		if (id) said.replaceChildren("It is in the queue already. ", order("show", "Show it", () => reveal(id)));
		else say(said, error.type === "destination-exists" ? "That file is here already; nothing was added." : `Not added: ${error.message}`);
		return false;
	}
}

const prefer = (id, priority) => trying(async () => put(await call("PATCH", `/downloads/${id}`, { priority })));

const ORDERED = {
	other: ({ id }, verb) => trying(async () => put(await call("POST", `/downloads/${id}/${verb}`, verb === "import" ? {} : undefined))),
	lower: ({ id, priority }) => prefer(id, priority - 1),
	raise: ({ id, priority }) => prefer(id, priority + 1),

	async cancel(row) {
		const why = `${nameOf(row)}: what has arrived is thrown away. The row stays, as cancelled.`;
		if (await ask({ what: "Cancel this download?", why, yes: "Cancel it" })) await ORDERED.other(row, "cancel");
	},

	async delete(row) {
		const [{ id }, whole] = [row, WHOLE.includes(row.state)];
		const why = `${nameOf(row)}: the row goes away, ${whole ? "the finished file stays" : "and what has arrived with it"}.`;
		const answer = await ask({ what: "Delete this download?", why, data: whole ? "Also delete the finished file" : "" });
		if (!answer) return;
		await trying(async () => {
			await call("DELETE", `/downloads/${id}${answer.data ? "?data=true" : ""}`);
			announce(`${nameOf(row)} is deleted`);
			remove(id);
		});
	},
};
