// Which bytes are here: a picture of what is held, what is arriving, and what a reader waits for. The daemon is asked
// only while the row is open and looked at.

import { call, make, many, say, size } from "./kit.js";

const EVERY = 1500;
const MOVING = ["queued", "downloading", "waiting", "finalizing"];
let unknown = false; // a daemon without the route is asked once

export class RangeMap {
  constructor(id) {
    this.id = id;
    this.canvas = make("canvas", { role: "img", class: "map" });
    this.text = make("p", { class: "quiet num" });
    const keys = ["Held", "Arriving", "Wanted"].map((word) => make("span", { class: `key ${word.toLowerCase()}` }, word));
    this.element = make("div", { hidden: true }, this.canvas, make("div", { class: "keys" }, ...keys, this.text));
    this.resized = new ResizeObserver(() => this.draw());
  }

  /** `row` gives the row as it is then. */
  start(row) {
    this.stop();
    this.resized.observe(this.canvas);
    this.timer = setInterval(() => this.look(row()), EVERY);
    this.look(row());
  }

  stop() {
    clearInterval(this.timer);
    this.resized.disconnect();
  }

  async look({ state }) {
    const still = this.seen === state && !MOVING.includes(state);
    if (unknown || still || document.hidden || (this.seen && !this.canvas.offsetParent)) return;
    try {
      this.ranges = await call("GET", `/downloads/${this.id}/ranges`);
      this.seen = state;
      this.draw();
    } catch (error) {
      unknown ||= error.type === "not-found";
      if (error.status === 404) this.element.hidden = true;
    }
  }

  draw() {
    const { ranges, canvas } = this;
    this.element.hidden = !ranges?.total;
    if (!ranges?.total) return;
    const { total } = ranges;
    const [width, height, scale] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio];
    // Setting the size wipes it, too.
    [canvas.width, canvas.height] = [width * scale, height * scale];
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const band = (name, top, tall, least) => {
      pen.fillStyle = getComputedStyle(canvas).getPropertyValue(`--${name}`);
      for (const [start, end] of ranges[name]) pen.fillRect((width * start) / total, top, Math.max(least, (width * (end - start)) / total), tall);
    };
    // What is held may be less than a pixel: then it is as faint as it is small, and nothing is claimed that is not there.
    band("held", 0, height - 6, 0);
    band("arriving", 0, height - 6, 2);
    band("wanted", height - 4, 4, 4);
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
