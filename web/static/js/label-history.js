// One's own answers, newest first; choosing one brings its pair back to be answered anew.

import { get } from "./label-api.js";

const SAID = {
  left: "left better",
  right: "right better",
  tie: "equal",
  incomparable: "can't tell",
};

const ENTRIES = 50; // asked for at once

export class History {
  constructor(run, choose, say) {
    this.run = run;
    this.choose = choose;
    this.say = say;
    this.dialog = document.querySelector("[data-history]");
    this.list = this.dialog.querySelector("[data-entries]");
    this.older = this.dialog.querySelector('[data-action="older"]');
    this.oldest = null; // id of the last answer in the list
  }

  async open() {
    const entries = await this.#take("");
    if (entries === null) return;
    this.list.replaceChildren(...entries.map((entry) => this.#line(entry)));
    if (entries.length === 0) this.list.textContent = "None yet.";
    if (!this.dialog.open) this.dialog.showModal();
  }

  async more() {
    const entries = await this.#take(`&before=${this.oldest}`);
    if (entries === null || entries.length === 0) return;
    const lines = entries.map((entry) => this.#line(entry));
    this.list.append(...lines);
    lines[0].querySelector("button").focus();
  }

  close() {
    this.dialog.close();
  }

  // The next entries; null when they can't be had.
  async #take(after) {
    try {
      const entries = await get(`/runs/${this.run}/history?limit=${ENTRIES}${after}`);
      this.older.hidden = entries.length < ENTRIES;
      this.oldest = entries.at(-1)?.id ?? null;
      return entries;
    } catch {
      this.say("Your answers can't be had just now.");
      return null;
    }
  }

  #line(entry) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    const much = entry.strength === "much_better" ? "much " : "";
    const said = SAID[entry.side].replace("better", `${much}better`);
    const flagged = entry.flagged ? " · flagged" : "";
    button.textContent = `${moment(new Date(entry.created_at))} · ${said}${flagged}`;
    button.addEventListener("click", () => {
      this.close();
      this.choose(entry);
    });
    item.append(button);
    if (entry.comment) {
      const comment = document.createElement("span");
      comment.className = "quiet";
      comment.dir = "auto";
      comment.textContent = entry.comment;
      item.append(comment);
    }
    return item;
  }
}

// The time, and the day unless it is today.
function moment(at) {
  const today = at.toDateString() === new Date().toDateString();
  const day = today ? {} : { day: "numeric", month: "short" };
  return at.toLocaleString([], { ...day, hour: "2-digit", minute: "2-digit" });
}
