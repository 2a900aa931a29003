// One row of the queue: what it says, what it can be told, and what it shows when it is opened.

import { ago, copyable, duration, facts, make, moment, order, rate, say, size, some, until } from "./kit.js";
import { RangeMap } from "./map.js";
import { contentOf, isMedia, play } from "./player.js";
import { attempts, live, nameOf, WHOLE } from "./rows.js";

const WORDS = { queued: "In line", finalizing: "Checking", completed: "Complete", import_queued: "Being handed over" };
const CHANGED = "the file changed at the peer";
const CAUSES = {
	validator_changed: CHANGED, overlap_mismatch: CHANGED, range_not_satisfiable: CHANGED, range_ignored: "the peer cannot continue a transfer",
	corruption: "what was written could not be read back",
};
const ANEW = "It is another file now: browse the peer, and add it anew";
const REMEDIES = {
	"not-found": "Browse the peer for where it is now", "key-refused": "Add the peer again with a new key, then retry",
	"size-mismatch": ANEW, "digest-mismatch": ANEW, "too-large": "Raise downloads.max_size, then retry", "disk-full": "Make room, then retry",
	"destination-exists": "Move that file away, then retry", "local-io": "Look at the folder, then retry",
	"peer-unknown": "Add the peer again, then retry", superseded: "Another download took its place",
};
const IMPORTS = { wanted: "gets it once it is whole", queued: "gets it next", confirmed: "has it", done: "has it", failed: "did not take it" };

const OPEN = ["queued", "downloading", "waiting"];
const isLive = ({ state }) => [...OPEN, "paused", "finalizing"].includes(state);
const isDisabled = ({ error }) => error?.kind === "disabled";

const ALLOWED = {
	play: ({ state }) => !["failed", "cancelled"].includes(state),
	pause: ({ state }) => OPEN.includes(state),
	resume: (row) => row.state === "paused" && !isDisabled(row),
	retry: ({ state }) => ["failed", "waiting"].includes(state),
	delete: () => true,
	lower: (row) => isLive(row) && row.priority > -10,
	raise: (row) => isLive(row) && row.priority < 10,
	import: (row) => row.import && ["completed", "import_queued"].includes(row.state),
	cancel: (row) => isLive(row) || row.state === "failed",
};

const opened = new Set(); // ids: a row that comes back is as it was

export class Row {
	constructor(row, ordered) {
		Object.assign(this, { id: row.id, row, ordered });
		const give = (verb, label) => order(verb, label, () => this.give(verb), nameOf(row));
		this.buttons = [give("play", isMedia(row) ? "Play" : "Open"), give("pause", "Pause"), give("resume", "Resume"), give("retry", "Retry"), give("delete", "Delete")];
		this.rare = [give("lower", "Lower priority"), give("raise", "Raise priority"), give("import", "Hand over again"), give("cancel", "Cancel download")];
		this.name = order("details", "", () => this.open(!opened.has(this.id)));
		this.name.className = "name";
		this.state = make("span.state");
		this.line = make("span.quiet.num");
		this.share = make("span.share.num");
		this.bar = make("progress", { max: 100 });
		this.notes = make("div.notes");
		this.more = make("div.more");
		this.item = make("li", { "data-id": row.id }, this.name, make("div.orders", {}, ...this.buttons),
			make("div.line", {}, make("span", {}, this.state, " ", this.line), this.share), this.bar, this.notes, this.more);
		this.paint(row);
		this.open(opened.has(row.id));
	}

	paint(row) {
		const focused = this.item.contains(document.activeElement) && document.activeElement;
		const { state, total, written } = this.row = row;
		this.item.dataset.state = state;
		say(this.name, nameOf(row));
		say(this.state, WORDS[state] || state[0].toUpperCase() + state.slice(1));
		const percent = total ? (100 * written) / total : total === 0 ? 100 : 0;
		this.bar.setAttribute("aria-label", nameOf(row));
		this.bar.hidden = WHOLE.includes(state) || state === "cancelled";
		if (total === null && state === "downloading") this.bar.removeAttribute("value");
		else this.bar.value = percent;
		// Rounded down: 100 % is said when every byte is here.
		say(this.share, this.bar.hidden || total === null ? "" : `${Math.floor(percent)} %`);
		for (const button of [...this.buttons, ...this.rare]) button.hidden = !ALLOWED[button.dataset.order](row);
		this.tick();
		if (opened.has(this.id)) this.detail();
		// A button that goes takes the focus with it.
		if (focused.hidden) (this.buttons.slice(1, 4).find((button) => !button.hidden) || this.name).focus();
	}

	tick() {
		const { row } = this;
		const { state, written, total, priority } = row;
		const running = live && state === "downloading";
		say(this.line, some(row.peer, total === null || WHOLE.includes(state) ? size(total ?? written) : `${size(written)} of ${size(total)}`,
			running && (row.rate ? rate(row.rate) : "no bytes yet"), running && row.eta !== null && `${duration(row.eta)} left`,
			priority && `priority ${priority}`, row.completed_at && ago(row.completed_at)).join(" · "));
		const notes = remarks(row);
		if (this.noted === `${notes}`) return;
		this.noted = `${notes}`;
		this.notes.replaceChildren(...notes.map(([kind, text]) => make(`p.${kind}`, {}, text)));
	}

	async give(verb) {
		if (verb === "play") play(this.row, this.buttons[0]);
		if (verb === "play" || this.busy) return;
		this.busy = true;
		await (this.ordered[verb] || this.ordered.other)(this.row, verb);
		this.busy = false;
	}

	open(wide) {
		opened[wide ? "add" : "delete"](this.id);
		this.name.setAttribute("aria-expanded", wide);
		this.more.hidden = !wide;
		this.end();
		if (wide) this.detail();
		if (wide) this.map.start(() => this.row);
	}

	end() {
		this.map?.stop();
	}

	detail() {
		const { row } = this;
		if (!this.map) {
			this.map = new RangeMap(this.id);
			this.list = make("dl.facts");
			this.priority = make("output");
			const [lower, ...rest] = this.rare;
			this.more.append(this.map.element, this.list, copyable("Address of the content", contentOf(this.id)),
				make("div.orders", {}, lower, this.priority, ...rest));
		}
		facts(this.list, [
			["From", row.peer ? `${row.peer}/${row.item}` : row.url], ["File", row.target], ["Safe on disk", isLive(row) && size(row.durable)], ["Connections", row.state === "downloading" && row.connections],
			["Limit", row.limit_down && rate(row.limit_down)], ["Started over", row.restarts && `${row.restarts} ×, ${restarted(row)}`],
			["Added", moment(row.created_at)],
		]);
		say(this.priority, row.priority);
	}
}

const failures = ({ attempts: n }) => n && `attempt ${n}${attempts.max ? ` of ${attempts.max}` : ""} failed`;
const again = (due) => due && `tries again ${until(due) > 0 ? `in ${duration(until(due))}` : "now"}`;
const handed = ({ target, state, reason, retry_at: due }) => sentence(`${target} ${IMPORTS[state] || "is at it"}`, reason, again(due));
const restarted = ({ last_restart: last }) => last && `${ago(last.at)}: ${CAUSES[last.reason] || last.reason.replaceAll("_", " ")}; ${size(last.discarded)} discarded`;

/** What there is to say about a row, as pairs of its tone and a sentence. */
function remarks(row) {
	const { state, error, retry_at: due } = row;
	const [why, tried, next, notes] = [error?.message, failures(row), again(due), []];
	if (state === "failed") notes.push(["bad", sentence(why, tried)], ["quiet", sentence(REMEDIES[error?.kind] || "Test the peer, then retry", next && `it ${next}`)]);
	else if (state === "waiting") notes.push(["warn", sentence(why, tried, next)]);
	else if (isDisabled(row)) notes.push(["warn", sentence(why)]);
	else if (isLive(row) && tried) notes.push(["quiet", sentence(tried, why)]);
	if (row.last_restart && ALLOWED.cancel(row)) notes.push(["quiet", sentence(`started over ${restarted(row)}`)]);
	if (row.import && WHOLE.includes(state)) notes.push([row.import.state === "failed" ? "bad" : "quiet", handed(row.import)]);
	return notes;
}

function sentence(...parts) {
	const text = some(...parts).join("; ");
	return text && `${text[0].toUpperCase()}${text.slice(1)}.`;
}
