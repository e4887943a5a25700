/** A chart as a PNG file: its title, its curves, its lines with their newest values. */

const MARGIN = 16;
const LINE = 20;

export function savePicture(chart) {
  if (!chart.plot) return;
  const scale = devicePixelRatio;
  const plotted = chart.plot.ctx.canvas;
  const rows = [...chart.element.querySelectorAll("tr[data-line]")];
  const canvas = document.createElement("canvas");
  canvas.width = plotted.width + 2 * MARGIN * scale;
  canvas.height = plotted.height + (3 * MARGIN + LINE * (rows.length + 1)) * scale;
  const ctx = canvas.getContext("2d");
  ctx.fillStyle = chart.color("--surface");
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  ctx.drawImage(plotted, MARGIN * scale, (MARGIN + LINE) * scale);
  ctx.scale(scale, scale);
  ctx.font = chart.font.replace("12px", "600 14px");
  ctx.textBaseline = "middle";
  ctx.fillStyle = chart.color("--ink");
  const title = chart.element.querySelector(".chart-title").textContent;
  const unit = chart.element.querySelector("figcaption .quiet")?.textContent;
  const run = document.querySelector("[data-run]")?.dataset.run;
  ctx.fillText([run, title, unit].filter(Boolean).join(" · "), MARGIN, MARGIN);
  ctx.font = chart.font;
  rows.forEach((row, index) => {
    const y = plotted.height / scale + 2 * MARGIN + LINE * (index + 1);
    drawSwatch(ctx, chart, row.dataset.line, y);
    const label = row.querySelector("th").textContent.trim();
    ctx.fillText(`${label}: ${row.querySelector("[data-now]").textContent}`, MARGIN + 32, y);
  });
  canvas.toBlob((blob) => download(blob, `${[run, chart.element.id].filter(Boolean).join("-")}.png`));
}

function drawSwatch(ctx, chart, name, y) {
  const line = chart.spec.lines.find((one) => one.name === name);
  ctx.strokeStyle = chart.color(`--chart-${line.style}`);
  ctx.lineWidth = 2;
  ctx.setLineDash(line.style === "second" ? [7, 4] : []);
  ctx.beginPath();
  ctx.moveTo(MARGIN, y);
  ctx.lineTo(MARGIN + 24, y);
  ctx.stroke();
}

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
