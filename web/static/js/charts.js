/**
 * Curves: uPlot with smoothing over the raw line, named baselines, a linked cursor, the
 * numbers below and a table for those who cannot see the picture.
 *
 * A chart is a <figure data-chart='{...}'> that the server wrote (templates/runs/_chart.html):
 *   { format, best, range, lines: [{ name, label, style, smooth, band }], baselines: [{ value, label }] }
 * where a line's band names the metrics of the two ends of its interval.
 */

import { emptySeries, figures, merge, smooth, thin, MOST_POINTS, valueAt } from "./series.js";
import { formatSteps, formatValue } from "./numbers.js";

const TABLE_ROWS = 50;
const LEAST_DRAG = 5; // pixels; less is a click
const DASHES = { main: [], second: [7, 4], third: [] };
const WIDTHS = { main: 2, second: 1.75, third: 1.25 };

/** Charts of one page: one x range, one cursor, one smoothing. */
export class ChartGroup {
  constructor(figureElements, { cursor = "run" } = {}) {
    this.lastStep = 0;
    this.zoom = null;
    this.halfLifeShare = 0;
    this.cursor = cursor;
    this.charts = [...figureElements].map((element) => new Chart(element, this));
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", () => this.redraw());
    // The theme can also be set by hand, as an attribute of the root element.
    new MutationObserver(() => this.redraw()).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
  }

  /** Take points: { name: [steps, values] }; `reset` replaces what was there. */
  receive(series, reset) {
    for (const [steps] of Object.values(series)) {
      if (steps.length) this.lastStep = Math.max(this.lastStep, steps.at(-1));
    }
    for (const chart of this.charts) chart.receive(series, reset);
    for (const chart of this.charts) chart.draw();
  }

  setSmoothing(halfLifeShare) {
    this.halfLifeShare = halfLifeShare;
    for (const chart of this.charts) chart.draw();
  }

  /** The steps on show: all of them, or the stretch zoomed to. */
  get shown() {
    return this.zoom ?? [0, Math.max(1, this.lastStep)];
  }

  /** Show a stretch of steps in every chart; null shows all again. */
  zoomTo(stretch) {
    this.zoom = stretch;
    for (const chart of this.charts) chart.draw();
  }

  redraw() {
    for (const chart of this.charts) chart.rebuild();
  }
}

class Chart {
  constructor(element, group) {
    this.element = element;
    this.group = group;
    this.spec = JSON.parse(element.dataset.chart);
    const names = this.spec.lines.flatMap((line) => [line.name, ...(line.band ?? [])]);
    this.series = new Map(names.map((name) => [name, emptySeries()]));
    this.frame = element.querySelector("[data-plot]");
    this.plot = null;
    this.table = element.querySelector("details");
    this.table?.addEventListener("toggle", () => this.fillTable());
    new ResizeObserver(() => this.fit()).observe(this.frame);
  }

  get empty() {
    return [...this.series.values()].every((series) => !series.steps.length);
  }

  receive(points, reset) {
    for (const [name, known] of this.series) {
      const sent = points[name];
      const before = reset ? emptySeries() : known;
      const added = sent ? { steps: sent[0], values: sent[1] } : emptySeries();
      const merged = merge(before, added);
      // Thinned only once in a while, so that a long-watched line keeps its detail.
      const tooMany = merged.steps.length > 2 * MOST_POINTS;
      this.series.set(name, tooMany ? thin(merged) : merged);
    }
  }

  draw() {
    this.element.classList.toggle("is-empty", this.empty);
    this.fillFigures();
    if (this.table?.open) this.fillTable();
    if (this.empty) return;
    const data = this.data();
    if (!this.plot) {
      this.plot = new uPlot(this.options(), data, this.frame);
      this.fit();
      return;
    }
    this.plot.setData(data);
  }

  rebuild() {
    this.plot?.destroy();
    this.plot = null;
    this.draw();
  }

  /** Aligned columns: steps, then of each line raw and smoothed values and its band's ends. */
  data() {
    const tables = this.spec.lines.flatMap((line) => {
      const series = this.series.get(line.name);
      const share = line.smooth ? this.group.halfLifeShare : 0;
      const ends = (line.band ?? []).map((name) => this.series.get(name));
      return [
        [series.steps, series.values, smooth(series, share)],
        ...ends.map((end) => [end.steps, end.values]),
      ];
    });
    return uPlot.join(tables);
  }

  /** Where the ends of a line's interval stand in the data: [upper, lower]. */
  bands() {
    let column = 1;
    return this.spec.lines.flatMap((line) => {
      column += 2 + (line.band?.length ?? 0);
      if (!line.band) return [];
      const fill = this.color(`--chart-${line.style}-band`);
      return [{ series: [column - 1, column - 2], fill }];
    });
  }

  color(name) {
    return getComputedStyle(this.element).getPropertyValue(name).trim();
  }

  options() {
    const muted = this.color("--chart-axis");
    const grid = { stroke: this.color("--chart-grid"), width: 1 };
    const font = `12px ${getComputedStyle(this.element).fontFamily}`;
    const axis = { stroke: muted, font, grid, ticks: { show: false } };
    const small = this.element.classList.contains("is-small");
    return {
      width: this.frame.clientWidth,
      height: this.frame.clientHeight,
      padding: [8, 12, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: this.group.cursor, scales: ["x", null] },
        points: { size: 7 },
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => () => this.group.zoomTo(null) },
      },
      scales: {
        x: { time: false, range: () => this.group.shown },
        y: { range: (_, low, high) => this.valueRange(low, high) },
      },
      axes: [
        { ...axis, size: 28, gap: 8, space: 70, values: (_, ticks) => ticks.map((tick) => (tick === 0 ? "0 steps" : formatSteps(tick))) },
        {
          ...axis,
          size: 52,
          gap: 6,
          space: small ? 28 : 36,
          values: (_, ticks) => ticks.map((tick) => this.tick(tick)),
        },
      ],
      series: [{}, ...this.spec.lines.flatMap((line) => this.strokes(line))],
      bands: this.bands(),
      hooks: {
        draw: [(plot) => this.drawBaselines(plot, font)],
        setCursor: [(plot) => this.showCursor(plot)],
        setSelect: [(plot) => this.zoomToSelection(plot)],
      },
    };
  }

  zoomToSelection(plot) {
    const { left, width } = plot.select;
    if (width < LEAST_DRAG) return;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.group.zoomTo([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
  }

  tick(value) {
    if (this.spec.format === "percent") return `${Math.round(100 * value)} %`;
    if (Math.abs(value) >= 10_000) return formatSteps(value);
    return String(Number(value.toPrecision(4)));
  }

  /** The raw line, thin and pale where a smoothed one lies over it. */
  strokes(line) {
    const color = this.color(`--chart-${line.style}`);
    const pale = this.color(`--chart-${line.style}-pale`);
    const end = { stroke: "transparent", width: 0, spanGaps: true, points: { show: false } };
    const dots = { size: 5, stroke: color, fill: color, show: fewPoints };
    return [
      { stroke: pale, width: 1, spanGaps: true, points: dots },
      {
        stroke: color,
        width: WIDTHS[line.style],
        dash: DASHES[line.style],
        spanGaps: true,
        points: { show: false },
      },
      ...(line.band ?? []).map(() => end),
    ];
  }

  valueRange(low, high) {
    if (this.spec.range) return this.spec.range;
    const values = this.spec.baselines.map((baseline) => baseline.value);
    const least = Math.min(low ?? 0, ...values);
    const most = Math.max(high ?? 1, ...values);
    if (least === most) {
      const room = Math.abs(least) / 10 || 1;
      return [least - room, most + room];
    }
    return uPlot.rangeNum(least, most, 0.08, true);
  }

  drawBaselines(plot, font) {
    const { ctx, bbox } = plot;
    const scale = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = this.color("--chart-axis");
    ctx.fillStyle = this.color("--chart-axis");
    ctx.lineWidth = scale;
    ctx.setLineDash([4 * scale, 4 * scale]);
    ctx.font = font.replace("12px", `${12 * scale}px`);
    ctx.textAlign = "right";
    ctx.textBaseline = "top";
    for (const { value, label } of this.spec.baselines) {
      const y = plot.valToPos(value, "y", true);
      if (y < bbox.top || y > bbox.top + bbox.height) continue;
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.fillText(label, bbox.left + bbox.width - 4 * scale, y + 3 * scale);
    }
    ctx.restore();
  }

  /** Under the pointer: that step's values in place of the newest. */
  showCursor(plot) {
    const at = plot.cursor.idx;
    const over = plot.cursor.left >= 0 && at !== null && at !== undefined;
    this.cursorStep = over ? plot.data[0][at] : null;
    this.fillFigures();
  }

  fillFigures() {
    const atCursor = this.cursorStep ?? null;
    const head = this.element.querySelector("[data-now-head]");
    if (head) head.textContent = atCursor === null ? "now" : `at ${formatSteps(atCursor)}`;
    for (const row of this.element.querySelectorAll("tr[data-line]")) {
      const series = this.series.get(row.dataset.line);
      const found = figures(series, this.spec.best);
      const now = atCursor === null ? found?.now : valueAt(series, atCursor);
      setText(row, "[data-now]", formatValue(now, this.spec.format));
      setText(row, "[data-best]", formatValue(found?.best, this.spec.format));
      setText(row, "[data-best-step]", found ? formatSteps(found.bestStep) : "–");
    }
  }

  fillTable() {
    if (!this.table?.open) return;
    const lines = this.spec.lines;
    const series = lines.map((line) => this.series.get(line.name));
    const steps = [...new Set(series.flatMap((one) => one.steps))].sort((a, b) => b - a);
    const lookups = series.map((one) => new Map(one.steps.map((step, i) => [step, one.values[i]])));
    const rows = steps.slice(0, TABLE_ROWS).map((step) => {
      const values = lookups.map((lookup) => formatValue(lookup.get(step), this.spec.format));
      return tableRow("td", [step.toLocaleString("en"), ...values]);
    });
    const body = document.createElement("tbody");
    body.append(...rows);
    const head = document.createElement("thead");
    head.append(tableRow("th", ["step", ...lines.map((line) => line.label)]));
    this.table.querySelector("table").replaceChildren(head, body);
    const shown = Math.min(TABLE_ROWS, steps.length);
    setText(this.table, "[data-shown]", `newest ${shown} of ${steps.length} points drawn`);
  }

  fit() {
    const width = this.frame.clientWidth;
    if (this.plot && width) this.plot.setSize({ width, height: this.frame.clientHeight });
  }
}

/** Dots only while a line has few points, so that a lone one can be seen at all. */
function fewPoints(plot, index) {
  return plot.data[index].filter((value) => value !== null && value !== undefined).length <= 25;
}

function tableRow(kind, texts) {
  const row = document.createElement("tr");
  for (const text of texts) {
    const cell = document.createElement(kind);
    if (kind === "th") cell.scope = "col";
    cell.textContent = text;
    row.append(cell);
  }
  return row;
}

function setText(parent, selector, text) {
  const element = parent.querySelector(selector);
  if (element && element.textContent !== text) element.textContent = text;
}
