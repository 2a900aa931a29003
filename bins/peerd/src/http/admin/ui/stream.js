// The stream of events, by fetch: EventSource hides the sign of life that comes every 15 seconds, and cannot tell a quiet
// queue from a dead connection.

const SILENCE = 40_000;

/** Follows until the returned function is called. `told(name, data)` gets the events, `state(word)` how it stands. */
export function follow(told, state) {
  let [last, failures, ended, alive, connection, wake] = ["", 0, false, 0, null, () => {}];

  function sign() {
    clearTimeout(alive);
    alive = setTimeout(() => connection.abort(), SILENCE);
  }

  async function once() {
    connection = new AbortController();
    sign();
    const headers = last ? { "last-event-id": last } : {};
    const response = await fetch("api/v1/events", { headers, cache: "no-store", signal: connection.signal });
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
    const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/, 2)));
    if (!fields.data) return;
    // Without a number there comes a snapshot: one counts once what it stands for was taken in.
    last = "";
    told(fields.event, JSON.parse(fields.data));
    last = fields.id;
  }

  async function forever() {
    while (!ended) {
      await once().catch(() => {});
      clearTimeout(alive);
      if (ended) return;
      state("reconnecting");
      // Jitter, so that the pages of a house do not come back all at once.
      const wait = Math.min(15_000, 500 * 2 ** failures++) * (0.5 + Math.random() / 2);
      await new Promise((resolve) => { wake = resolve; setTimeout(resolve, wait); });
    }
  }

  // The network is back, or somebody looks again: no reason to sit out a pause.
  const hurry = () => document.hidden || wake();
  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  forever();
  return () => {
    ended = true;
    connection.abort();
    wake();
  };
}
