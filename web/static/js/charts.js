/** The charts of one page: one x axis and range, one cursor, one smoothing, one set of marks. */

import { Axis } from "./axis.js";
import { Chart } from "./chart.js";

/** Points of a line from which on a zoom asks the server for those that were left out. */
const THINNED = 450;
const DETAIL = 1500;
const NAMES = 50; // in one question

export class ChartGroup {
  /** `address` answers with the points of a stretch; without it a zoom shows those at hand. */
  constructor(figureElements, { cursor = "run", address = null } = {}) {
    this.axis = new Axis();
    this.scale = "linear";
    this.lastStep = 0;
    this.zoom = null;
    this.detail = new Map();
    this.marks = [];
    this.halfLifeShare = 0;
    this.cursor = cursor;
    this.address = address;
    this.waiting = false;
    this.charts = [...figureElements].map((element) => new Chart(element, this));
    const seen = new IntersectionObserver((entries) => this.see(entries), { rootMargin: "300px" });
    for (const chart of this.charts) seen.observe(chart.element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", () => this.rebuild());
    // The theme can also be set by hand, as an attribute of the root element.
    new MutationObserver(() => this.rebuild()).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
  }

  /** Only what is on the screen, or nearly, is drawn. */
  see(entries) {
    for (const entry of entries) {
      const chart = this.charts.find((one) => one.element === entry.target);
      chart.visible = entry.isIntersecting;
      if (chart.visible) chart.draw();
    }
  }

  /** Take points: { name: [steps, values] }; `reset` replaces what was there. */
  receive(series, reset) {
    if (reset) this.lastStep = 0;
    for (const [steps] of Object.values(series)) {
      if (steps.length) this.lastStep = Math.max(this.lastStep, steps.at(-1));
    }
    this.axis.receive(series, reset);
    for (const chart of this.charts) chart.receive(series, reset);
    this.draw();
  }

  /** Take marks: [[step, kind, text, moment]]; a burst of labels that has grown comes again. */
  receiveMarks(marks, reset) {
    const grown = new Set(marks.filter(([, kind]) => kind === "labels").map(([, , , moment]) => moment));
    const isGrown = ([, kind, , moment]) => kind === "labels" && grown.has(moment);
    const known = reset ? [] : this.marks.filter((mark) => !isGrown(mark));
    this.marks = [...known, ...marks].sort((a, b) => a[0] - b[0]);
    this.draw();
  }

  /** Draw with the next frame; what comes in parts is drawn once. */
  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      for (const chart of this.charts) chart.draw();
    });
  }

  setSmoothing(halfLifeShare) {
    this.halfLifeShare = halfLifeShare;
    this.draw();
  }

  /** "step", "time" or "wall". */
  setAxis(kind) {
    this.axis.kind = kind;
    this.zoom = null;
    this.rebuild();
  }

  /** "linear" or "log". */
  setScale(scale) {
    this.scale = scale;
    this.rebuild();
  }

  /** What is on show of the x axis: all of it, or the stretch zoomed to. */
  get shown() {
    if (this.zoom) return this.zoom;
    const [first, last] = this.axis.place([0, Math.max(1, this.lastStep)]);
    return [first, last > first ? last : first + 1];
  }

  /** Show a stretch in every chart; null shows all again. */
  zoomTo(stretch) {
    this.zoom = stretch;
    this.detail = new Map();
    this.draw();
    if (stretch && this.address) this.fetchDetail(stretch);
  }

  async fetchDetail(stretch) {
    const names = this.charts
      .filter((chart) => chart.visible)
      .flatMap((chart) => [...chart.series])
      .filter(([, series]) => series.steps.length >= THINNED)
      .map(([name]) => name);
    if (!names.length) return;
    const question = new URLSearchParams(names.slice(0, NAMES).map((name) => ["name", name]));
    const [first, last] = stretch.map((x) => this.axis.stepAt(x));
    if (first >= 1) question.set("after_step", Math.floor(first) - 1);
    question.set("until_step", Math.ceil(last));
    question.set("max_points", DETAIL);
    const answer = await fetch(`${this.address}?${question}`).catch(() => null);
    if (!answer?.ok || this.zoom !== stretch) return; // the points at hand will do
    const { series } = await answer.json();
    this.detail = new Map(Object.entries(series));
    this.draw();
  }

  rebuild() {
    for (const chart of this.charts) chart.rebuild();
  }
}
