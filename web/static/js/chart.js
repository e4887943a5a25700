/**
 * One chart: uPlot with smoothing over the raw line, named baselines, ticks for what happened, the
 * numbers below and a table for those who cannot see the picture.
 *
 * A chart is a <figure data-chart='{...}'> that the server wrote (templates/runs/_chart.html):
 *   { format, best, range, lines: [{ name, label, style, smooth, band }], baselines: [{ value, label }] }
 * where a line's band names the metrics of the two ends of its interval.
 */

import { drawMarks, marksAt } from "./marks.js";
import { formatSteps, formatValue } from "./numbers.js";
import { savePicture } from "./picture.js";
import { emptySeries, figures, merge, smooth, thin, MOST_POINTS, valueAt } from "./series.js";

const TABLE_ROWS = 50;
const LEAST_DRAG = 5; // pixels; less is a click
const DASHES = { main: [], second: [7, 4], third: [] };
const WIDTHS = { main: 2, second: 1.75, third: 1.25 };
const LOGARITHMIC = 3; // uPlot's numbers for scales
const ASINH = 4; // a logarithm that goes on through 0 to negative values

export class Chart {
  constructor(element, group) {
    this.element = element;
    this.group = group;
    this.visible = false;
    this.spec = JSON.parse(element.dataset.chart);
    const names = this.spec.lines.flatMap((line) => [line.name, ...(line.band ?? [])]);
    this.series = new Map(names.map((name) => [name, emptySeries()]));
    this.placed = new Map();
    this.frame = element.querySelector("[data-plot]");
    this.plot = null;
    this.table = element.querySelector("details");
    this.table?.addEventListener("toggle", () => this.fillTable());
    element.querySelector("[data-picture]")?.addEventListener("click", () => savePicture(this));
    new ResizeObserver(() => this.fit()).observe(this.frame);
  }

  get empty() {
    return [...this.series.values()].every((series) => !series.steps.length);
  }

  receive(points, reset) {
    for (const [name, known] of this.series) {
      const sent = points[name];
      if (!sent && !reset) continue;
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
    if (this.empty || !this.visible) return;
    if (this.plot && this.distribution() !== this.drawnBy) this.destroy();
    const data = this.data();
    if (!this.plot) {
      this.drawnBy = this.distribution();
      this.plot = new uPlot(this.options(), data, this.frame);
      this.fit();
      return;
    }
    this.plot.setData(data);
  }

  rebuild() {
    this.destroy();
    this.draw();
  }

  destroy() {
    this.plot?.destroy();
    this.plot = null;
  }

  /** What is drawn of a line: its points, or all those of the stretch zoomed to. */
  pointsOf(name) {
    const series = this.series.get(name);
    const detail = this.group.detail.get(name);
    if (!detail?.steps.length) return series;
    const last = detail.steps.at(-1);
    const from = series.steps.findIndex((step) => step > last);
    const newer = from < 0 ? emptySeries() : cut(series, from);
    return merge(detail, newer);
  }

  /** Aligned columns: x, then of each line raw and smoothed values and its band's ends. */
  data() {
    const tables = this.spec.lines.flatMap((line) => {
      const series = this.place(line.name);
      const share = line.smooth ? this.group.halfLifeShare : 0;
      const ends = (line.band ?? []).map((name) => this.place(name));
      return [
        [series.steps, series.values, smooth(series, share)],
        ...ends.map((end) => [end.steps, end.values]),
      ];
    });
    return uPlot.join(tables);
  }

  /** A line's points along the x axis. */
  place(name) {
    const { steps, values } = this.pointsOf(name);
    const placed = { steps: this.group.axis.place(steps), values };
    this.placed.set(name, placed);
    return placed;
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

  get font() {
    return `12px ${getComputedStyle(this.element).fontFamily}`;
  }

  options() {
    const grid = { stroke: this.color("--chart-grid"), width: 1 };
    const axis = { stroke: this.color("--chart-axis"), font: this.font, grid, ticks: { show: false } };
    const { axis: along } = this.group;
    const small = this.element.classList.contains("is-small");
    const x = { ...axis, size: 28, gap: 8, space: small ? 90 : 70 };
    if (along.kind !== "wall") x.values = (_, ticks) => along.labels(ticks);
    else x.size = 40; // uPlot writes the date below the time
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
        x: { time: along.kind === "wall", range: () => this.group.shown },
        y: this.valueScale(),
      },
      axes: [
        x,
        {
          ...axis,
          size: 52,
          gap: 6,
          space: small ? 28 : 36,
          values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : this.tick(tick))),
        },
      ],
      series: [{}, ...this.spec.lines.flatMap((line) => this.strokes(line))],
      bands: this.bands(),
      hooks: {
        draw: [(plot) => this.drawBaselines(plot), (plot) => drawMarks(plot, this)],
        setCursor: [(plot) => this.showCursor(plot)],
        setSelect: [(plot) => this.zoomToSelection(plot)],
      },
    };
  }

  /** 1 for linear; shares and other fixed ranges always are. */
  distribution() {
    if (this.group.scale === "linear" || this.spec.range) return 1;
    const values = [...this.series.values()].flatMap((series) => series.values);
    return values.every((value) => value > 0) ? LOGARITHMIC : ASINH;
  }

  valueScale() {
    if (this.drawnBy !== 1) return { distr: this.drawnBy };
    return { range: (_, low, high) => this.valueRange(low, high) };
  }

  zoomToSelection(plot) {
    const { left, width } = plot.select;
    if (width < LEAST_DRAG) return;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.group.zoomTo([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
  }

  tick(value) {
    if (this.spec.format === "percent") return `${Number((100 * value).toPrecision(3))} %`;
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

  drawBaselines(plot) {
    const { ctx, bbox } = plot;
    const scale = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = this.color("--chart-axis");
    ctx.fillStyle = this.color("--chart-axis");
    ctx.lineWidth = scale;
    ctx.setLineDash([4 * scale, 4 * scale]);
    ctx.font = this.font.replace("12px", `${12 * scale}px`);
    ctx.textAlign = "right";
    ctx.textBaseline = "top";
    for (const { value, label } of this.spec.baselines) {
      const y = plot.valToPos(value, "y", true);
      if (!(y >= bbox.top && y <= bbox.top + bbox.height)) continue;
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.fillText(label, bbox.left + bbox.width - 4 * scale, y + 3 * scale);
    }
    ctx.restore();
  }

  /** Under the pointer: the values there in place of the newest, and what happened there. */
  showCursor(plot) {
    const at = plot.cursor.idx;
    const over = plot.cursor.left >= 0 && at !== null && at !== undefined;
    this.cursorAt = over ? plot.data[0][at] : null;
    this.fillFigures();
    setText(this.element, "[data-mark]", over ? marksAt(plot, this.group) : "");
  }

  fillFigures() {
    const at = this.cursorAt ?? null;
    const head = this.element.querySelector("[data-now-head]");
    if (head) head.textContent = at === null ? "now" : `at ${this.group.axis.format(at)}`;
    for (const row of this.element.querySelectorAll("tr[data-line]")) {
      const { line } = row.dataset;
      const found = figures(this.series.get(line), this.spec.best);
      const now = at === null ? found?.now : valueAt(this.placed.get(line), at);
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

function cut({ steps, values }, from) {
  return { steps: steps.slice(from), values: values.slice(from) };
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
