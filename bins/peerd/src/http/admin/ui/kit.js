// What every view uses: asking the daemon, making elements, putting values into words.
//
// What comes from outside becomes text and attributes that cannot run; no markup is ever built from it.

export const find = (id) => document.getElementById(id);

/** An element. Functions are listeners (`onclick`), strings inside become text. */
export function make(tag, set = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(set)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...inside.filter((part) => part !== null && part !== undefined && part !== ""));
  return element;
}

/** A button that gives an order; `about` tells a listener which of many like it this is. */
export function order(verb, label, onclick, about) {
  return make("button", { type: "button", "data-order": verb, "aria-label": about && `${label}: ${about}`, onclick }, label);
}

/** An entry of a list: its name, what can be done with it, and a line about it. */
export function entry(set, name, orders, words, ...rest) {
  return make("li", set, make("span", { class: "name" }, name), make("div", { class: "orders" }, ...orders),
    make("div", { class: "line" }, make("span", { class: "quiet num" }, ...words.flatMap((word, at) => (at ? [" · ", word] : [word])))), ...rest);
}

export const some = (...words) => words.filter(Boolean);
export const empty = (...inside) => make("li", { class: "empty quiet" }, ...inside);
export const code = (text) => make("code", {}, text);

/** Writes only what differs: a text set anew is read out anew, and a selection in it is lost. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// ---- the daemon ----

let stranger = () => {};
export const onStranger = (then) => { stranger = then; };

/** Asks the daemon. What it refuses is an error with `status`, `type` (the problem's name) and `problem`. */
export async function call(method, path, body) {
  const request = { method, cache: "no-store" };
  if (body !== undefined) Object.assign(request, { headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const response = await fetch(`api/v1${path}`, request).catch(() => null);
  if (!response) throw Object.assign(new Error("The daemon does not answer"), { status: 0 });
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  if (response.status === 401 && path !== "/session") stranger();
  const { title, detail = title, type } = answer || {};
  throw Object.assign(new Error(detail || `The daemon answered ${response.status}`),
    { status: response.status, type: type && type.replace("urn:peerd:problem:", ""), problem: answer });
}

/** Runs what may be refused, and says so if it was. */
export async function trying(work) {
  try {
    notice("");
    return await work();
  } catch (error) {
    notice(error.message);
    return undefined;
  }
}

export const at = (name) => encodeURIComponent(name);

// ---- what is said ----

export function notice(text) {
  say(find("notice").firstElementChild, text);
  find("notice").hidden = !text;
}

let unsaid = [];

/** For screen readers: what is over, gathered for a moment so that many at once are one sentence. */
export function announce(text) {
  if (unsaid.push(text) > 1) return;
  setTimeout(() => {
    find("live").textContent = unsaid.length > 3 ? `${unsaid.length} downloads have changed` : unsaid.join(". ");
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

/** A text to take along. Without a clipboard (plain http from elsewhere) it is selected, ready for the keyboard. */
export function copyable(label, text) {
  const field = make("input", { readonly: true, "aria-label": label, class: "mono", value: text, onfocus: () => field.select() });
  const copy = order("copy", "Copy", async () => {
    await navigator.clipboard?.writeText(text).then(() => say(copy, "Copied"), () => field.focus()) ?? field.focus();
  }, label);
  return make("div", { class: "inline" }, field, copy);
}

// ---- words ----

export function size(bytes) {
  let [value, unit] = [bytes || 0, 0];
  while (value >= 1024 && unit < 5) [value, unit] = [value / 1024, unit + 1];
  const digits = unit && value < 100 ? (value < 10 ? 2 : 1) : 0;
  return `${value.toFixed(digits)} ${["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit]}`;
}

export const rate = (bytes) => `${size(bytes)}/s`;

export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min${s < 600 && s % 60 ? ` ${s % 60} s` : ""}`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** How far away a time is, in seconds. */
export const until = (time) => (new Date(time) - Date.now()) / 1000;
export const ago = (time) => (until(time) > -5 ? "just now" : `${duration(-until(time))} ago`);
export const moment = (time) => time && new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
export const many = (count, one) => `${count.toLocaleString()} ${one}${count === 1 ? "" : "s"}`;

/** Pairs of a term and what to say of it; empty ones are left out. */
export function facts(list, pairs) {
  list.replaceChildren(...pairs.filter(([, value]) => value).flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]));
}
