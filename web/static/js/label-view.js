// What the page shows of its state: which pair, what is waited for, progress, flashes, lines.

const FLASH_MS = 120;

export class View {
  constructor(desk) {
    this.desk = desk;
    this.help = document.querySelector("[data-help]");
    this.waitingFor = "One moment.";
    this.message = document.querySelector("[data-waiting]");
    this.counts = document.querySelector("[data-progress]");
    this.bottom = document.querySelector("[data-line]");
    this.undo = document.querySelector('[data-action="undo"]');
    this.answers = [...document.querySelectorAll("[data-side]")];
    this.judged = document.querySelector("[data-feedback]");
    this.thought = document.querySelector("[data-opinion]");
    this.title = document.title;
    this.kept = "";
    this.said = "";
    desk.dataset.state = "loading";
  }

  get hasInstructions() {
    return this.help.querySelector(".instructions") !== null;
  }

  show(stage) {
    for (const other of this.desk.querySelectorAll(".stage.is-shown")) {
      other.classList.remove("is-shown", "is-resting");
    }
    stage.element.classList.add("is-shown");
    this.desk.dataset.state = "showing";
    this.message.textContent = "";
    document.title = this.title;
    this.#mark(stage.assignment.earlier, stage.assignment.earlier_strength);
    this.#enable(true);
  }

  wait(stage) {
    stage?.element.classList.add("is-resting");
    this.desk.dataset.state = "waiting";
    this.message.textContent = this.waitingFor;
    document.title = `waiting · ${this.title}`;
    this.#mark(null);
    this.#enable(false);
  }

  progress({ today, left, median_seconds: each, newest_preference: newest }, unsent) {
    const parts = [`${today} today`];
    if (each !== null) parts.push(`${each.toFixed(1)} s each`);
    parts.push(`${left} left`);
    this.counts.textContent = parts.join(" · ");
    this.undo.disabled = newest === null && unsent === 0;
  }

  // The button and the chosen clip's border; for equal and can't tell both borders.
  flash(side, strength) {
    const chosen = side === "left" || side === "right" ? [side] : ["left", "right"];
    const frames = chosen.map((name) => `[data-frame="${name}"]`).join(", ");
    for (const element of document.querySelectorAll(frames)) this.#light(element, `flash-${side}`);
    const grade = strength ? `[data-strength="${strength}"]` : "";
    this.press(`[data-side="${side}"]${grade}`);
  }

  // After a practice answer; resolves when it has been read.
  feedback({ right, side }) {
    const known = side === "tie" ? "They are equally good." : `The ${side} one is better.`;
    this.judged.querySelector("[data-verdict]").textContent = right ? "Right" : "Not quite";
    this.judged.querySelector("[data-known]").textContent = known;
    this.judged.showModal();
    return new Promise((resolve) => {
      this.judged.addEventListener("close", resolve, { once: true });
    });
  }

  // What the reward model thought of the pair just answered, where the run shows it.
  opinion(left) {
    if (!this.thought || left === null || left === undefined) return;
    const [side, share] = left >= 0.5 ? ["left", left] : ["right", 1 - left];
    this.thought.textContent = `reward model: ${side}, ${Math.round(100 * share)} %`;
  }

  press(selector) {
    for (const element of document.querySelectorAll(selector)) this.#light(element, "is-pressed");
  }

  line(text) {
    this.said = text;
    this.#showBottom();
  }

  connection(unsent) {
    const answers = unsent === 1 ? "1 answer is" : `${unsent} answers are`;
    this.kept = unsent
      ? `Connection lost. ${answers} kept here and sent when it is back.`
      : "";
    this.#showBottom();
  }

  #showBottom() {
    const text = this.kept || this.said;
    if (this.bottom.textContent !== text) this.bottom.textContent = text;
    this.bottom.classList.toggle("is-shown", text !== "");
  }

  #mark(side, strength) {
    for (const button of this.answers) {
      const { side: own, strength: grade } = button.dataset;
      const earlier = own === side && (!grade || grade === (strength ?? "better"));
      button.classList.toggle("is-earlier", earlier);
      if (earlier) button.setAttribute("aria-description", "your earlier answer");
      else button.removeAttribute("aria-description");
    }
  }

  #enable(enabled) {
    for (const button of this.answers) button.disabled = !enabled;
  }

  #light(element, name) {
    element.classList.add(name);
    setTimeout(() => element.classList.remove(name), FLASH_MS);
  }
}
