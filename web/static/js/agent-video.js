/** The video of the agent: the newest plays by itself, an earlier one is chosen from the strip. */

import { keep } from "./keep.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
let chosen = false; // an earlier one
let resting = false; // stopped together with the live updates

const find = () => document.querySelector("[data-agent-video]");
const links = () => [...document.querySelectorAll("[data-video-link]")];

/** An earlier checkpoint's video plays in the large frame; without script its link opens it. */
export function setUpVideos() {
  // A newer one takes the place of what plays, not of what somebody has chosen or stopped.
  keep("[data-agent-video], [data-video-caption], [data-video-gone]", () => chosen || isStopped(find()));
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-video-link]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const video = find();
    chosen = link !== links()[0];
    video.src = link.href;
    document.querySelector("[data-video-caption]").textContent = link.dataset.caption;
    mark();
    if (!calm.matches) play(video);
  });
  document.addEventListener("htmx:afterSwap", refresh);
  refresh();
}

/** Stop it with the live updates, and let it go on with them. */
export function restVideo(rest) {
  const video = find();
  if (!video) return;
  if (rest && !video.paused) {
    resting = true;
    video.pause();
  } else if (!rest && resting) {
    resting = false;
    play(video);
  }
}

function refresh() {
  mark();
  const video = find();
  const still = document.documentElement.hasAttribute("data-times-paused");
  if (video?.paused && !calm.matches && !still && !video.dataset.started) {
    video.dataset.started = "yes";
    play(video);
  }
}

/** The strip says which one is shown. */
function mark() {
  const shown = find()?.src;
  for (const link of links()) {
    if (link.href === shown) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

function isStopped(video) {
  return Boolean(video?.paused && video.currentTime > 0 && !video.error);
}

function play(video) {
  // Browsers may refuse to play on their own; the controls are there for that.
  video.play().catch(() => {});
}
