/** Keeps `<time data-ago>` and `<time data-span>` telling the truth while a page stays open. */

import { formatAgo, formatSpan } from "./numbers.js";

function refresh() {
  if (document.hidden || document.documentElement.hasAttribute("data-times-paused")) return;
  for (const time of document.querySelectorAll("time[data-ago], time[data-span]")) {
    const age = Date.now() - Date.parse(time.dateTime);
    const seconds = Math.max(0, Math.round(age / 1000));
    const text = "ago" in time.dataset ? formatAgo(age) : formatSpan(seconds);
    if (time.textContent !== text) time.textContent = text;
  }
}

refresh();
setInterval(refresh, 1000);
document.addEventListener("htmx:afterSwap", refresh);
