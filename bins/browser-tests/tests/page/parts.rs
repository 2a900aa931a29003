//! What the parts of the page do with what comes odd, late or twice.

use browser_tests::{Machine, browse};

use super::log_in;

#[tokio::test]
async fn the_stream_takes_any_text_and_outlives_an_event_nobody_understands() {
    let machine = Machine::sharing().start().await;
    browse("stream", machine.origin(), async |browser| {
        log_in(browser, &machine).await;
        browser
            .js("const event = (id, data) => `id: ${id}\\nevent: e\\ndata: ${JSON.stringify(data)}\\n\\n`;
                 const text = [event(1, 'a\\u2028b: c\\u2029d'), 'id: 2\\nevent: e\\ndata: {\\n\\n', event(3, 'bad'), event(4, 'last')];
                 [window.told, window.real] = [[], window.fetch];
                 window.fetch = async () => new Response(text.join(''));
                 import('/ui/stream.js').then(({ follow }) => {
                   const end = follow((_, data) => {
                     window.told.push(data);
                     if (data === 'bad') throw new Error('not understood');
                     if (data === 'last') setTimeout(() => { end(); window.fetch = window.real; });
                   }, () => {});
                 });")
            .await;
        let told = "return JSON.stringify(window.told) === JSON.stringify(['a\\u2028b: c\\u2029d', 'bad', 'last'])";
        browser.until("everything but what is no JSON was told", told).await;
        browser.is_content(&["not understood", "SyntaxError"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_page_nobody_looks_at_hangs_up_and_goes_on_where_it_was_when_somebody_does() {
    let machine = Machine::sharing().start().await;
    browse("unseen", machine.origin(), async |browser| {
        // A part alone: the page has a stream of its own.
        browser.open(&format!("{}/ui/stream.js", machine.origin())).await;
        browser
            .js("const look = (hidden) => {
                   Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
                   document.dispatchEvent(new Event('visibilitychange'));
                 };
                 const later = window.setTimeout;
                 // Half a minute goes by at once.
                 window.setTimeout = (then, ms) => later(then, ms === 30000 ? 0 : ms);
                 const asked = window.asked = [];
                 window.fetch = async (_, { headers, signal }) => {
                   asked.push(headers['last-event-id'] ?? 'all');
                   signal.addEventListener('abort', () => {
                     asked.push('hung up');
                     later(() => { asked.push('seen'); look(false); }, 1500);
                   });
                   const body = new ReadableStream({ start(to) {
                     to.enqueue(new TextEncoder().encode('id: 7\\nevent: e\\ndata: 1\\n\\n'));
                     signal.addEventListener('abort', () => to.error(signal.reason));
                   } });
                   return new Response(body);
                 };
                 import('/ui/stream.js').then(({ follow }) => follow(() => later(() => asked.length > 1 || look(true)), () => {}));")
            .await;
        let went_on = "return window.asked.join() === 'all,hung up,seen,7' || window.asked.join()";
        browser.until("it hangs up, and goes on", went_on).await;
        browser.is_content(&["favicon.ico"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_refusal_that_comes_late_does_not_throw_out_whoever_has_logged_in_since() {
    let machine = Machine::sharing().start().await;
    browse("late", machine.origin(), async |browser| {
        log_in(browser, &machine).await;
        let key = serde_json::Value::from(machine.key());
        browser
            .js(&format!(
                "import('/ui/kit.js').then(async ({{ call, get }}) => {{
                   const real = window.fetch;
                   let refuse;
                   window.fetch = () => new Promise((resolve) => {{ refuse = () => resolve(new Response('{{}}', {{ status: 401 }})); }});
                   const late = get('/system').catch(() => {{ window.refused = true; }});
                   window.fetch = real;
                   await call('POST', '/session', {{ key: {key} }});
                   refuse();
                   await late;
                 }});"
            ))
            .await;
        browser.until("it is refused", "return window.refused === true").await;
        browser.shown("[data-view=queue]").await;
        browser.is_content(&[]).await;
    })
    .await;
}

#[tokio::test]
async fn what_has_arrived_never_shrinks_unless_it_starts_over() {
    let machine = Machine::sharing().start().await;
    browse("shrinking", machine.origin(), async |browser| {
        log_in(browser, &machine).await;
        browser
            .js("import('/ui/rows.js').then(({ rows, put, progress, anew }) => {
                   const row = (written, restarts) => ({ id: 7, filename: 'a', state: 'downloading', total: 100, rate: 0, eta: null,
                     priority: 0, attempts: 0, durable: 0, created_at: '2026-01-01T00:00:00Z', written, restarts });
                   const seen = [];
                   const look = () => seen.push(rows.get(7).written);
                   const late = (written) => progress({ download_id: 7, written, durable: 0 });
                   put(row(50, 0)); look();
                   late(40); look();
                   put(row(45, 0)); look();
                   late(60); look();
                   put(row(5, 1)); look();
                   anew(7); late(3); look();
                   window.seen = `${seen}`;
                 });")
            .await;
        browser.until("it is as far as it ever was", "return window.seen === '50,50,50,60,5,3'").await;
        browser.is_content(&[]).await;
    })
    .await;
}
