// The bar under the clips: position, pause, speed. One bar for both clips.

import { recall, remember } from "./label-memory.js";

const RATES = [0.25, 0.5, 0.75, 1, 1.5, 2, 3];

export class Transport {
  constructor(onShow) {
    this.onShow = onShow; // gives the pair on show, or null
    this.rate = RATES.includes(recall("speed", 1)) ? recall("speed", 1) : 1;
    this.scrub = document.querySelector("[data-scrub]");
    this.clock = document.querySelector("[data-time]");
    this.speed = document.querySelector("[data-rate]");
    this.pauseWord = document.querySelector("[data-pause-word]");
    this.scrub.addEventListener("input", () => this.#seek(Number(this.scrub.value)));
    // After dragging, the arrow keys answer again.
    this.scrub.addEventListener("pointerup", () => this.scrub.blur());
    this.#showRate();
    const paint = (now) => {
      this.#paint(now);
      requestAnimationFrame(paint);
    };
    requestAnimationFrame(paint);
  }

  start(pair, playing) {
    pair.rate = this.rate;
    if (playing) pair.restart();
    else pair.pause();
  }

  toggle() {
    const pair = this.onShow();
    if (!pair) return;
    if (pair.playing) pair.pause();
    else pair.play();
  }

  restart() {
    this.onShow()?.restart();
  }

  step(direction) {
    this.onShow()?.step(direction);
  }

  changeRate(direction) {
    const index = RATES.indexOf(this.rate) + direction;
    this.rate = RATES[Math.max(0, Math.min(index, RATES.length - 1))];
    remember("speed", this.rate);
    const pair = this.onShow();
    if (pair) pair.rate = this.rate;
    this.#showRate();
  }

  #seek(seconds) {
    const pair = this.onShow();
    pair?.pause();
    pair?.seek(seconds);
  }

  #showRate() {
    this.speed.textContent = `${this.rate}×`;
  }

  #paint(now) {
    const pair = this.onShow();
    const playing = pair?.playing ?? false;
    document.body.classList.toggle("is-playing", playing);
    const word = playing || !pair ? "pause" : "play";
    if (this.pauseWord.textContent !== word) this.pauseWord.textContent = word;
    if (!pair) return;
    pair.keepInStep(now);
    const text = `${pair.time.toFixed(1)} / ${pair.duration.toFixed(1)} s`;
    if (this.clock.textContent === text && playing === false) return;
    this.clock.textContent = text;
    this.scrub.max = String(pair.duration || 1);
    if (document.activeElement !== this.scrub || playing) this.scrub.value = String(pair.time);
    this.scrub.setAttribute("aria-valuetext", text.replace("/", "of"));
  }
}
