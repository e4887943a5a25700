// Answers on their way. Each is kept in this browser until the server has it, and sent again with
// the same key, so that a lost connection or a closed tab neither loses nor doubles one.

import { Refusal, newKey, post } from "./label-api.js";
import { recall, remember } from "./label-memory.js";

const LONGEST_PAUSE_MS = 8_000;

export class Outbox extends EventTarget {
  // Events: "stored" (detail: what the server says), "refused" (detail: message), "offline", "online".
  constructor(run) {
    super();
    // Whoever labels here next must not send the answers of who labelled here before.
    this.name = ["outbox", document.body.dataset.account, run].filter(Boolean).join(".");
    this.sending = null;
    this.offline = false;
    this.wake = () => {};
    window.addEventListener("online", () => this.wake());
  }

  get waiting() {
    return recall(this.name, []);
  }

  // An answer names its assignment, or the preference that it corrects.
  add(answer) {
    remember(this.name, [...this.waiting, { ...answer, submission_key: newKey() }]);
    this.flush();
  }

  // Resolves when everything is sent.
  flush() {
    this.sending ??= this.#sendAll().finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  async #sendAll() {
    for (let tries = 0; this.waiting.length > 0; ) {
      const [answer] = this.waiting;
      try {
        await this.#send(answer);
        tries = 0;
      } catch {
        this.#say("offline");
        await this.#pause(Math.min(500 * 2 ** tries, LONGEST_PAUSE_MS));
        tries += 1;
      }
    }
  }

  async #send({ assignment, preference, ...body }) {
    let refusal = null;
    let stored = null;
    try {
      const path = preference
        ? `/preferences/${preference}/correct`
        : `/assignments/${assignment}/answer`;
      stored = await post(path, body);
    } catch (error) {
      if (!(error instanceof Refusal) || error.passes) throw error;
      refusal = error;
    }
    const key = body.submission_key;
    remember(this.name, this.waiting.filter((answer) => answer.submission_key !== key));
    this.#say("online");
    this.dispatchEvent(
      refusal
        ? new CustomEvent("refused", { detail: refusal.message })
        : new CustomEvent("stored", { detail: stored }),
    );
  }

  #say(type) {
    this.offline = type === "offline";
    this.dispatchEvent(new Event(type));
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
