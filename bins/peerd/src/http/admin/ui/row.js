// One row of the queue: what it says, what it can be told, and what it shows when it is opened.

import { ago, copyable, duration, facts, make, moment, order, rate, say, size, some, until } from "./kit.js";
import { RangeMap } from "./map.js";
import { contentOf, isMedia, play } from "./player.js";
import { attempts, nameOf, WHOLE } from "./rows.js";

const WORDS = {
  queued: "In line", downloading: "Downloading", waiting: "Waiting", paused: "Paused", finalizing: "Checking", completed: "Complete",
  import_queued: "Being handed over", imported: "Imported", failed: "Failed", cancelled: "Cancelled",
};
const CAUSES = {
  range_ignored: "the peer cannot continue a transfer", content_range_mismatch: "the peer sent other bytes than asked for",
  range_not_satisfiable: "the file at the peer is shorter now", part_oversize: "more was here than the file has",
  orphan: "what was here belonged to no known file", validator_changed: "the file changed at the peer",
  overlap_mismatch: "the file changed at the peer", unexpected_encoding: "the peer encoded its answer",
  corruption: "what was written could not be read back",
};
const ANEW = "It is not the file that was asked for: browse the peer, and add it anew";
const TEST = "Test the peer, then retry";
const REMEDIES = {
  "not-found": "Browse the peer for where it is now", "key-refused": "Ask its owner for a new key, add the peer again, then retry",
  rejected: TEST, inconsistent: TEST, unreachable: TEST, "attempts-exhausted": TEST, "size-mismatch": ANEW, "digest-mismatch": ANEW,
  "too-large": "Raise downloads.max_size, then retry", "destination-exists": "Move the file in its place away, then retry",
  "disk-full": "Make room, then retry", "local-io": "Look at the folder and its permissions, then retry",
  "peer-unknown": "Add the peer again, then retry", superseded: "Another download took its place: this one can go",
};
const IMPORTS = {
  wanted: "gets it once it is whole", queued: "gets it next", sending: "is being told", running: "is at work",
  confirming: "is being asked", confirmed: "has it", done: "has it", failed: "did not take it",
};

const OPEN = ["queued", "downloading", "waiting"];
const isLive = (row) => [...OPEN, "paused", "finalizing"].includes(row.state);
const isDisabled = (row) => row.error?.kind === "disabled";

/** When an order makes sense. */
const ALLOWED = {
  play: (row) => !["failed", "cancelled"].includes(row.state),
  pause: (row) => OPEN.includes(row.state),
  resume: (row) => row.state === "paused" && !isDisabled(row),
  retry: (row) => ["failed", "waiting"].includes(row.state),
  delete: () => true,
  cancel: (row) => isLive(row) || row.state === "failed",
  import: (row) => row.import && ["completed", "import_queued"].includes(row.state),
};

const opened = new Set(); // ids, so that a row that comes back into view is as it was

export class Row {
  constructor(row, ordered) {
    Object.assign(this, { id: row.id, row, ordered, busy: false });
    const labels = { play: isMedia(row) ? "Play" : "Open", pause: "Pause", resume: "Resume", retry: "Retry", delete: "Delete" };
    this.buttons = Object.entries(labels).map(([verb, label]) => order(verb, label, () => this.give(verb), nameOf(row)));
    const more = `more-${row.id}`;
    this.name = order("details", nameOf(row), () => this.open(!opened.has(this.id)));
    this.name.className = "name";
    this.name.setAttribute("aria-controls", more);
    this.state = make("span", { class: "state" });
    this.line = make("span", { class: "quiet num" });
    this.share = make("span", { class: "share num" });
    this.bar = make("progress", { max: 100 });
    this.notes = make("div", { class: "notes" });
    this.more = make("div", { class: "more", id: more });
    this.item = make("li", { "data-id": row.id }, this.name, make("div", { class: "orders" }, ...this.buttons),
      make("div", { class: "line" }, make("span", {}, this.state, " ", this.line), this.share), this.bar, this.notes, this.more);
    this.paint(row);
    this.open(opened.has(row.id));
  }

  // ---- what it says ----

  paint(row) {
    const focused = this.item.contains(document.activeElement) && document.activeElement;
    this.row = row;
    const { state, total, written } = row;
    this.item.dataset.state = state;
    say(this.name, nameOf(row));
    say(this.state, WORDS[state] || state);
    this.bar.setAttribute("aria-label", nameOf(row));
    this.bar.hidden = WHOLE.includes(state) || state === "cancelled";
    const percent = total === null ? 0 : total ? (100 * written) / total : 100;
    if (total === null && state === "downloading") this.bar.removeAttribute("value");
    else this.bar.value = percent;
    // Rounded down: 100 % is said when every byte is here.
    say(this.share, this.bar.hidden || total === null ? "" : `${Math.floor(percent)} %`);
    for (const button of this.buttons) button.hidden = !ALLOWED[button.dataset.order](row);
    this.tick();
    if (this.map && opened.has(this.id)) this.detail();
    // An order that makes no sense any more goes, and the focus with it, if nobody takes it.
    if (focused.hidden) (this.buttons.slice(1, 4).find((button) => !button.hidden) || this.name).focus();
  }

  /** What also changes while nothing happens. */
  tick() {
    const { row } = this;
    const { state, peer, written, total, priority } = row;
    const running = state === "downloading";
    say(this.line, some(peer, total === null || WHOLE.includes(state) ? size(total ?? written) : `${size(written)} of ${size(total)}`,
      running && (row.rate ? rate(row.rate) : "no bytes yet"), running && row.eta !== null && `${duration(row.eta)} left`,
      priority && `priority ${priority}`, row.completed_at && ago(row.completed_at)).join(" · "));
    const notes = remarks(row);
    if (this.noted === `${notes}`) return;
    this.noted = `${notes}`;
    this.notes.replaceChildren(...notes.map(([kind, text]) => make("p", { class: kind }, text)));
  }

  // ---- what it is told ----

  async give(verb) {
    if (verb === "play") return play(this.row, this.buttons[0]);
    if (this.busy) return undefined;
    this.busy = true;
    await (this.ordered[verb] ? this.ordered[verb](this.id, this) : this.ordered.give(this.id, verb));
    this.busy = false;
    return undefined;
  }

  // ---- what it shows when it is opened ----

  open(wide) {
    opened[wide ? "add" : "delete"](this.id);
    this.name.setAttribute("aria-expanded", wide);
    this.more.hidden = !wide;
    if (!wide) return this.end();
    if (!this.map) this.build();
    this.detail();
    return this.map.start(() => this.row);
  }

  end() {
    this.map?.stop();
  }

  build() {
    this.map = new RangeMap(this.id);
    this.list = make("dl", { class: "facts" });
    const step = (verb, label, by) => order(verb, label, () => this.ordered.priority(this.id, Math.max(-10, Math.min(10, this.row.priority + by))), "priority");
    this.priority = make("output", { class: "num" });
    this.steps = make("span", { class: "steps" }, "Priority", step("lower", "−", -1), this.priority, step("raise", "+", 1));
    this.cancel = order("cancel", "Cancel download", () => this.give("cancel"));
    this.import = order("import", "Hand over again", () => this.give("import"));
    this.more.append(this.map.element, this.list, copyable("Address of the content", contentOf(this.id)),
      make("div", { class: "orders" }, this.steps, this.import, this.cancel));
  }

  detail() {
    const { row } = this;
    facts(this.list, [
      ["From", row.peer ? `${row.peer}/${row.item}` : row.url], ["File", row.target], ["Import", row.import && handed(row.import)],
      ["Attempts", failures(row)], ["Started over", row.restarts && `${row.restarts} ×, ${restarted(row)}`],
      ["Connections", row.state === "downloading" && row.connections], ["Limit", row.limit_down && rate(row.limit_down)],
      ["Safe on disk", isLive(row) && size(row.durable)], ["Validator", row.validator],
      ["Added", moment(row.created_at)], ["Complete", moment(row.completed_at)],
    ]);
    say(this.priority, `${row.priority}`);
    this.steps.hidden = !isLive(row);
    this.cancel.hidden = !ALLOWED.cancel(row);
    this.import.hidden = !ALLOWED.import(row);
  }
}

const failures = ({ attempts: n }) => n && `attempt ${n}${attempts.max ? ` of ${attempts.max}` : ""} failed`;
const again = (due) => due && `tries again ${until(due) > 0 ? `in ${duration(until(due))}` : "now"}`;
const handed = ({ target, state, reason, retry_at: due }) => sentence(`${target} ${IMPORTS[state] || state}`, reason, again(due));

function restarted({ last_restart: last }) {
  return last ? `${ago(last.at)}: ${CAUSES[last.reason] || last.reason}; ${size(last.discarded)} discarded` : "";
}

/** What there is to say about a row, as pairs of its tone and a sentence. */
function remarks(row) {
  const { state, error, retry_at: due } = row;
  const [why, tried, next] = [error?.message, failures(row), again(due)];
  const notes = [];
  if (state === "failed") notes.push(["bad", sentence(why, tried)], ["quiet", sentence(REMEDIES[error?.kind], next && `it ${next}`)]);
  else if (state === "waiting") notes.push(["warn", sentence(why, tried, next)]);
  else if (isDisabled(row)) notes.push(["warn", sentence(why)]);
  else if (isLive(row) && tried) notes.push(["quiet", sentence(tried, why)]);
  if (row.last_restart && ALLOWED.cancel(row)) notes.push(["quiet", sentence(`started over ${restarted(row)}`)]);
  if (row.import && WHOLE.includes(state)) notes.push([row.import.state === "failed" ? "bad" : "quiet", handed(row.import)]);
  return notes.filter(([, text]) => text);
}

function sentence(...parts) {
  const text = some(...parts).join("; ");
  return text && `${text[0].toUpperCase()}${text.slice(1)}.`;
}
