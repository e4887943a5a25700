/** What happened to a run, as ticks at the foot of its curves: each kind has its height and shape. */

const HEIGHTS = { version: 6, labels: 10, command: 14, change: 14, alarm: Infinity };
const COLORS = {
  version: "--chart-axis",
  labels: "--chart-main",
  command: "--chart-second",
  change: "--chart-second",
  alarm: "--bad",
};
const NEAR = 6; // pixels from the pointer
const MOST = 3; // named at once

export function drawMarks(plot, chart) {
  const { ctx, bbox } = plot;
  const scale = devicePixelRatio;
  const foot = bbox.top + bbox.height;
  const steps = chart.group.marks.map(([step]) => step);
  const places = chart.group.axis.place(steps);
  ctx.save();
  chart.group.marks.forEach(([, kind], index) => {
    const x = Math.round(plot.valToPos(places[index], "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    const height = Math.min(HEIGHTS[kind] * scale, bbox.height);
    ctx.strokeStyle = chart.color(COLORS[kind]);
    ctx.fillStyle = ctx.strokeStyle;
    ctx.lineWidth = (kind === "version" ? 1 : 2) * scale;
    ctx.setLineDash(kind === "alarm" ? [2 * scale, 3 * scale] : []);
    ctx.beginPath();
    ctx.moveTo(x, foot);
    ctx.lineTo(x, foot - height);
    ctx.stroke();
    if (kind === "labels") ctx.fillRect(x, foot - height, 5 * scale, 4 * scale);
  });
  ctx.restore();
}

/** What happened near the pointer, in words. */
export function marksAt(plot, group) {
  const places = group.axis.place(group.marks.map(([step]) => step));
  const near = group.marks.filter(
    (_, index) => Math.abs(plot.valToPos(places[index], "x") - plot.cursor.left) <= NEAR,
  );
  const more = near.length > MOST ? `, and ${near.length - MOST} more` : "";
  return near.slice(-MOST).map(([, , text]) => text).join(", ") + more;
}
