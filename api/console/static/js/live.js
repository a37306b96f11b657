/* Live parts of a page. <body> or any element names topics in data-live ("batches"); when the server says that a topic
   changed, the event live-<topic> is sent to <body>, and elements with hx-trigger="live-<topic> from:body" fetch
   themselves. Where the stream cannot be had, the events come every few seconds, which is polling. */

const POLL_MILLISECONDS = 4000;

export function connectLive() {
  const named = [...document.querySelectorAll("[data-live]")].flatMap((each) => each.dataset.live.split(" "));
  const topics = [...new Set(named)];
  if (topics.length === 0) return;
  const tell = (topic) => document.body.dispatchEvent(new CustomEvent(`live-${topic}`, { bubbles: true }));
  const poll = () => setInterval(() => topics.forEach(tell), POLL_MILLISECONDS);
  if (!("EventSource" in window)) {
    poll();
    return;
  }
  const stream = new EventSource(`/console/events?${topics.map((topic) => `topic=${topic}`).join("&")}`);
  stream.addEventListener("changed", (event) => tell(event.data));
  stream.addEventListener("error", () => {
    // The browser tries again by itself unless the stream was refused.
    if (stream.readyState === EventSource.CLOSED) poll();
  });
  addEventListener("pagehide", () => stream.close(), { once: true });
}
