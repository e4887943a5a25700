// Keys and buttons: every one does the same as the other.

import { recall, remember } from "./label-memory.js";

const SIDES = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "tie", ArrowDown: "incomparable" };
const SINGLE = {
  z: "undo",
  r: "restart",
  ",": "back",
  ".": "forward",
  "-": "slower",
  "+": "faster",
  "=": "faster",
  "?": "help",
};
const REPEATING = new Set(["back", "forward", "slower", "faster"]);

export function listen({ answer, actions, view }) {
  const singleKeys = document.querySelector("[data-single-keys]");
  singleKeys.checked = recall("single-keys", true);
  singleKeys.addEventListener("change", () => remember("single-keys", singleKeys.checked));

  function act(name) {
    view.press(`[data-action="${name}"]`);
    actions[name]();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    const onRange = event.target.matches("input[type=range]");
    const side = SIDES[event.key];
    if (side) {
      if (onRange) return; // reached by Tab: arrows scrub, as everywhere
      event.preventDefault(); // no scrolling
      if (!event.repeat) answer(side); // a key held down is one answer
      return;
    }
    if (event.key === " ") {
      if (event.target.matches("button, a, select, input:not([type=range])")) return;
      event.preventDefault();
      if (!event.repeat) act("pause");
      return;
    }
    const name = singleKeys.checked ? SINGLE[event.key.toLowerCase()] : undefined;
    if (!name || (event.repeat && !REPEATING.has(name))) return;
    event.preventDefault();
    act(name);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    // After a click with the mouse the space bar means pause again, not this button.
    if (event.detail > 0) button.blur();
    if (button.dataset.side) answer(button.dataset.side);
    else if (button.dataset.action) act(button.dataset.action);
  });
}
