"use strict";

// The queue of one daemon. Everything that comes from outside is shown with textContent and nothing else.

const API = "/api/v1";
const rows = new Map(); // id → { row, view }
let events = null;
let again = 0;

const find = (id) => document.getElementById(id);

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

async function call(method, path, body) {
  const request = { method, headers: {}, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) {
    request.headers["content-type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  const response = await fetch(API + path, request);
  const text = await response.text();
  let document = null;
  try { document = text ? JSON.parse(text) : null; } catch { /* no document: the status has to do */ }
  if (!response.ok) {
    const said = document && (document.detail || document.title);
    throw Object.assign(new Error(said || `the daemon answered ${response.status}`), { status: response.status });
  }
  return document;
}

function notice(text) { find("notice").textContent = text; }

// ---- logging in and out ----

async function begin() {
  const token = /^#token=(.+)$/.exec(location.hash);
  if (token) {
    // Out of the address at once: it is good for one use, and no business of the history.
    history.replaceState(null, "", "/");
    try {
      await call("POST", "/session", { token: decodeURIComponent(token[1]) });
    } catch (error) {
      notice(error.message);
    }
  }
  await connect();
}

async function logIn(event) {
  event.preventDefault();
  const field = find("key");
  try {
    await call("POST", "/session", { key: field.value.trim() });
    field.value = "";
    notice("");
    await connect();
  } catch (error) {
    notice(error.message);
  }
}

async function logOut() {
  try {
    await call("DELETE", "/session");
    strangers();
  } catch (error) {
    notice(error.message);
  }
}

function strangers() {
  hangUp();
  rows.clear();
  find("downloads").replaceChildren();
  find("queue").hidden = true;
  find("log-out").hidden = true;
  find("log-in").hidden = false;
  find("link-state").textContent = "";
  find("key").focus();
}

// ---- the stream of events ----

function hangUp() {
  clearTimeout(again);
  if (events) events.close();
  events = null;
}

async function connect() {
  hangUp();
  try {
    await call("GET", "/limits");
  } catch (error) {
    if (error.status === 401) return strangers();
    find("link-state").textContent = `${error.status ? error.message : "no answer"}; trying again`;
    again = setTimeout(connect, 3000);
    return undefined;
  }
  find("log-in").hidden = true;
  find("log-out").hidden = false;
  find("queue").hidden = false;
  events = new EventSource(API + "/events");
  events.onopen = () => { find("link-state").textContent = "live"; };
  events.onerror = () => {
    find("link-state").textContent = "reconnecting";
    // The browser comes back by itself unless it was turned away.
    if (events && events.readyState === EventSource.CLOSED) again = setTimeout(connect, 3000);
  };
  events.addEventListener("snapshot", (event) => snapshot(JSON.parse(event.data)));
  events.addEventListener("download.progress", (event) => progress(JSON.parse(event.data)));
  events.addEventListener("download.deleted", (event) => remove(JSON.parse(event.data).download_id));
  const changes = ["created", "queued", "started", "retrying", "restarted", "paused", "completed", "failed", "cancelled"];
  for (const name of changes) {
    events.addEventListener(`download.${name}`, (event) => refresh(JSON.parse(event.data).download_id));
  }
  for (const name of ["queued", "done", "failed"]) {
    events.addEventListener(`import.${name}`, (event) => refresh(JSON.parse(event.data).download_id));
  }
  events.addEventListener("disk.low", () => notice("The disk is nearly full: the queue waits until there is room."));
  events.addEventListener("disk.ok", () => notice(""));
  return undefined;
}

function snapshot(data) {
  rows.clear();
  find("downloads").replaceChildren();
  // The newest comes first, and is put in last.
  for (const row of [...data.downloads].reverse()) show(row);
  find("more").hidden = !data.more;
  if (data.disk === "low") notice("The disk is nearly full: the queue waits until there is room.");
  summary();
}

function progress(data) {
  const known = rows.get(data.download_id);
  if (!known) return void refresh(data.download_id);
  const { written, durable, total, rate, eta } = data;
  Object.assign(known.row, { written, durable, total, rate, eta });
  paint(known);
  return summary();
}

// Downloads that are being asked for, and whether they are to be asked for once more.
const asking = new Map();

async function refresh(id) {
  // One question at a time for each, and a pause before it, in which more may happen.
  if (!id) return undefined;
  if (asking.has(id)) return void asking.set(id, true);
  do {
    asking.set(id, false);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
    // What happened in the pause is in the answer.
    asking.set(id, false);
    try {
      show(await call("GET", `/downloads/${id}`));
    } catch (error) {
      if (error.status === 404) remove(id);
      else if (error.status === 401) {
        asking.delete(id);
        return strangers();
      }
    }
  } while (asking.get(id));
  asking.delete(id);
  return summary();
}

// ---- what is seen ----

function show(row) {
  let known = rows.get(row.id);
  if (!known) {
    known = { row, view: build(row.id) };
    rows.set(row.id, known);
    find("downloads").prepend(known.view.item);
  }
  known.row = row;
  paint(known);
}

function remove(id) {
  const known = rows.get(id);
  if (known) known.view.item.remove();
  rows.delete(id);
  summary();
}

function build(id) {
  const item = make("li");
  const [top, bottom] = [make("div", "line"), make("div", "line")];
  const [name, facts, state] = [make("span", "name"), make("span", "facts"), make("span", "facts")];
  const [bar, error, orders] = [make("progress"), make("p", "error"), make("div", "orders")];
  const buttons = {};
  for (const [verb, label] of [["pause", "Pause"], ["resume", "Resume"], ["retry", "Retry"], ["delete", "Delete"]]) {
    const button = make("button", "", label);
    button.type = "button";
    button.addEventListener("click", () => order(id, verb, button));
    buttons[verb] = button;
    orders.append(button);
  }
  top.append(name, state);
  bottom.append(facts, orders);
  item.append(top, bar, bottom, error);
  return { item, name, facts, state, bar, error, buttons };
}

const OPEN = ["queued", "downloading", "waiting"];

function paint({ row, view }) {
  const name = row.filename || row.item || row.url;
  view.name.textContent = name;
  view.state.textContent = row.peer ? `${row.state} · ${row.peer}` : row.state;
  view.bar.setAttribute("aria-label", name);
  if (row.total === null || row.total === undefined) {
    if (OPEN.includes(row.state)) view.bar.removeAttribute("value");
    else view.bar.value = 0;
  } else {
    view.bar.max = Math.max(row.total, 1);
    view.bar.value = row.total === 0 ? 1 : row.written;
  }
  const facts = [row.total ? `${size(row.written)} of ${size(row.total)}` : size(row.written)];
  if (row.state === "downloading" && row.rate) facts.push(`${size(row.rate)}/s`);
  if (row.state === "downloading" && row.eta) facts.push(`${duration(row.eta)} left`);
  if (row.attempts) facts.push(`${row.attempts} failed attempts`);
  view.facts.textContent = facts.join(" · ");
  const moving = row.state === "downloading" || row.state === "finalizing";
  view.error.textContent = row.error && !moving ? row.error.message : "";
  view.buttons.pause.disabled = !OPEN.includes(row.state);
  view.buttons.resume.disabled = row.state !== "paused";
  view.buttons.retry.disabled = !["failed", "waiting"].includes(row.state);
}

function summary() {
  const all = [...rows.values()].map((known) => known.row);
  const running = all.filter((row) => row.state === "downloading");
  const rate = running.reduce((sum, row) => sum + (row.rate || 0), 0);
  find("summary").textContent = all.length ? `${running.length} running, ${all.length} in all · ${size(rate)}/s` : "";
  find("none").hidden = all.length > 0;
}

async function order(id, verb, button) {
  const known = rows.get(id);
  if (!known) return;
  if (verb === "delete") {
    const question = "Forget this download and its unfinished bytes? A finished file stays.";
    if (!window.confirm(question)) return;
  }
  button.disabled = true;
  try {
    if (verb === "delete") {
      await call("DELETE", `/downloads/${id}`);
      remove(id);
    } else {
      show(await call("POST", `/downloads/${id}/${verb}`));
    }
    notice("");
  } catch (error) {
    if (error.status === 401) strangers();
    notice(error.message);
    await refresh(id);
  } finally {
    // Enabled or not: the state decides.
    button.disabled = false;
    const now = rows.get(id);
    if (now) paint(now);
  }
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let [value, unit] = [bytes || 0, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit ? value.toFixed(value < 10 ? 2 : 1) : value} ${units[unit]}`;
}

function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

find("log-in").addEventListener("submit", logIn);
find("log-out").addEventListener("click", logOut);
begin();
