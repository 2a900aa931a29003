// Who reads from us, what there is to read, and who has a key.

import { ago, ask, at, call, code, copyable, duration, empty, entry, every, find, get, make, many, on, order, rate, say, size, some, trying, until } from "./kit.js";

let rest = () => {};

export const begin = () => on("key-new", "submit", create);

export const leave = () => rest();

/** Nothing tells of readers: they are asked for while somebody looks. */
export async function enter() {
	leave();
	rest = every(2000, readers);
	await Promise.all([readers, shares, keys].map(trying));
}

const fill = (id, list, show, ...none) => find(id).replaceChildren(...(list.length ? list.map(show) : [empty(...none)]));

async function readers() {
	fill("transfers", (await get("/transfers")).transfers, reader, "Nobody, right now.");
}

function reader({ key, address, share, item, filename, size: all, first, last, sent, rate: speed, started_at: since }) {
	const wanted = (last ?? all - 1) - first + 1;
	const bar = make("progress", { max: wanted || 1, value: sent, "aria-label": filename || item });
	return entry({}, filename || item, [], some(key || "no key", address, share, `${size(sent)} of ${size(wanted)}`,
		speed && rate(speed), since && `for ${duration(-until(since))}`), bar);
}

async function shares() {
	const { shares: list } = await get("/shares");
	fill("shares", list, ({ name, path, items, bytes, scanned_at: scanned, error }) => {
		const rescan = order("rescan", "Rescan", async () => {
			say(rescan, "Looking…");
			await trying(() => call("POST", `/shares/${at(name)}/rescan`).finally(shares));
			find("shares").querySelector(`[data-share="${CSS.escape(name)}"] button`)?.focus();
		}, name);
		return entry({ "data-share": name }, name, [rescan], some(items !== null && many(items, "file"), bytes !== null && size(bytes), path,
			scanned ? `looked at ${ago(scanned)}` : "not looked at yet"), make("p.bad", {}, error));
	}, "Nothing is shared. Start with ", code("peerd serve --share DIR"), ", or name folders under ", code("[shares]"), ".");
	find("key-share").replaceChildren(...[{ name: "" }, ...list].map(({ name }) => make("option", { value: name }, name ? `only ${name}` : "every share")));
}

async function keys() {
	fill("keys", (await get("/keys")).keys, ({ name, shares: opens, last_used: used, origin }) => {
		const file = origin === "file";
		return entry({ "data-key": name }, name, file ? [] : [order("revoke", "Revoke", () => revoke(name), name)],
			some(opens.includes("*") ? "every share" : opens.join(", "), used ? `used ${ago(used)}` : "not used yet", file && "from the configuration"));
	}, "Nobody has a key. Make one, and hand its two lines to a friend.");
}

async function create() {
	const [name, share] = [find("key-name").value.trim(), find("key-share").value];
	const made = await trying(() => call("POST", "/keys", share ? { name, shares: [share] } : { name }));
	if (!made) return;
	find("key-name").value = "";
	const { reach, secret } = made;
	await ask({
		what: `The key of ${name}`, yes: "Noted", no: "",
		why: "It is shown this once. Hand both lines over by a way you trust: the friend types the first, and pastes the second when asked.",
		inside: [copyable("What the friend types", `peerd peer add ${reach.name} ${reach.url} --key-file -`), copyable("The key", secret),
			make("p.warn", {}, reach.loopback && "Only this machine can reach that address: set server.listen.")],
	});
	await trying(keys);
}

async function revoke(name) {
	if (!await ask({ what: `Revoke the key of ${name}?`, why: "The next request with it is refused.", yes: "Revoke" })) return;
	await trying(() => call("DELETE", `/keys/${at(name)}`).then(keys));
	find("key-name").focus();
}
