/** Where in the frame on the screen its reward comes from, drawn over the agent's view. */

import { Refused } from "./inspections.js";
import { formatValue } from "./numbers.js";

const REST = 150; // milliseconds on one frame before anything is asked: whoever runs past wants none
const KEPT = 200; // maps; one takes some 10 kB
const THIRDS = [
  ["upper left", "upper middle", "upper right"],
  ["middle left", "centre", "middle right"],
  ["lower left", "lower middle", "lower right"],
];

export class Saliency {
  /**
   * @param panel its controls
   * @param canvas over the agent's view
   * @param ask (method, step, { signal, onLonely }) to a map: { rows, largest }
   */
  constructor(panel, canvas, ask) {
    this.canvas = canvas;
    this.ask = ask;
    this.known = new Map();
    this.step = 0;
    this.waiting = null;
    [this.method, this.opacity, this.text] = ["method", "opacity", "map-text"].map((name) =>
      panel.querySelector(`[data-${name}]`),
    );
    this.method.value = "";
    this.method.addEventListener("change", () => this.show(this.step, false));
    this.opacity.addEventListener("input", () => this.#fade());
    this.#fade();
  }

  /** The frame on the screen is this step's; while it plays no map is drawn. */
  show(step, playing) {
    this.step = step;
    this.waiting?.abort();
    const method = this.method.value;
    this.opacity.disabled = !method;
    this.canvas.hidden = true;
    if (!method) this.text.textContent = "";
    if (!method || playing) return;
    const known = this.known.get(`${method} ${step}`);
    if (known) this.#draw(method, known);
    else this.#find(method, step);
  }

  async #find(method, step) {
    const stop = (this.waiting = new AbortController());
    const { signal } = stop;
    this.text.textContent = `Step ${step}: the learner is looking…`;
    try {
      await new Promise((resolve) => setTimeout(resolve, REST));
      signal.throwIfAborted();
      const map = await this.ask(method, step, { signal });
      this.known.set(`${method} ${step}`, map);
      if (this.known.size > KEPT) this.known.delete(this.known.keys().next().value);
      signal.throwIfAborted();
      this.#draw(method, map);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof Refused)) throw error;
      this.text.textContent = error.message;
    }
  }

  #draw(method, { rows, largest }) {
    const { canvas } = this;
    [canvas.height, canvas.width] = [rows.length, rows[0].length];
    const picture = canvas.getContext("2d");
    const image = picture.createImageData(canvas.width, canvas.height);
    rows.flat().forEach((share, at) => {
      // Blue adds and orange takes away, as everywhere; brighter is more.
      const [red, green, blue] = share < 0 ? [255, 140, 0] : [64, 170, 255];
      image.data.set([red, green, blue, Math.round(2.55 * Math.abs(share))], 4 * at);
    });
    picture.putImageData(image, 0, 0);
    canvas.dataset.step = this.step;
    canvas.hidden = false;
    this.text.textContent = `Step ${this.step}: ${inWords(rows)}; largest value ${formatValue(largest, "number")}.`;
  }

  #fade() {
    this.canvas.style.opacity = this.opacity.value / 100;
  }
}

/** In which ninth of the picture most of a map lies, for those who do not see it. */
function inWords(rows) {
  const sums = THIRDS.map((row) => row.map(() => 0));
  let all = 0;
  rows.forEach((row, y) =>
    row.forEach((share, x) => {
      const size = Math.abs(share);
      sums[Math.floor((3 * y) / rows.length)][Math.floor((3 * x) / row.length)] += size;
      all += size;
    }),
  );
  if (!all) return "no pixel changes the reward";
  const ninths = sums.flatMap((row, y) => row.map((sum, x) => ({ name: THIRDS[y][x], share: sum / all })));
  const [first, second] = ninths.sort((a, b) => b.share - a.share);
  const percent = (one) => `${Math.round(100 * one.share)} % in the ${one.name}`;
  return `${percent(first)}, ${percent(second)}`;
}
