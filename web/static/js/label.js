// The labelling page: takes pairs, shows one while the next one loads behind it, sends answers.

import { AgentView } from "./label-agent.js";
import { Offline, Refusal, get, newKey, post } from "./label-api.js";
import { Flag } from "./label-flag.js";
import { History } from "./label-history.js";
import { listen } from "./label-keys.js";
import { recall, remember } from "./label-memory.js";
import { Outbox } from "./label-outbox.js";
import { Pair } from "./label-pair.js";
import { listenToFingers } from "./label-touch.js";
import { Transport } from "./label-transport.js";
import { View } from "./label-view.js";

const PAIRS = 2; // the one on show and the next
const MOST_PAIRS = 10; // in one request; after many undos the others come later
const ASK_AGAIN_MS = 1_500;
const UNDO_REACH = 10;

const desk = document.querySelector("[data-desk]");
const run = desk.dataset.run;
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

const stages = [...desk.querySelectorAll("[data-stage]")].map((element) => new Pair(element));
const view = new View(desk);
const outbox = new Outbox(run);
const transport = new Transport(() => shown);
const flag = new Flag();
const agentView = new AgentView(() => (shownAt > 0 ? shown : null), (text) => view.line(text));
const history = new History(run, bringBack, (text) => view.line(text));
const graded = document.querySelector("[data-strength]") !== null;

let queue = []; // assignments in the order in which they will be shown
let shown = null; // the Pair on show, or about to be; null while waiting
let last = null; // the Pair whose frames are in sight, dimmed while waiting
let shownAt = 0; // when it began to play, for the time an answer took
let progress = { today: 0, left: 0, median_seconds: null, newest_preference: null };
let leaseSeconds = 120;
let asking = null;
let askTimer = 0;
let settled = new Set(); // pairs done with since pairs were last asked for
let undoing = false;
let undone = 0; // answers taken back in a row
let judging = false; // a practice answer is being judged
let unreachable = false; // the line says so, until pairs come again

// ---- taking pairs -------------------------------------------------------------------------

function ask() {
  clearTimeout(askTimer);
  if (document.hidden) return Promise.resolve(); // nobody looks: hold no pairs
  asking ??= takePairs().finally(() => {
    asking = null;
    if (queue.length < PAIRS) askTimer = setTimeout(ask, settled.size ? 0 : ASK_AGAIN_MS);
  });
  return asking;
}

async function takePairs() {
  settled = new Set();
  await outbox.flush(); // else the server would give us again what we have answered
  try {
    const count = Math.min(MOST_PAIRS, Math.max(PAIRS, queue.length));
    const given = await post(`/runs/${run}/assignments`, { count });
    if (outbox.waiting.length > 0 || undoing) return; // answered meanwhile: ask again
    if (unreachable) sayWhatItIs(queue[0]);
    unreachable = false;
    leaseSeconds = given.lease_seconds;
    progress = given.progress;
    const current = queue[0];
    // The reply may be older than what has happened here.
    const others = given.assignments.filter(({ id }) => id !== current?.id && !settled.has(id));
    queue = current ? [current, ...others] : others;
    view.waitingFor = given.waiting ?? "The next pair is on its way.";
    arrange();
  } catch (error) {
    unreachable = true;
    view.line(
      error instanceof Offline
        ? "The server can't be reached. Pairs come again when it is back."
        : error.message,
    );
  }
}

// A pair is not to be shown any more.
function drop(pair) {
  settled.add(pair.id);
  queue = queue.filter(({ id }) => id !== pair.id);
}

// Put the first pair on show and the second one behind it.
function arrange() {
  view.progress(progress, outbox.waiting.length);
  const [current, next] = queue;
  if (!current) {
    rest();
    return;
  }
  const loaded = stages.find((stage) => stage.assignment?.id === current.id);
  const stage = loaded ?? stages.find((one) => one !== last);
  if (loaded) loaded.assignment = current; // after an undo it knows the earlier answer
  else stage.load(current);
  if (stage !== shown) show(stage);
  const other = stages.find((one) => one !== stage);
  // The last pair stays in sight until the one on show has its first frame.
  if (next && other !== last && other.assignment?.id !== next.id) other.load(next);
}

function show(stage) {
  shown = stage;
  shownAt = 0;
  stage.whenShown().then(() => performance.mark("clipwise:playing"));
  if (stage.ready) {
    begin(stage); // loaded behind the last pair: on the screen with the very next frame
    return;
  }
  view.wait(last);
  stage.whenReady().then(() => begin(stage));
}

function begin(stage) {
  if (shown !== stage || shownAt > 0) return;
  if (last !== stage) last?.pause();
  last = stage;
  shownAt = performance.now();
  view.show(stage);
  transport.start(stage, !calm);
  const { flagged, comment } = stage.assignment;
  flag.set(flagged ?? false, comment ?? "");
  agentView.follow();
  sayWhatItIs(stage.assignment);
  arrange();
}

function rest() {
  if (shown) view.line(""); // it was about the pair that was on show
  shown = null;
  last?.pause();
  view.wait(last);
}

// ---- answers ------------------------------------------------------------------------------

function answer(side, strength) {
  if (!shown || shownAt === 0 || undoing || judging) return;
  performance.mark("clipwise:answer");
  const seconds = Math.round(performance.now() - shownAt) / 1000;
  const decided = side === "left" || side === "right";
  const grade = graded && decided ? (strength ?? "better") : null;
  view.flash(side, grade);
  const said = { side, strength: grade, seconds, ...flag.value };
  undone = 0;
  if (queue[0].practice) {
    practise(queue[0], said);
    return;
  }
  const [done] = queue;
  drop(done);
  if (done.corrects) {
    outbox.add({ preference: done.corrects, ...said });
  } else {
    outbox.add({ assignment: done.id, ...said });
    progress = { ...progress, today: progress.today + 1, left: Math.max(0, progress.left - 1) };
  }
  view.waitingFor = "The next pair is on its way.";
  arrange();
}

// A practice answer waits for its judgement; the same key again if it has to be sent again.
async function practise(pair, said) {
  judging = true;
  let trouble = "";
  try {
    const key = `practice-${pair.id}`;
    const stored = await post(`/assignments/${pair.id}/answer`, { ...said, submission_key: key });
    if (stored.feedback) await view.feedback(stored.feedback);
    drop(pair);
  } catch (error) {
    pair.unheard = error instanceof Offline; // said for as long as it is on show
    if (!pair.unheard) trouble = error.message;
    // Judged already, its reply lost on the way, say: the same pair would be refused for ever.
    if (error instanceof Refusal && !error.passes) drop(pair);
  }
  judging = false;
  arrange();
  await ask();
  // After what asking has to say, which it would be lost under.
  if (queue[0]?.unheard) sayWhatItIs(queue[0]);
  else if (trouble) view.line(trouble);
}

async function skip() {
  if (!shown || shownAt === 0 || undoing || judging || queue[0].corrects) return;
  const [pair] = queue;
  try {
    await post(`/assignments/${pair.id}/skip`);
    drop(pair);
    arrange();
    ask();
  } catch (error) {
    view.line(error instanceof Offline ? "Skipping needs the server; try again." : error.message);
  }
}

// An earlier answer's pair, to be answered anew.
function bringBack(entry) {
  const pair = {
    id: entry.assignment,
    left: entry.left,
    right: entry.right,
    earlier: entry.side,
    earlier_strength: entry.strength,
    flagged: entry.flagged,
    comment: entry.comment,
    corrects: entry.id,
  };
  queue = [pair, ...queue.filter((one) => one.id !== pair.id && !one.corrects)];
  arrange();
}

function leaveAsItWas() {
  if (!queue[0]?.corrects) return;
  queue = queue.slice(1);
  view.line("");
  arrange();
}

function sayWhatItIs(pair) {
  if (pair?.unheard) view.line("Practice needs the server; answer again.");
  else if (pair?.practice) view.line("Practice: you will hear whether it was right.");
  else if (pair?.corrects) view.line("An earlier answer of yours. Answer anew, or Esc to leave it.");
  else view.line("");
}

async function undo() {
  if (undoing || judging) return;
  if (undone >= UNDO_REACH) {
    view.line("Undo reaches back ten answers. Older ones can be changed in your history.");
    return;
  }
  if (outbox.offline) {
    view.line("Undo works again when the connection is back.");
    return;
  }
  undoing = true;
  try {
    await outbox.flush();
    await asking;
    const latest = await get(`/runs/${run}/progress`);
    if (latest.newest_preference === null) {
      view.line("There is no answer to take back.");
      return;
    }
    const body = { submission_key: newKey() };
    const given = await post(`/preferences/${latest.newest_preference}/withdraw`, body);
    if (given.assignment) {
      queue = [given.assignment, ...queue.filter((one) => one.id !== given.assignment.id)];
    }
    undone += 1;
    view.line("");
  } catch (error) {
    view.line(error instanceof Offline ? "Undo needs the server; try again soon." : error.message);
  } finally {
    undoing = false;
    arrange();
    ask();
  }
}

// ---- leases, lost clips, lost connection ----------------------------------------------------

async function renew() {
  if (document.hidden || outbox.offline) return;
  for (const { id, corrects } of queue) {
    if (corrects) continue; // nobody else wants it
    try {
      await post(`/assignments/${id}/renew`);
    } catch (error) {
      if (error instanceof Offline) return;
      // Gone to somebody else. The one on show may still be answered: late answers are kept.
      queue = queue.filter((one, index) => index === 0 || one.id !== id);
      ask();
    }
  }
}

function scheduleRenewal() {
  setTimeout(() => renew().finally(scheduleRenewal), (leaseSeconds * 1000) / 3);
}

// A clip did not load: the connection is lost, this browser can't play it, or it is gone.
async function mend(stage) {
  const lost = stage.assignment;
  const found = await Promise.all(
    [lost.left, lost.right].map((address) => fetch(address).catch(() => ({ status: 0 }))),
  );
  if (found.every(({ ok }) => ok)) {
    view.line("This browser can't play the clips (MP4 with H.264). Try another one.");
    return;
  }
  if (found.some(({ status }) => status === 401)) {
    await get(`/runs/${run}/progress`).catch(() => null); // which asks for the login again
    if (stage.assignment === lost) stage.load(lost);
    return;
  }
  if (!found.some(({ status }) => status === 404)) {
    unreachable = true;
    view.line("The server can't be reached. Clips come again when it is back.");
    setTimeout(() => stage.assignment === lost && stage.load(lost), ASK_AGAIN_MS);
    return;
  }
  stage.clear();
  drop(lost);
  if (shown === stage) shown = null;
  if (last === stage) last = null;
  arrange();
  await ask();
  view.line("A clip of a pair is gone. That pair is set aside.");
}

for (const stage of stages) stage.addEventListener("broken", () => mend(stage));

outbox.addEventListener("stored", ({ detail }) => {
  view.opinion(detail.prediction);
  ask();
});
outbox.addEventListener("refused", ({ detail }) => {
  view.line(`An answer was not taken: ${detail}`);
  ask();
});
outbox.addEventListener("online", () => view.connection(0));
outbox.addEventListener("offline", () => view.connection(outbox.waiting.length));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) renew().then(ask);
});

// ---- keys and buttons -----------------------------------------------------------------------

const actions = {
  undo,
  pause: () => transport.toggle(),
  restart: () => transport.restart(),
  back: () => transport.step(-1),
  forward: () => transport.step(1),
  slower: () => transport.changeRate(-1),
  faster: () => transport.changeRate(1),
  help: () => view.help.showModal(),
  "close-help": () => view.help.close(),
  flag: () => shown && flag.open(),
  history: () => outbox.flush().then(() => history.open()),
  "close-history": () => history.close(),
  older: () => history.more(),
  agent: () => agentView.toggle(),
};
if ("skips" in desk.dataset) actions.skip = skip;

listen({ answer, actions, view, graded, leave: leaveAsItWas });
listenToFingers(desk, { answer, down: () => (actions.skip ? skip() : answer("incomparable")) });

if (view.hasInstructions && !recall(`seen.${run}`, false)) view.help.showModal();
remember(`seen.${run}`, true);

ask().finally(scheduleRenewal);
