// One's own answers, newest first; choosing one brings its pair back to be answered anew.

import { get } from "./label-api.js";

const SAID = {
  left: "left better",
  right: "right better",
  tie: "equal",
  incomparable: "can't tell",
};

export class History {
  constructor(run, choose, say) {
    this.run = run;
    this.choose = choose;
    this.say = say;
    this.dialog = document.querySelector("[data-history]");
    this.list = this.dialog.querySelector("[data-entries]");
  }

  async open() {
    let entries;
    try {
      entries = await get(`/runs/${this.run}/history`);
    } catch {
      this.say("Your answers can't be had just now.");
      return;
    }
    this.list.replaceChildren(...entries.map((entry) => this.#line(entry)));
    if (entries.length === 0) this.list.textContent = "None yet.";
    if (!this.dialog.open) this.dialog.showModal();
  }

  close() {
    this.dialog.close();
  }

  #line(entry) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    const much = entry.strength === "much_better" ? "much " : "";
    const said = SAID[entry.side].replace("better", `${much}better`);
    const when = new Date(entry.created_at).toLocaleTimeString([], {
      hour: "2-digit",
      minute: "2-digit",
    });
    button.textContent = `${when} · ${said}${entry.flagged ? " · flagged" : ""}`;
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
