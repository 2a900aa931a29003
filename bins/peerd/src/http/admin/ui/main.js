// The page of one daemon: logging in and out, the views, and the stream that keeps them true.

import { call, find, get, notice, on, onStranger, rate, say, size, trying } from "./kit.js";
import { follow } from "./stream.js";
import * as peers from "./peers.js";
import * as player from "./player.js";
import * as queue from "./queue.js";
import * as rows from "./rows.js";
import * as sharing from "./sharing.js";
import * as system from "./system.js";

const VIEWS = { queue, peers, sharing, system };
const all = (selector) => document.querySelectorAll(selector);
let [view, hangUp, running] = ["", () => {}, 0];

async function begin() {
	const [, token] = /^#token=(.+)/.exec(location.hash) || [];
	if (token) {
		// Out of the address at once: it is no business of the history.
		history.replaceState(null, "", location.pathname);
		await trying(() => call("POST", "/session", { token }));
	}
	connect();
}

function connect() {
	hangUp();
	hangUp = follow(told, (word) => {
		say(find("link"), word);
		find("link").dataset.state = word;
		rows.setLive(word === "live");
		if (word === "stranger") leave();
		else if (word === "live" && !view) enter();
	});
}

function enter() {
	all("nav")[0].hidden = false;
	find("log-in").hidden = true;
	route();
	get("/system").then(({ node, downloads, require_key: locked }) => {
		say(find("node"), node);
		find("log-out").hidden = !locked;
		rows.attempts.max ||= downloads.max_attempts || 0;
	}, () => {});
}

function leave() {
	hangUp();
	player.close();
	VIEWS[view]?.leave?.();
	view = "";
	rows.snapshot({ downloads: [], more: false });
	all("nav, #log-out, #low, main > section").forEach((part) => { part.hidden = true; });
	all("dialog[open]").forEach((dialog) => dialog.close());
	say(find("link"), "");
	find("log-in").hidden = false;
	find("key").focus();
}

async function logIn() {
	const [field, button] = [find("key"), find("log-in").querySelector("button")];
	button.disabled = true;
	await trying(async () => {
		await call("POST", "/session", { key: field.value.trim() });
		field.value = "";
		connect();
	});
	button.disabled = false;
	field.focus();
}

function route(event) {
	if (location.hash.startsWith("#token=")) return begin();
	const [name, inside = ""] = location.hash.slice(1).split("/");
	const next = Object.hasOwn(VIEWS, name) ? name : "queue";
	if (next !== view) {
		VIEWS[view]?.leave?.();
		view = next;
		all("main > section").forEach((section) => { section.hidden = section.id !== `view-${view}`; });
		all("nav a").forEach((link) => link.setAttribute("aria-current", link.dataset.view === view ? "page" : "false"));
		title();
		// Whoever listens is told where this is.
		if (event) find(`h-${view}`).focus();
	}
	return VIEWS[view].enter?.(new URLSearchParams(`of=${inside}`).get("of"));
}

function title() {
	document.title = `${running ? `(${running}) ` : ""}${find(`h-${view || "queue"}`).textContent} · peerd`;
}

function told(name, data) {
	const [of, what] = name.split(".");
	if (name === "snapshot") {
		rows.snapshot(data);
		low(data.disk === "low" && {});
	} else if (name === "download.progress") rows.progress(data);
	else if (name === "download.deleted") rows.remove(data.download_id);
	else if (data.download_id) {
		if (what === "restarted") rows.anew(data.download_id);
		rows.attempts.max = data.max || rows.attempts.max;
		rows.refresh(data.download_id);
	} else if (of === "disk") low(what === "low" && data);
	else if (of === "peer") peers.heard(what === "up", data);
}

function low(room) {
	find("low").hidden = !room;
	const free = room?.min_free ? `: ${size(room.free)} of at least ${size(room.min_free)} free` : "";
	say(find("low"), `The disk is nearly full${free}. The queue waits for room.`);
}

addEventListener("rate", ({ detail }) => {
	find("total").hidden = !rows.live || !detail.running;
	say(find("total"), `↓ ${rate(detail.sum)}`);
	running = detail.running;
	title();
});
addEventListener("hashchange", (event) => (view || location.hash.startsWith("#token=")) && route(event));
find("logo").src = document.querySelector("[rel=icon]").href;
on("skip", "click", () => find("main").focus());
find("notice").lastElementChild.addEventListener("click", () => notice(""));
on("log-in", "submit", logIn);
on("log-out", "click", () => trying(() => call("DELETE", "/session").then(() => location.reload())));
onStranger(leave);
Object.values(VIEWS).forEach((each) => each.begin());
begin();
