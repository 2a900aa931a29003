// The stream of events, by fetch: EventSource cannot tell a quiet queue from a dead connection.

const SILENCE = 40_000;
const UNSEEN = 30_000;

/** Follows until the returned function is called. `told(name, data)` gets the events, `state(word)` how it stands. */
export function follow(told, state) {
	let [last, failures, ended, alive, connection, wake, unseen, asleep] = ["", 0, false, 0, null, () => {}, 0, false];
	const over = new AbortController();

	function sign() {
		clearTimeout(alive);
		alive = setTimeout(() => connection.abort(), SILENCE);
	}

	async function once() {
		connection = new AbortController();
		sign();
		const headers = last ? { "last-event-id": last } : {};
		const response = await fetch("api/v1/events", { headers, cache: "no-store", signal: connection.signal });
		if (ended) return;
		if (response.status === 401) state("stranger");
		if (!response.ok) return;
		failures = 0;
		state("live");
		const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
		for (let text = ""; ;) {
			const { done, value } = await reader.read();
			if (done || ended) return;
			sign();
			const blocks = (text + value).split("\n\n");
			text = blocks.pop();
			blocks.forEach(deliver);
		}
	}

	function deliver(block) {
		// `s`: a file name may hold what ends a line to a pattern.
		const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
		if (!fields.data) return;
		// Without a number there comes a snapshot: one counts once what it stands for was taken in.
		last = "";
		try {
			told(fields.event, JSON.parse(fields.data));
		} catch (error) {
			console.error(error);
		}
		last = fields.id;
	}

	async function forever() {
		while (!ended) {
			await once().catch(() => {}).finally(() => connection.abort());
			clearTimeout(alive);
			if (ended) return;
			if (!asleep) state("reconnecting");
			// Jitter, so that the pages of a house do not come back all at once.
			const wait = Math.min(15_000, 500 * 2 ** failures++) * (0.5 + Math.random() / 2);
			await new Promise((resolve) => { wake = resolve; if (!asleep) setTimeout(resolve, wait); });
		}
	}

	// A browser has few connections: a page nobody looks at gives its own back, and goes on from there.
	function looked() {
		clearTimeout(unseen);
		asleep = false;
		if (document.hidden) unseen = setTimeout(() => { asleep = true; connection.abort(); }, UNSEEN);
		else wake();
	}

	// The network is back, or somebody looks again: no reason to sit out a pause.
	addEventListener("online", () => asleep || wake(), over);
	document.addEventListener("visibilitychange", looked, over);
	forever();
	looked();
	return () => {
		ended = true;
		over.abort();
		clearTimeout(unseen);
		connection.abort();
		wake();
	};
}
