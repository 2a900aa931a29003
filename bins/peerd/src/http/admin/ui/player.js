// Playing a download, while it arrives, too; and the address of what no browser plays.

import { copyable, find, make, order, say } from "./kit.js";
import { nameOf } from "./rows.js";

const AUDIO = /\.(mp3|m4a|ogg|opus|flac)$/i;
const VIDEO = /\.(mp4|m4v|webm|ogv|mov|mkv)$/i;

export const isMedia = (row) => AUDIO.test(nameOf(row)) || VIDEO.test(nameOf(row));
export const contentOf = (id) => new URL(`api/v1/downloads/${id}/content`, document.baseURI).href;

let opener = null;

export function play(row, from) {
	close();
	opener = from;
	const [place, address, said, name] = [find("player"), contentOf(row.id), make("p", { role: "status" }), nameOf(row)];
	const media = isMedia(row) ? element(row, address, said) : "";
	if (!media) say(said, "Not for a browser to play: save it, or give its address to another program.");
	place.replaceChildren(make("div.line", {}, make("h2", { id: "player-name" }, name), order("close", "Close", close)), media, said,
		make("details", { open: !media }, make("summary", {}, "Elsewhere"), copyable("Address of the content", address),
			make("p.quiet", {}, "Other programs show the admin key with it, as X-Api-Key. ", make("a", { href: address, download: name }, "Save a copy"))));
	place.hidden = false;
	(media || place.querySelector("button")).focus();
}

function element(row, address, said) {
	const media = make(AUDIO.test(nameOf(row)) ? "audio" : "video", { controls: true, tabindex: 0, "aria-label": nameOf(row), src: address });
	media.addEventListener("error", () => {
		say(said, "This browser cannot play it, or its bytes cannot be had right now.");
	});
	media.addEventListener("waiting", () => say(said, "Waiting for bytes to arrive."));
	for (const name of ["playing", "seeked"]) media.addEventListener(name, () => say(said, ""));
	media.play().catch(() => {});
	return media;
}

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
