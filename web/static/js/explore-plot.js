const RIGHT = 48; // pixels for a second axis, left free where there is none: plots above each other agree
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

/** A plot along the steps of a trajectory, with the step on the screen as an upright line. */

export class StepPlot {
  /**
   * @param frame where it is drawn
   * @param onGo told which step was pointed at
   */
  constructor(frame, onGo) {
    this.frame = frame;
    this.onGo = onGo;
    this.plot = null;
    this.lines = [];
    this.marks = [];
    this.part = null;
    this.step = 0;
    this.cursor = document.createElement("div");
    this.cursor.className = "explore-cursor";
    new ResizeObserver(() => this.#fit()).observe(frame);
  }

  /**
   * Draw lines over steps.
   *
   * @param lines [{ label, values, color, width, dash, scale }]; colors are names of tokens
   * @param marks [{ step, color }] ticks at the lower edge
   */
  draw(lines, marks = []) {
    this.lines = lines;
    this.marks = marks;
    this.redraw();
  }

  /** After other colours, or other lines. */
  redraw() {
    this.plot?.destroy();
    this.plot = null;
    this.frame.hidden = !this.lines.length;
    if (!this.lines.length) return;
    const steps = this.lines[0].values.map((_, step) => step);
    this.plot = new uPlot(this.#options(), [steps, ...this.lines.map((line) => line.values)], this.frame);
    this.plot.over.append(this.cursor);
    this.plot.over.addEventListener("pointerdown", (event) => this.#point(event));
    this.plot.over.addEventListener("pointermove", (event) => event.buttons && this.#point(event));
    this.#fit();
  }

  /** Shade a stretch of steps: [first, how many], or null. */
  shade(part) {
    this.part = part;
    this.plot?.redraw(false);
  }

  show(step) {
    this.step = step;
    if (!this.plot) return;
    this.cursor.style.transform = `translateX(${this.plot.valToPos(step, "x")}px)`;
  }

  #point(event) {
    const { left } = this.plot.over.getBoundingClientRect();
    this.onGo(Math.round(this.plot.posToVal(event.clientX - left, "x")));
  }

  #color(name) {
    return getComputedStyle(this.frame).getPropertyValue(name).trim();
  }

  #options() {
    const font = `12px ${getComputedStyle(this.frame).fontFamily}`;
    const grid = { stroke: this.#color("--chart-grid"), width: 1 };
    const axis = { stroke: this.#color("--chart-axis"), font, grid, ticks: { show: false } };
    const [first, second] = [...new Set(this.lines.map((line) => line.scale ?? "y"))];
    const axes = [
      { ...axis, size: 28, gap: 8, space: 60, incrs: STEPS },
      { ...axis, scale: first, size: 48, gap: 6, space: 28 },
    ];
    if (second) axes.push({ ...axis, scale: second, side: 1, size: RIGHT, gap: 6, space: 28, grid: { show: false } });
    return {
      width: this.frame.clientWidth,
      height: this.frame.clientHeight,
      padding: [8, second ? 0 : RIGHT, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false } },
      axes,
      series: [{}, ...this.lines.map((line) => this.#stroke(line))],
      hooks: { drawClear: [(plot) => this.#drawPart(plot)], draw: [(plot) => this.#drawMarks(plot)] },
    };
  }

  #stroke({ label, color, width = 1.25, dash = [], scale = "y" }) {
    return { label, scale, width, dash, stroke: this.#color(color), points: { show: false } };
  }

  #drawPart({ ctx, bbox, valToPos }) {
    if (!this.part) return;
    const [first, count] = this.part;
    const [left, right] = [first - 0.5, first + count - 0.5].map((x) => valToPos(x, "x", true));
    ctx.save();
    ctx.fillStyle = this.#color("--chart-main-band");
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
    ctx.restore();
  }

  #drawMarks({ ctx, bbox, valToPos }) {
    const size = 6 * devicePixelRatio;
    ctx.save();
    for (const { step, color, up } of this.marks) {
      const x = valToPos(step, "x", true);
      const [base, tip] = up ? [bbox.top, bbox.top + size * 1.4] : [bbox.top + bbox.height, bbox.top + bbox.height - size * 1.4];
      ctx.fillStyle = this.#color(color);
      ctx.beginPath();
      ctx.moveTo(x - size / 1.6, base);
      ctx.lineTo(x + size / 1.6, base);
      ctx.lineTo(x, tip);
      ctx.fill();
    }
    ctx.restore();
  }

  #fit() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    if (!this.plot || !width) return;
    this.plot.setSize({ width, height });
    this.show(this.step);
  }
}
