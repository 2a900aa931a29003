// What every view uses. What comes from outside becomes text; no markup is ever built from it.

export const find = (id) => document.getElementById(id);

export const some = (...parts) => parts.filter(Boolean);

export function on(id, event, then) {
	find(id).addEventListener(event, (told) => {
		if (event === "submit") told.preventDefault();
		then(told);
	});
}

/** An element, such as `p.warn`. Functions are listeners; strings inside become text. */
export function make(tag, set = {}, ...inside) {
	const [name, ...classes] = tag.split(".");
	const element = document.createElement(name);
	element.classList.add(...classes);
	for (const [name, value] of Object.entries(set)) {
		if (typeof value === "function") element.addEventListener(name.slice(2), value);
		else if (value === true) element.setAttribute(name, "");
		else if (![false, undefined, null].includes(value)) element.setAttribute(name, value);
	}
	element.append(...some(...inside));
	return element;
}

/** A button; `about` tells apart, for listeners, many with one label. */
export function order(verb, label, onclick, about) {
	return make("button", { "data-order": verb, "aria-label": about && `${label}: ${about}`, onclick }, label);
}

export function entry(set, name, orders, words, ...rest) {
	return make("li", set, make("span.name", {}, name), make("div.orders", {}, ...orders),
		make("div.line", {}, make("span.quiet.num", {}, ...words.flatMap((word, at) => (at ? [" · ", word] : [word])))), ...rest);
}

export const empty = (...inside) => make("li.empty.quiet", {}, ...inside);
export const code = (text) => make("code", {}, text);

/** Writes only what differs: a text set anew is read out anew. */
export function say(element, text) {
	if (element.textContent !== `${text}`) element.textContent = text;
}

let [stranger, logIns] = [() => {}, 0];
export const onStranger = (then) => { stranger = then; };

/** Asks the daemon. What it refuses is thrown, with `status`, `type` and `problem`. */
export async function call(method, path, body) {
	const headers = body ? { "content-type": "application/json" } : {};
	const [before, signal] = [logIns, AbortSignal.timeout(method === "GET" ? 30_000 : 600_000)];
	const response = await fetch(`api/v1${path}`, { method, headers, body: body && JSON.stringify(body), cache: "no-store", signal }).catch(() => null);
	if (!response) throw Object.assign(new Error("The daemon does not answer"), { status: 0 });
	const answer = await response.json().catch(() => null);
	if (path === "/session") logIns += response.ok;
	if (response.ok) return answer;
	// An answer from before a log-in says nothing of it.
	if (response.status === 401 && path !== "/session" && before === logIns) stranger();
	const { title, detail = title, type } = answer || {};
	throw Object.assign(new Error(detail || `The daemon answered ${response.status}`),
		{ status: response.status, type: type?.split(":").pop(), problem: answer });
}

export async function trying(work) {
	try {
		notice("");
		return await work();
	} catch (error) {
		return notice(error.message);
	}
}

export const get = (path) => call("GET", path);
export const at = encodeURIComponent;

export const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Again and again while somebody looks, never twice at once. What is returned ends it. */
export function every(ms, work) {
	let ended = false;
	(async () => {
		for (await pause(ms); !ended; await pause(ms)) if (!document.hidden) await work().catch(console.error);
	})();
	return () => { ended = true; };
}

export function notice(text) {
	say(find("notice").firstElementChild, text);
	find("notice").hidden = !text;
}

let unsaid = [];

/** For screen readers; many at once are one sentence. */
export function announce(text) {
	if (unsaid.push(text) > 1) return;
	setTimeout(() => {
		say(find("live"), unsaid.length > 3 ? `${unsaid.length} downloads have changed` : unsaid.join(". "));
		unsaid = [];
	}, 500);
}

/** Asks in a dialog; resolves to false, or to `{ data }`: whether the box was ticked. */
export function ask({ what, why, yes = "Delete", no = "Keep", data = "", inside = [] }) {
	const dialog = find("confirm");
	const part = (name) => dialog.querySelector(`[data-confirm=${name}]`);
	for (const [name, text] of Object.entries({ what, why, yes, no, label: data })) say(part(name), text);
	part("inside").replaceChildren(...inside);
	part("label").parentElement.hidden = !data;
	part("no").hidden = !no;
	part("data").checked = false;
	return new Promise((resolve) => {
		let answer = false;
		part("yes").onclick = () => { answer = { data: part("data").checked }; dialog.close(); };
		part("no").onclick = () => dialog.close();
		dialog.onclose = () => { part("inside").replaceChildren(); resolve(answer); };
		dialog.showModal();
		part(no ? "no" : "yes").focus();
	});
}

/** A text to take along; selected, too: plain http from elsewhere has no clipboard. */
export function copyable(label, text) {
	const field = make("input.mono", { readonly: true, "aria-label": label, value: text, onfocus: () => field.select() });
	const copy = order("copy", "Copy", () => {
		field.focus();
		navigator.clipboard?.writeText(text).then(() => say(copy, "Copied"), () => {});
	}, label);
	return make("div.inline", {}, field, copy);
}

export function size(bytes) {
	let [value, unit] = [bytes || 0, 0];
	while (value >= 1024 && unit < 5) [value, unit] = [value / 1024, unit + 1];
	return `${value.toFixed(!unit || value >= 100 ? 0 : value < 10 ? 2 : 1)} ${["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit]}`;
}

export const rate = (bytes) => `${size(bytes)}/s`;

export function duration(seconds) {
	const s = Math.max(0, Math.round(seconds));
	if (s < 60) return `${s} s`;
	if (s < 3600) return `${Math.floor(s / 60)} min${s < 600 && s % 60 ? ` ${s % 60} s` : ""}`;
	return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

export const until = (time) => (new Date(time) - Date.now()) / 1000;
export const ago = (time) => (until(time) > -5 ? "just now" : `${duration(-until(time))} ago`);
export const moment = (time) => new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
export const many = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;

export function facts(list, pairs) {
	list.replaceChildren(...pairs.filter(([, value]) => value).flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]));
}
