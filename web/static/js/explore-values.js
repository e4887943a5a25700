/** What is known of each step of a trajectory: rewards of the members, their mean, true ones, sums. */

import { formatValue } from "./numbers.js";

const COLORS = ["--member-1", "--member-2", "--member-3", "--member-4", "--member-5"];
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3], [3, 6]];
// Of sixteen members no two look alike: with each round of colours the dashes move on by one.
const dashOf = (index) => DASHES[(index + Math.floor(index / COLORS.length)) % DASHES.length];
const OFTEN = 0.4; // a share of steps from which on a true reward is no event any more

export class Values {
  constructor() {
    this.members = []; // of each member, its normalised reward of every step
    this.raw = [];
    this.mean = null;
    this.true = null;
    this.ends = [];
  }

  takeRewards({ raw, normalised }) {
    this.members = normalised;
    this.raw = raw;
    this.mean = normalised[0].map((_, step) => average(normalised.map((member) => member[step])));
  }

  takeSteps({ rewards, ends }) {
    this.true = rewards.every((value) => value === null) ? null : rewards;
    this.ends = ends;
  }

  get count() {
    return this.true?.length ?? this.mean?.length ?? this.ends.length;
  }

  /** The lines of the first plot. */
  rewardLines() {
    if (!this.mean) return [];
    const members = this.members.map((values, index) => ({
      label: `member ${index + 1}`,
      values,
      color: COLORS[index % COLORS.length],
      dash: dashOf(index),
    }));
    return [...members, { label: "mean: what the agent is paid", values: this.mean, color: "--chart-second", width: 2.25 }];
  }

  /** Those of the second. */
  sumLines() {
    const lines = [];
    if (this.mean) {
      lines.push({ label: "predicted", values: sums(this.mean), color: "--chart-main", width: 2, scale: "predicted" });
    }
    if (this.true) {
      lines.push({ label: "true", values: sums(this.true), color: "--right", width: 2, dash: [7, 4], scale: "true" });
    }
    return lines;
  }

  /** Rows of the table of values: what they are called, and their values by step. */
  rows() {
    const rows = this.rewardLines();
    if (this.true) rows.push({ label: "true", values: this.true, color: "--right", dash: [7, 4] });
    return rows;
  }

  /** What happened, in order: { step, text, color, up }. */
  events() {
    const paid = this.true?.flatMap((value, step) => (value ? [step] : [])) ?? [];
    const rare = paid.length <= OFTEN * (this.true?.length ?? 0);
    const rewards = (rare ? paid : []).map((step) => ({
      step,
      text: `true reward ${formatValue(this.true[step], "number")}`,
      color: "--right",
      up: false,
    }));
    const ends = this.ends.flatMap((end, step) =>
      end ? [{ step, text: "the episode ends", color: "--chart-second", up: true }] : [],
    );
    return [...rewards, ...ends].sort((a, b) => a.step - b.step);
  }

  /** What there is to say about true rewards where they are no events. */
  remark() {
    if (!this.true) return this.ends.length ? "The true reward of these steps is not known." : "Not known yet.";
    const paid = this.true.filter(Boolean).length;
    if (!paid) return "No true reward was paid in these steps.";
    if (paid > OFTEN * this.true.length) return `True reward was paid in ${paid} of ${this.true.length} steps; the plot shows its sum.`;
    return "";
  }

  /** One step in a sentence, for those who do not see the plots. */
  sentence(step) {
    const parts = [`step ${step} of ${this.count}`];
    if (this.mean) {
      const members = this.members.map((member) => formatValue(member[step], "number")).join(", ");
      parts.push(`reward ${formatValue(this.mean[step], "number")} (members ${members})`);
    }
    if (this.true) parts.push(`true ${formatValue(this.true[step], "number")}`);
    if (this.ends[step]) parts.push("the episode ends");
    return parts.join(", ");
  }
}

/** Running sums; what is not known adds nothing. */
export function sums(values) {
  let sum = 0;
  return values.map((value) => (sum += value ?? 0));
}

function average(values) {
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}
