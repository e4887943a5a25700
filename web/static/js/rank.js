/** The page on which clips are put into order: by dragging, by keys, by buttons. */

import { newKey, post } from "./label-api.js";
import { drop, leaveOut, move, moveToEnd, placeOf, takeIn, toggleTie } from "./rank-order.js";

const stage = document.querySelector("[data-rank]");
const find = (name) => stage.querySelector(`[data-${name}]`);
const [order, left, status] = [find("order"), find("left"), find("status")];
const [store, undo, play] = [find("store"), find("undo"), find("play")];

const clips = new Map(
  [...stage.querySelectorAll("[data-clip]")].map((item) => [Number(item.dataset.clip), item]),
);
let places = [...clips.keys()].map((clip) => [clip]);
let key = newKey();
let stored = null; // the ranking that Undo takes back

const letter = (clip) => clips.get(clip).dataset.letter;
const isIn = (clip) => placeOf(places, clip) >= 0;

function describe(clip) {
  const at = placeOf(places, clip);
  if (at < 0) return `Clip ${letter(clip)} left out.`;
  const others = places[at].filter((one) => one !== clip).map(letter);
  const tied = others.length ? `, tied with ${others.join(", ")}` : "";
  return `Clip ${letter(clip)}: place ${at + 1} of ${places.length}${tied}.`;
}

// Only what stands elsewhere is moved: a video that is moved stops, and loses the focus.
function arrange(list, wanted) {
  wanted.forEach((clip, index) => {
    const item = clips.get(clip);
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
}

function show() {
  const focused = document.activeElement;
  arrange(order, places.flat());
  const out = [...clips.keys()].filter((clip) => !isIn(clip));
  arrange(left, out);
  left.hidden = find("left-title").hidden = out.length === 0;
  for (const [clip, item] of clips) {
    const at = placeOf(places, clip);
    const tied = at >= 0 && places[at].indexOf(clip) > 0;
    item.classList.toggle("is-tied", tied);
    item.querySelector("[data-place]").textContent = at < 0 ? "–" : at + 1;
    item.querySelector("[data-tie]").setAttribute("aria-pressed", String(tied));
    item.querySelector("[data-out]").setAttribute("aria-pressed", String(at < 0));
    for (const name of ["earlier", "later", "tie"]) item.querySelector(`[data-${name}]`).disabled = at < 0;
    if (playing()) item.querySelector("video").play().catch(() => {});
  }
  store.disabled = places.flat().length < 2;
  if (focused !== document.activeElement) focused?.focus();
}

function change(clip, next) {
  if (next === places) return;
  places = next;
  show();
  status.textContent = describe(clip);
}

const CHANGES = {
  earlier: (clip) => move(places, clip, -1),
  later: (clip) => move(places, clip, 1),
  first: (clip) => moveToEnd(places, clip, -1),
  last: (clip) => moveToEnd(places, clip, 1),
  tie: (clip) => toggleTie(places, clip),
  out: (clip) => (isIn(clip) ? leaveOut(places, clip) : takeIn(places, clip)),
};
const KEYS = {
  ArrowLeft: "earlier", ArrowUp: "earlier", ArrowRight: "later", ArrowDown: "later",
  Home: "first", End: "last", t: "tie", o: "out",
};

function press(event, clip) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const name = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!name || (!isIn(clip) && name !== "out")) return;
  event.preventDefault();
  change(clip, CHANGES[name](clip));
}

// The clip follows the pointer from item to item; it is stored nowhere until it is let go.
function drag(event, clip, grip) {
  if (event.button !== 0 || !isIn(clip)) return;
  grip.setPointerCapture(event.pointerId);
  const item = clips.get(clip);
  const follow = ({ clientX, clientY }) => {
    const over = document.elementFromPoint(clientX, clientY)?.closest("[data-order] > [data-clip]");
    if (!over || over === item) return;
    item.classList.add("is-dragged");
    const box = over.getBoundingClientRect();
    const stacked = order.firstElementChild.offsetWidth > 0.6 * order.offsetWidth;
    const after = stacked ? clientY > box.y + box.height / 2 : clientX > box.x + box.width / 2;
    const next = drop(places, clip, Number(over.dataset.clip), after);
    if (next.flat().join() === places.flat().join()) return;
    places = next;
    show();
  };
  const end = () => {
    grip.removeEventListener("pointermove", follow);
    if (item.classList.contains("is-dragged")) status.textContent = describe(clip);
    item.classList.remove("is-dragged");
  };
  grip.addEventListener("pointermove", follow);
  grip.addEventListener("lostpointercapture", end, { once: true });
}

for (const [clip, item] of clips) {
  const grip = item.querySelector("[data-grip]");
  grip.addEventListener("keydown", (event) => press(event, clip));
  grip.addEventListener("pointerdown", (event) => drag(event, clip, grip));
  for (const name of ["earlier", "later", "tie", "out"]) {
    item.querySelector(`[data-${name}]`).addEventListener("click", () => change(clip, CHANGES[name](clip)));
  }
}

async function send(path, body, done) {
  store.disabled = undo.disabled = true;
  try {
    await done(await post(path, body));
  } catch (error) {
    if (error.status) key = newKey(); // refused: what is sent next is another order
    const lost = "The server can't be reached; the order is kept here. Try again.";
    status.textContent = error.status ? error.message : lost;
  }
  store.disabled = places.flat().length < 2;
  undo.disabled = false;
}

store?.addEventListener("click", () =>
  send(stage.dataset.rank, { places, submission_key: key }, ({ id, preferences }) => {
    [stored, key] = [id, newKey()];
    undo.hidden = false;
    status.textContent = `Stored: ${preferences} preferences.`;
  }),
);

undo?.addEventListener("click", () =>
  send(`${stage.dataset.rank}/${stored}/withdraw`, undefined, () => {
    undo.hidden = true;
    status.textContent = "Taken back. The order is still here: change it and store it again.";
    store.focus();
  }),
);

const playing = () => play.getAttribute("aria-pressed") === "false";

function playAll(wanted) {
  play.setAttribute("aria-pressed", String(!wanted));
  play.textContent = wanted ? "Pause all" : "Play all";
  for (const item of clips.values()) {
    const video = item.querySelector("video");
    if (wanted) video.play().catch(() => {});
    else video.pause();
  }
}

if (clips.size) {
  play.addEventListener("click", () => playAll(!playing()));
  playAll(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  show();
}
