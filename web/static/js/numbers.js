/** Numbers, steps and times as people read them. */

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** Steps: 9,216 · 983 k · 1.31 M. */
export function formatSteps(steps) {
  if (steps < 10_000) return grouped.format(steps);
  if (steps < 999_500) return `${Math.round(steps / 1000)} k`;
  const millions = steps / 1e6;
  return `${millions.toFixed(millions < 100 ? 2 : 0).replace(/\.?0+$/, "")} M`;
}

/** A value in its chart's format: "percent" (of 0-1), "count" or "number". */
export function formatValue(value, format) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (format === "percent") return `${(100 * value).toFixed(1)} %`;
  if (format === "count") return grouped.format(value);
  const size = Math.abs(value);
  if (size >= 1e6) return `${(value / 1e6).toPrecision(3)} M`;
  if (size >= 1000) return grouped.format(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 1) return value.toFixed(2);
  if (size === 0) return "0";
  if (size >= 0.001) return value.toPrecision(3);
  return value.toExponential(1);
}

/** "just now", "12 s ago", "3 min ago", "2 h ago", "5 d ago". */
export function formatAgo(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 2) return "just now";
  return `${formatSpan(seconds)} ago`;
}

/** A span without "ago": 12 s, 3 min, 2 h, 5 d. */
export function formatSpan(seconds) {
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** A length of time with two units at most: 45 s, 12 min, 2 h 5 min, 3 d 4 h. */
export function formatDuration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 36) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}
