/** The contact sheets: clips that play under the pointer, and the question to the learner. */

import { findOut, Refused } from "./inspections.js";

const page = document.querySelector("[data-segments]");
const address = page.dataset.segments;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const choice = page.querySelector("[data-version-choice]");
choice?.addEventListener("change", () => choice.form.requestSubmit());
if (choice) page.querySelector("[data-version-go]").hidden = true;

const look = page.querySelector("[data-look]");
look?.addEventListener("click", async () => {
  const status = page.querySelector("[data-status]");
  look.disabled = true;
  status.textContent = "The learner is playing the segments again; a minute at most.";
  const onLonely = () => (status.textContent = "No learner has taken this up. Is `clipwise work` running?");
  try {
    await findOut(address, { aspect: "segments", version: Number(page.dataset.version), again: true }, { onLonely });
    location.reload();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    status.textContent = error.message;
    look.disabled = false;
  }
});

/** A clip is fetched when it comes into sight; one that is not made yet is cut from its film. */
async function load(link) {
  const video = link.querySelector("video");
  const missing = link.querySelector("[data-missing]");
  const { clip, film, start = 0 } = link.dataset;
  try {
    video.src = clip ?? (await findOut(address, { aspect: "film", trajectory: Number(film) }));
    missing.textContent = "";
    video.addEventListener("error", () => (missing.textContent = "This clip is gone."));
    video.addEventListener("loadedmetadata", () => (video.currentTime = Number(start) + 0.01), { once: true });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    missing.textContent = error.message;
  }
}

function play(link) {
  const video = link.querySelector("video");
  if (!video?.src || calm.matches) return;
  video.play().catch(() => {}); // left again before it began
}

function rest(link) {
  const video = link.querySelector("video");
  video?.pause();
  if (video?.src) video.currentTime = Number(link.dataset.start ?? 0) + 0.01;
}

const sight = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    sight.unobserve(target);
    load(target);
  }
}, { rootMargin: "200px" });

for (const link of page.querySelectorAll(".sheet-clip")) {
  sight.observe(link);
  for (const name of ["pointerenter", "focus"]) link.addEventListener(name, () => play(link));
  for (const name of ["pointerleave", "blur"]) link.addEventListener(name, () => rest(link));
  const video = link.querySelector("video");
  video.addEventListener("ended", () => link.matches(":hover, :focus") && play(link));
  video.addEventListener("timeupdate", () => {
    if (link.dataset.end && video.currentTime >= Number(link.dataset.end)) video.currentTime = Number(link.dataset.start);
  });
}
