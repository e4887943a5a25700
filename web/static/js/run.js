/** The run page: feeds the curves from the event stream, and lets everything that moves rest. */

import { setUpVideos, restVideo } from "./agent-video.js";
import { ChartGroup } from "./charts.js";
import { keepInput } from "./keep.js";
import { LiveSource } from "./live.js";

const SMOOTHING_KEY = "clipwise.smoothing";

const { run } = document.querySelector("[data-run]").dataset;
export const charts = new ChartGroup(document.querySelectorAll("figure[data-chart]"), {
  address: `/api/v1/runs/${encodeURIComponent(run)}/metrics`,
});
let live = null;

htmx.createEventSource = (url) => {
  live = new LiveSource(url);
  live.addEventListener("metrics", (event) => {
    const { series, reset } = JSON.parse(event.data);
    charts.receive(series, reset);
    offerAxes();
  });
  live.addEventListener("marks", (event) => {
    const { marks, reset } = JSON.parse(event.data);
    charts.receiveMarks(marks, reset);
  });
  live.addEventListener("state", (event) => showState(event.detail));
  return live;
};

function showState(state) {
  const words = { live: "live", paused: "updates paused", reconnecting: "reconnecting…" };
  const place = document.querySelector("[data-live-state]");
  if (!place || !words[state]) return;
  place.textContent = words[state];
  place.dataset.liveState = state;
}

function setUpPause() {
  const button = document.querySelector("[data-live-toggle]");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const pause = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(pause));
    document.documentElement.toggleAttribute("data-times-paused", pause);
    if (pause) live?.pause();
    else live?.resume();
    restVideo(pause);
  });
}

function setUpSmoothing() {
  const slider = document.querySelector("[data-smoothing]");
  if (!slider) return;
  const shown = document.querySelector("[data-smoothing-value]");
  const apply = () => {
    charts.setSmoothing(Number(slider.value) / 100);
    shown.textContent = slider.value === "0" ? "off" : `${slider.value} % of the range`;
  };
  slider.value = localStorage.getItem(SMOOTHING_KEY) ?? slider.value;
  slider.addEventListener("input", () => {
    localStorage.setItem(SMOOTHING_KEY, slider.value);
    apply();
  });
  apply();
}

/** The x axis and the scale of the values; both are remembered. */
function setUpAxes() {
  const choices = { "[data-x-axis]": (kind) => charts.setAxis(kind), "[data-y-axis]": (scale) => charts.setScale(scale) };
  for (const [selector, apply] of Object.entries(choices)) {
    const choice = document.querySelector(selector);
    if (!choice) continue;
    const key = `clipwise.${selector.slice(6, -1)}`;
    choice.addEventListener("change", () => {
      localStorage.setItem(key, choice.value);
      apply(choice.value);
    });
  }
  const scale = document.querySelector("[data-y-axis]");
  const kept = localStorage.getItem("clipwise.y-axis");
  if (scale && kept) charts.setScale((scale.value = kept));
}

/** Times can be chosen once it is known when which step was reached. */
function offerAxes() {
  const choice = document.querySelector("[data-x-axis]");
  if (!choice) return;
  for (const option of choice.options) option.disabled = !charts.axis.has(option.value);
  const kept = localStorage.getItem("clipwise.x-axis") ?? "step";
  if (choice.value !== kept && charts.axis.has(kept)) charts.setAxis((choice.value = kept));
}


/** A refused command says why; the panel stays as it is. */
function setUpNotices() {
  const notice = document.querySelector("[data-notice]");
  document.addEventListener("htmx:responseError", (event) => {
    const page = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
    notice.textContent = page.querySelector(".problem p")?.textContent ?? "That did not work.";
    notice.hidden = false;
  });
  document.addEventListener("htmx:beforeRequest", () => (notice.hidden = true));
}

/** The button that was pressed is gone: the focus goes to the alarms, not to the top of the page. */
function setUpAlarms() {
  const alarms = document.querySelector("#alarms");
  let pressed = false;
  alarms.addEventListener("submit", () => (pressed = true));
  document.addEventListener("htmx:afterSwap", () => {
    if (!pressed || alarms.contains(document.activeElement)) return;
    pressed = false;
    alarms.focus({ preventScroll: true });
  });
}

keepInput();
setUpAlarms();
setUpNotices();
setUpPause();
setUpSmoothing();
setUpAxes();
setUpVideos();
