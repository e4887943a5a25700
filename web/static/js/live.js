/**
 * The page's event stream: reconnects quietly, can be paused, rests while the tab is hidden.
 *
 * htmx's sse extension swaps the HTML fragments; it is given this source instead of a bare
 * EventSource, because that one can neither pause nor go on from where it stopped.
 */

const RETRY_MS = 2000;

/** Tells listeners of "state" whether the stream is live, paused or reconnecting. */
export class LiveSource extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.lastId = "";
    this.types = new Set();
    this.paused = false;
    this.closed = false;
    this.stream = null;
    this.state = "connecting";
    this.relay = (event) => this.#pass(event);
    document.addEventListener("visibilitychange", () => this.#settle());
    window.addEventListener("pagehide", () => this.#drop());
    window.addEventListener("pageshow", () => this.#settle());
    // Listeners are added right after construction; the first events must not overtake them.
    queueMicrotask(() => this.#settle());
  }

  get readyState() {
    return this.closed ? EventSource.CLOSED : EventSource.OPEN;
  }

  addEventListener(type, listener) {
    super.addEventListener(type, listener);
    if (type === "state" || this.types.has(type)) return;
    this.types.add(type);
    this.stream?.addEventListener(type, this.relay);
  }

  pause() {
    this.paused = true;
    this.#settle();
  }

  resume() {
    this.paused = false;
    this.#settle();
  }

  close() {
    this.closed = true;
    this.#settle();
  }

  #settle() {
    const wanted = !this.paused && !this.closed && !document.hidden;
    if (!wanted) this.#drop();
    else if (!this.stream) this.#open();
    if (this.paused) this.#say("paused");
  }

  #open() {
    const url = new URL(this.url, location.href);
    if (this.lastId) url.searchParams.set("after", this.lastId);
    this.stream = new EventSource(url);
    for (const type of this.types) this.stream.addEventListener(type, this.relay);
    this.stream.onopen = () => this.#say("live");
    this.stream.onerror = () => {
      this.#drop();
      this.#say("reconnecting");
      setTimeout(() => this.#settle(), RETRY_MS);
    };
  }

  #drop() {
    this.stream?.close();
    this.stream = null;
  }

  #pass(event) {
    if (event.lastEventId) this.lastId = event.lastEventId;
    this.dispatchEvent(new MessageEvent(event.type, { data: event.data }));
  }

  #say(state) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
