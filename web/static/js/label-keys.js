// Keys and buttons: every one does the same as the other. Keys can be changed, and switched off.

import { recall, remember } from "./label-memory.js";

const USUAL = {
  left: "ArrowLeft",
  right: "ArrowRight",
  tie: "ArrowUp",
  incomparable: "ArrowDown",
  "grade-1": "1",
  "grade-2": "2",
  "grade-3": "3",
  "grade-4": "4",
  "grade-5": "5",
  undo: "z",
  pause: " ",
  restart: "r",
  back: ",",
  forward: ".",
  slower: "-",
  faster: "+",
  skip: "s",
  agent: "v",
  flag: "f",
  history: "h",
  help: "?",
};
const WORDS = {
  left: "left is better",
  right: "right is better",
  tie: "equal",
  incomparable: "can't tell",
  "grade-1": "left is much better",
  "grade-2": "left is better",
  "grade-3": "equal",
  "grade-4": "right is better",
  "grade-5": "right is much better",
  undo: "undo the last answer, up to ten",
  pause: "pause, play",
  restart: "from the start",
  back: "one frame back",
  forward: "one frame forward",
  slower: "slower",
  faster: "faster",
  skip: "skip",
  agent: "as the agent sees it",
  flag: "flag with a comment",
  history: "your answers",
  help: "instructions",
};
const SIDES = new Set(["left", "right", "tie", "incomparable"]);
const GRADES = {
  "grade-1": ["left", "much_better"],
  "grade-2": ["left", "better"],
  "grade-3": ["tie", null],
  "grade-4": ["right", "better"],
  "grade-5": ["right", "much_better"],
};
const REPEATING = new Set(["back", "forward", "slower", "faster"]);
const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "space" };

export function listen({ answer, actions, view, graded, leave }) {
  const singleKeys = document.querySelector("[data-single-keys]");
  singleKeys.checked = recall("single-keys", true);
  singleKeys.addEventListener("change", () => remember("single-keys", singleKeys.checked));
  const has = (name) => (name in GRADES ? graded : SIDES.has(name) || name in actions);
  const keys = new Keys(Object.keys(USUAL).filter(has));

  function act(name) {
    view.press(`[data-action="${name}"]`);
    actions[name]();
  }

  function meant(event) {
    if (event.key.length === 1 && event.key !== " " && !singleKeys.checked) return undefined;
    return keys.meaning(event.key);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (keys.learn(event)) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") leave();
    const name = meant(event);
    if (!name) return;
    const target = event.target;
    // Reached by Tab: arrows scrub and the space bar presses, as everywhere.
    if (event.key.startsWith("Arrow") && target.matches("input[type=range]")) return;
    if (event.key === " " && target.matches("button, a, select, input:not([type=range])")) return;
    event.preventDefault(); // no scrolling
    if (event.repeat && !REPEATING.has(name)) return; // a key held down is one answer
    if (name in GRADES) answer(...GRADES[name]);
    else if (SIDES.has(name)) answer(name);
    else act(name);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    // After a click with the mouse the space bar means pause again, not this button.
    if (event.detail > 0) button.blur();
    if (button.dataset.side) answer(button.dataset.side, button.dataset.strength);
    else if (button.dataset.action === "reset-keys") keys.reset();
    else if (button.dataset.action) act(button.dataset.action);
  });
}

class Keys {
  constructor(names) {
    this.names = names;
    this.changed = recall("keys", {});
    this.learning = null; // the name whose key is about to be changed
    this.list = document.querySelector("[data-keys]");
    for (const name of names) {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "plain";
      button.dataset.learn = name;
      button.addEventListener("click", () => {
        this.learning = name;
        this.show();
      });
      const words = document.createElement("span");
      words.id = `key-of-${name}`;
      words.textContent = WORDS[name];
      item.append(button, words);
      this.list.append(item);
    }
    this.show();
  }

  of(name) {
    return this.changed[name] ?? USUAL[name];
  }

  meaning(key) {
    const pressed = key.length === 1 ? key.toLowerCase() : key;
    const name = this.names.find((one) => this.of(one) === pressed);
    return name ?? (pressed === "=" && this.of("faster") === "+" ? "faster" : undefined);
  }

  // Takes a key for the name that waits for one; two names that want the same key swap.
  learn(event) {
    if (this.learning === null || ["Tab", "Shift"].includes(event.key)) return false;
    event.preventDefault();
    if (event.key !== "Escape") {
      const pressed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const before = this.names.find((one) => this.of(one) === pressed);
      if (before) this.changed[before] = this.of(this.learning);
      this.changed[this.learning] = pressed;
      remember("keys", this.changed);
    }
    this.learning = null;
    this.show();
    return true;
  }

  reset() {
    this.changed = {};
    remember("keys", {});
    this.show();
  }

  show() {
    const sign = (name) => SIGNS[this.of(name)] ?? this.of(name).toUpperCase();
    for (const element of document.querySelectorAll("[data-key]")) {
      element.textContent = sign(element.dataset.key);
    }
    for (const button of this.list.querySelectorAll("[data-learn]")) {
      const name = button.dataset.learn;
      const text = this.learning === name ? "press a key" : sign(name);
      button.textContent = text;
      button.setAttribute("aria-label", `${WORDS[name]}: ${text}`);
    }
  }
}
