// Which bytes are held, arriving, and wanted by a reader.

import { every, get, make, many, say, size } from "./kit.js";

const EVERY = 1500;
const MOVING = ["queued", "downloading", "waiting", "finalizing"];

export class RangeMap {
	constructor(id) {
		this.id = id;
		this.canvas = make("canvas.map", { role: "img" });
		this.text = make("p.quiet.num");
		const keys = ["Held", "Arriving", "Wanted"].map((word) => make(`span.key.${word.toLowerCase()}`, {}, word));
		this.element = make("div", { hidden: true }, this.canvas, make("div.keys", {}, ...keys, this.text));
		this.resized = new ResizeObserver(() => this.draw());
	}

	start(row) {
		this.stop();
		this.resized.observe(this.canvas);
		this.rest = every(EVERY, () => this.look(row()));
		this.look(row());
	}

	stop() {
		this.rest?.();
		this.resized.disconnect();
	}

	async look({ state }) {
		const still = this.seen === state && !MOVING.includes(state);
		if (still || (this.seen && !this.canvas.offsetParent)) return;
		try {
			this.ranges = await get(`/downloads/${this.id}/ranges`);
			this.seen = state;
			this.draw();
		} catch (error) {
			if (error.status === 404) this.element.hidden = true;
		}
	}

	draw() {
		const { ranges, canvas } = this;
		this.element.hidden = !ranges?.total;
		if (!ranges?.total) return;
		const { total } = ranges;
		const [width, height, scale] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio];
		[canvas.width, canvas.height] = [width * scale, height * scale];
		const pen = canvas.getContext("2d");
		pen.scale(scale, scale);
		const band = (name, top, tall, least, most = width) => {
			pen.fillStyle = getComputedStyle(canvas).getPropertyValue(`--${name}`);
			for (const [start, end] of ranges[name]) pen.fillRect((width * start) / total, top, Math.min(most, Math.max(least, (width * (end - start)) / total)), tall);
		};
		// Less than a pixel is faint: nothing is claimed that is not here.
		band("held", 0, height - 6, 0);
		band("wanted", height - 4, 4, 4);
		band("arriving", 0, height - 6, 2, 4);
		pen.globalAlpha = 0.2;
		band("arriving", 0, height - 6, 0);
		say(this.text, describe(ranges));
		canvas.setAttribute("aria-label", `Bytes of the file: ${describe(ranges)}`);
	}
}

function describe({ total, held, arriving, wanted }) {
	const sum = held.reduce((all, [start, end]) => all + end - start, 0);
	return [`${size(sum)} of ${size(total)} held in ${many(held.length, "piece")}`,
		arriving.length ? `, arriving at ${many(arriving.length, "place")}` : "",
		wanted.length ? `, a reader at ${Math.floor((100 * wanted[0][0]) / total)} %` : ""].join("");
}
