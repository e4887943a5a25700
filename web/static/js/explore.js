/** A trajectory's page: one step is on show, in the videos, the plots, the table and in words. */

import { Film } from "./explore-film.js";
import { StepPlot } from "./explore-plot.js";
import { Saliency } from "./explore-saliency.js";
import { sums, Values } from "./explore-values.js";
import { findOut, findOutValues, Refused } from "./inspections.js";
import { formatValue } from "./numbers.js";

const page = document.querySelector("[data-explore]");
const find = (name) => page.querySelector(`[data-${name}]`);
const address = page.dataset.explore;
const subject = JSON.parse(page.dataset.subject);
const version = Number(page.dataset.version);

const [scrub, play, stepText] = [find("scrub"), find("play"), find("step")];
const film = new Film([find("film"), find("agent")]);
const values = new Values();
const panel = find("saliency");
const saliency = panel && new Saliency(panel, find("map"), (method, step, options) =>
  findOutValues(address, wanted("saliency", { version, method, step }), options),
);
const plots = {
  rewards: new StepPlot(page.querySelector("[data-plot=rewards]"), (step) => film.go(step)),
  sums: new StepPlot(page.querySelector("[data-plot=sums]"), (step) => film.go(step)),
};

function wanted(aspect, more = {}) {
  return { aspect, ...subject, ...more };
}

/** Nobody answers: said once, for all that is waited for. */
function lonely() {
  const problem = find("problem");
  problem.textContent = "No learner has taken this up. Is `clipwise work` running?";
  problem.hidden = false;
}

async function load(name, getting) {
  const note = find(`${name}-note`);
  try {
    note.textContent = (await getting()) ?? "";
    find("problem").hidden = true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    note.textContent = error.message;
    note.append(" ", again(name));
  }
}

/** What could not be found out may be asked for once more: a backup may be back. */
function again(name) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "as-link";
  button.textContent = "Try again";
  button.addEventListener("click", () => {
    find(`${name}-note`).textContent = "The learner is at it…";
    loaders[name](true);
  });
  return button;
}

async function loadVideo(video, aspect, renew) {
  video.src = await findOut(address, wanted(aspect, { again: renew }), { onLonely: lonely });
  video.hidden = false;
}

const loaders = {
  rewards: (renew = false) =>
    load("rewards", async () => {
      values.takeRewards(await findOutValues(address, wanted("rewards", { version, again: renew }), { onLonely: lonely }));
      drawAll();
    }),
  events: (renew = false) =>
    load("events", async () => {
      const steps = await findOutValues(address, wanted("steps", { again: renew }), { onLonely: lonely });
      values.takeSteps(steps);
      find("level").textContent = steps.level >= 0 ? steps.level : "–";
      film.measure({ steps: steps.ends.length, fps: steps.fps ?? 1 });
      drawAll();
      return values.remark();
    }),
  film: (renew = false) => load("film", () => loadVideo(find("film"), "film", renew)),
  agent: (renew = false) => load("agent", () => loadVideo(find("agent"), "agent_view", renew)),
};

function drawAll() {
  const count = values.count;
  film.steps = count;
  scrub.max = String(count - 1);
  scrub.disabled = false;
  find("length").textContent = `${count.toLocaleString("en")} steps`;
  const events = values.events();
  plots.rewards.draw(values.rewardLines(), events);
  plots.sums.draw(values.sumLines(), events);
  find("sums-note").textContent = values.true || !values.ends.length ? "" : values.remark();
  listEvents(events);
  fillRows();
  fillTable();
  showStep();
}

function listEvents(events) {
  find("events").replaceChildren(
    ...events.map(({ step, text }) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "as-link";
      button.dataset.go = step;
      button.textContent = `step ${step}`;
      item.append(button, ` ${text}`);
      return item;
    }),
  );
}

/** A row for each line, with the same stroke as in the plot. */
function fillRows() {
  find("values").replaceChildren(
    ...values.rows().map(({ label, color, dash, values: line }) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.append(swatch(color, dash), label);
      const total = sums(line).at(-1);
      row.append(head, ...["", "", formatValue(total, "number")].map(numberCell));
      return row;
    }),
  );
}

function swatch(color, dash = []) {
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  picture.setAttribute("class", "swatch");
  picture.setAttribute("viewBox", "0 0 22 8");
  picture.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(picture.namespaceURI, "line");
  for (const [name, value] of Object.entries({ x1: 0, y1: 4, x2: 22, y2: 4 })) line.setAttribute(name, value);
  line.style.stroke = `var(${color})`;
  line.style.strokeDasharray = dash.join(" ");
  picture.append(line);
  return picture;
}

function numberCell(text) {
  const cell = document.createElement("td");
  cell.className = "number";
  cell.textContent = text;
  return cell;
}

/** Everything that shows one step shows this one. */
function showStep() {
  const { step } = film;
  scrub.value = String(step);
  const sentence = values.sentence(step);
  scrub.setAttribute("aria-valuetext", sentence);
  stepText.textContent = sentence;
  find("at").textContent = `step ${step}`;
  for (const plot of Object.values(plots)) plot.show(step);
  values.rows().forEach(({ values: line }, index) => {
    const cells = find("values").rows[index]?.cells;
    if (!cells) return;
    cells[1].textContent = formatValue(line[step], "number");
    cells[2].textContent = formatValue(sums(line.slice(0, step + 1)).at(-1), "number");
  });
  saliency?.show(step, film.playing);
}

/** Only when somebody opens it: a long trajectory has thousands of steps. */
function fillTable() {
  const table = find("table");
  if (!table.open || !values.count) return;
  const rows = values.rows();
  const head = document.createElement("tr");
  head.append(...["step", ...rows.map(({ label }) => label), "event"].map((text) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    return cell;
  }));
  const events = new Map();
  for (const { step, text } of values.events()) events.set(step, [events.get(step), text].filter(Boolean).join(", "));
  const lines = Array.from({ length: values.count }, (_, step) => {
    const line = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = step;
    const note = document.createElement("td");
    note.textContent = events.get(step) ?? "";
    line.append(name, ...rows.map((row) => numberCell(formatValue(row.values[step], "number"))), note);
    return line;
  });
  const [thead, tbody] = ["thead", "tbody"].map((kind) => document.createElement(kind));
  thead.append(head);
  tbody.append(...lines);
  table.querySelector("table").replaceChildren(thead, tbody);
}

const KEYS = {
  ArrowLeft: () => film.go(film.step - 1),
  ArrowRight: () => film.go(film.step + 1),
  Home: () => film.go(0),
  End: () => film.go(film.steps - 1),
  " ": () => film.toggle(),
};

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || !KEYS[event.key]) return;
  const { target } = event;
  if (target !== scrub && target.closest("input, select, textarea, summary, [role=region]")) return;
  if (event.key === " " && target.closest("button, a")) return;
  event.preventDefault();
  if (event.key !== " ") scrub.focus({ preventScroll: true }); // so that a screen reader reads the step
  KEYS[event.key]();
}

function setUp() {
  film.addEventListener("step", showStep);
  film.addEventListener("playing", () => {
    play.textContent = film.playing ? "Pause" : "Play";
    showStep();
  });
  scrub.addEventListener("input", () => film.go(Number(scrub.value)));
  find("back").addEventListener("click", () => film.go(film.step - 1));
  find("forward").addEventListener("click", () => film.go(film.step + 1));
  play.addEventListener("click", () => film.toggle());
  find("table").addEventListener("toggle", fillTable);
  document.addEventListener("keydown", press);
  page.addEventListener("click", ({ target }) => {
    const go = target.closest("[data-go]");
    if (!go) return;
    if (go.dataset.part) for (const plot of Object.values(plots)) plot.shade(go.dataset.part.split(" ").map(Number));
    film.go(Number(go.dataset.go));
  });
  const redraw = () => Object.values(plots).forEach((plot) => plot.redraw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  const choice = find("version-choice");
  choice?.addEventListener("change", () => choice.form.requestSubmit());
  if (choice) find("version-go").hidden = true;
}

/** The address may name a step to begin with, and a segment: ?step=12&part=10-25. */
function begin() {
  const asked = new URLSearchParams(location.search);
  const part = /^(\d{1,6})-(\d{1,6})$/.exec(asked.get("part") ?? "");
  if (part) for (const plot of Object.values(plots)) plot.shade([Number(part[1]), Number(part[2])]);
  const first = Number.parseInt(asked.get("step") ?? part?.[1] ?? "0", 10);
  loaders.events().then(() => film.go(first || 0));
  if (version) loaders.rewards();
  loaders.film();
  loaders.agent();
}

setUp();
begin();
