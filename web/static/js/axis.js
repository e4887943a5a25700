/**
 * What the curves of a page run along: steps, working time or time of day.
 *
 * Points come by step. Two series tell when each step was reached: seconds of work, pauses left
 * out, and seconds since 1970. Between their points time is taken to pass evenly.
 */

import { formatDuration, formatSteps } from "./numbers.js";
import { emptySeries, merge } from "./series.js";

const CLOCKS = { time: "time/time_elapsed", wall: "clock/wall" };

export class Axis {
  constructor() {
    this.kind = "step";
    this.clocks = new Map(Object.keys(CLOCKS).map((kind) => [kind, emptySeries()]));
  }

  receive(series, reset) {
    for (const [kind, name] of Object.entries(CLOCKS)) {
      const known = reset ? emptySeries() : this.clocks.get(kind);
      const [steps, values] = series[name] ?? [[], []];
      this.clocks.set(kind, forward(merge(known, { steps, values })));
    }
  }

  /** Whether it can be drawn along this axis. */
  has(kind) {
    return kind === "step" || this.clocks.get(kind).steps.length > 0;
  }

  /** Where steps stand; both ascend. */
  place(steps) {
    if (this.kind === "step") return steps;
    const clock = this.clocks.get(this.kind);
    return along(steps, clock.steps, clock.values);
  }

  /** Which step stands at x, about. */
  stepAt(x) {
    if (this.kind === "step") return x;
    const clock = this.clocks.get(this.kind);
    return along([x], clock.values, clock.steps)[0];
  }

  /** Its values as the labels of a uPlot axis; those of the time of day are uPlot's own. */
  labels(ticks) {
    if (this.kind === "time") return ticks.map((tick) => (tick ? formatDuration(tick) : "0"));
    return ticks.map((tick) => (tick === 0 ? "0 steps" : formatSteps(tick)));
  }

  format(x) {
    if (this.kind === "step") return formatSteps(x);
    if (this.kind === "time") return formatDuration(x);
    return new Date(1000 * x).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
  }
}

/** A clock that was set back stands still until it has caught up: curves must not run backwards. */
function forward({ steps, values }) {
  let latest = -Infinity;
  return { steps, values: values.map((value) => (latest = Math.max(latest, value))) };
}

/** Values at places, linear between those known; before and behind them the first and the last. */
function along(places, known, values) {
  let at = 0;
  return places.map((place) => {
    while (at < known.length - 1 && known[at + 1] <= place) at += 1;
    if (place <= known[at] || at === known.length - 1) return values[at];
    const share = (place - known[at]) / (known[at + 1] - known[at]);
    return values[at] + share * (values[at + 1] - values[at]);
  });
}
