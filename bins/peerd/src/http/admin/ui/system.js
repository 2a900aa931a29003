// The daemon itself: limits, disk, facts, and its configuration.

import { call, duration, facts, find, make, moment, on, rate, say, size, trying } from "./kit.js";

const UNITS = { "KiB/s": 2 ** 10, "MiB/s": 2 ** 20, "GiB/s": 2 ** 30 };
let timer = 0;

export function begin() {
  for (const way of ["down", "up"]) find(`${way}-unit`).append(...Object.keys(UNITS).map((unit) => make("option", {}, unit)));
  on("limits", "submit", set);
  on("reload", "click", reload);
}

export function leave() {
  clearInterval(timer);
}

export async function enter() {
  leave();
  timer = setInterval(() => document.hidden || show().catch(() => {}), 10_000);
  await trying(async () => fill((await show()).limits));
}

async function show() {
  const known = await call("GET", "/system");
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
  return known;
}

const warning = ({ message, help, origin }) => make("p.banner.warn", {}, make("b", {}, `${origin}: ${message}`), help);

function fill(now) {
  for (const way of ["down", "up"]) {
    const unit = Object.keys(UNITS).findLast((name) => now[way] >= UNITS[name]) || "MiB/s";
    find(`${way}-unit`).value = unit;
    find(way).value = now[way] ? +(now[way] / UNITS[unit]).toFixed(3) : "";
  }
}

async function set() {
  const bytes = (way) => Math.round(find(way).value * UNITS[find(`${way}-unit`).value]);
  const now = await trying(() => call("PUT", "/limits", { down: bytes("down"), up: bytes("up") }));
  if (!now) return;
  fill(now);
  const words = (limit) => (limit ? rate(limit) : "no limit");
  say(find("limits-said"), `In force: down ${words(now.down)}, up ${words(now.up)}`);
}

async function reload() {
  const place = find("reloaded");
  try {
    const { applied, at_restart: later } = await call("POST", "/system/reload");
    place.replaceChildren(make("p", {}, applied.length ? `In force now: ${applied.join(", ")}` : "Nothing to apply."),
      make("p.warn", {}, later.length ? `At the next start: ${later.join(", ")}` : ""));
    await enter();
  } catch (error) {
    place.replaceChildren(make("p.bad", {}, `Nothing was changed: ${error.message}`), ...(error.problem?.errors || []).map(warning));
  }
}
