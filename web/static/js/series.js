/**
 * Points of one line: merging, thinning, smoothing and the numbers below a curve.
 *
 * A series is { steps: number[], values: number[] }, steps ascending and unique.
 */

/** Most points kept for one line; the server sends no more than this at once. */
export const MOST_POINTS = 1500;

/** A series that has nothing yet. */
export function emptySeries() {
  return { steps: [], values: [] };
}

/** Both series as one; where a step is in both, the added value wins. */
export function merge(series, added) {
  const last = series.steps.at(-1) ?? -Infinity;
  if (!added.steps.length || added.steps[0] > last) {
    return {
      steps: series.steps.concat(added.steps),
      values: series.values.concat(added.values),
    };
  }
  const byStep = new Map();
  series.steps.forEach((step, i) => byStep.set(step, series.values[i]));
  added.steps.forEach((step, i) => byStep.set(step, added.values[i]));
  const steps = [...byStep.keys()].sort((a, b) => a - b);
  return { steps, values: steps.map((step) => byStep.get(step)) };
}

/** At most `limit` points: the lowest and the highest of each stretch, and both ends. */
export function thin(series, limit = MOST_POINTS) {
  const count = series.steps.length;
  if (count <= limit) return series;
  const buckets = Math.floor((limit - 2) / 2);
  const inner = count - 2;
  const kept = [0];
  for (let bucket = 0; bucket < buckets; bucket += 1) {
    const from = 1 + Math.floor((bucket * inner) / buckets);
    const to = 1 + Math.floor(((bucket + 1) * inner) / buckets);
    let low = from;
    let high = from;
    for (let i = from; i < to; i += 1) {
      if (series.values[i] < series.values[low]) low = i;
      if (series.values[i] > series.values[high]) high = i;
    }
    kept.push(Math.min(low, high));
    if (low !== high) kept.push(Math.max(low, high));
  }
  kept.push(count - 1);
  return { steps: kept.map((i) => series.steps[i]), values: kept.map((i) => series.values[i]) };
}

/**
 * Exponential moving average whose half-life is a share of the x range.
 *
 * Debiased: the weights of the points seen so far always sum to one, so a constant stays
 * constant and the first and last points are pulled nowhere. Weighted by distance in x, so a
 * thinned line is smoothed like the full one.
 */
export function smooth(series, halfLifeShare) {
  const { steps, values } = series;
  if (halfLifeShare <= 0 || steps.length < 3) return values;
  const halfLife = halfLifeShare * (steps.at(-1) - steps[0]);
  const smoothed = new Array(values.length);
  let sum = 0;
  let weight = 0;
  for (let i = 0; i < values.length; i += 1) {
    const kept = i === 0 ? 0 : 2 ** (-(steps[i] - steps[i - 1]) / halfLife);
    sum = sum * kept + values[i];
    weight = weight * kept + 1;
    smoothed[i] = sum / weight;
  }
  return smoothed;
}

/** { now, best, bestStep } of a series, or null when it is empty; best is "max" or "min". */
export function figures(series, best) {
  if (!series.steps.length) return null;
  let at = 0;
  series.values.forEach((value, i) => {
    const better = best === "min" ? value < series.values[at] : value > series.values[at];
    if (better) at = i;
  });
  return { now: series.values.at(-1), best: series.values[at], bestStep: series.steps[at] };
}

/** The newest value at or before a step, or null. */
export function valueAt(series, step) {
  let low = 0;
  let high = series.steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (series.steps[middle] <= step) low = middle + 1;
    else high = middle;
  }
  return low ? series.values[low - 1] : null;
}
