// Playing a download in the page, while it is still arriving too; for what no browser plays, its address.

import { copyable, find, make, order, say } from "./kit.js";
import { nameOf } from "./rows.js";

const AUDIO = /\.(mp3|m4a|aac|og[ag]|opus|flac|wav)$/i;
const VIDEO = /\.(mp4|m4v|webm|ogv|mov|mkv)$/i;

export const isMedia = (row) => AUDIO.test(nameOf(row)) || VIDEO.test(nameOf(row));
export const contentOf = (id) => new URL(`api/v1/downloads/${id}/content`, document.baseURI).href;

let opener = null;

export function play(row, from) {
  close();
  opener = from;
  const [place, address, said, name] = [find("player"), contentOf(row.id), make("p", { role: "status" }), nameOf(row)];
  const media = isMedia(row) ? element(row, address, said) : "";
  if (!media) say(said, "A browser does not play this kind of file. Save it, or give its address to a program that reads over HTTP.");
  place.replaceChildren(make("div", { class: "line" }, make("h2", { id: "player-name" }, name), order("close", "Close", close)), media, said,
    make("details", { open: !media }, make("summary", {}, "Elsewhere"), copyable("Address of the content", address),
      make("p", { class: "quiet" }, "Other programs show the admin key with it, in X-Api-Key. ", make("a", { href: address, download: name }, "Save a copy"))));
  place.hidden = false;
  (media || place.querySelector("button")).focus({ preventScroll: true });
}

function element(row, address, said) {
  const media = make(AUDIO.test(nameOf(row)) ? "audio" : "video", { controls: true, tabindex: 0, "aria-label": nameOf(row), src: address });
  media.addEventListener("error", () => {
    const never = media.error.code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED;
    said.replaceChildren(never ? "This browser cannot play it, or its bytes cannot be had right now. Another player may: see below. "
      : "Playing broke off: the connection was lost, or the download started over. ",
    order("again", "Try again", () => {
      const { currentTime } = media;
      media.load();
      media.currentTime = currentTime;
    }));
  });
  media.addEventListener("waiting", () => say(said, "Waiting for bytes that are still arriving."));
  for (const name of ["playing", "pause", "seeked", "loadeddata"]) media.addEventListener(name, () => say(said, ""));
  // Not every browser starts by itself: the controls are there.
  media.play().catch(() => {});
  return media;
}

/** Takes the player away; the daemon then fetches nothing for it any more. */
export function close() {
  const place = find("player");
  const [held, media] = [place.contains(document.activeElement), place.querySelector("video, audio")];
  media?.removeAttribute("src");
  media?.load();
  place.replaceChildren();
  place.hidden = true;
  if (held && opener.isConnected) opener.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !find("player").hidden && !document.querySelector("dialog[open]")) close();
});
