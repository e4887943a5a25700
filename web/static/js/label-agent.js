// The pair as the agent sees it, beside the clips and in step with them; made when asked for.

import { post } from "./label-api.js";

const ASK_AGAIN_MS = 400;
const APART_SECONDS = 0.1;

export class AgentView {
  constructor(onShow, say) {
    this.onShow = onShow; // gives the pair on show, or null
    this.say = say;
    this.on = false;
    this.videos = []; // [of the agent, of the clip]
    this.button = document.querySelector('[data-action="agent"]');
    const paint = () => {
      for (const [agent, clip] of this.videos) keepInStep(agent, clip);
      requestAnimationFrame(paint);
    };
    requestAnimationFrame(paint);
  }

  toggle() {
    this.on = !this.on;
    this.follow();
  }

  // Called whenever another pair comes on show.
  async follow() {
    this.button.setAttribute("aria-pressed", String(this.on));
    this.#clear();
    const pair = this.onShow();
    if (!this.on || !pair) return;
    const { id } = pair.assignment;
    const wanted = () => this.on && this.onShow() === pair && pair.assignment?.id === id;
    try {
      let view = await post(`/assignments/${id}/agent-view`);
      while (view.state === "making" && wanted()) {
        await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
        view = await post(`/assignments/${id}/agent-view`);
      }
      if (!wanted()) return;
      this.#clear();
      if (view.state === "ready") this.#show(pair, view);
      else this.say("This agent sees numbers, not pictures.");
    } catch {
      this.say("The agent's view can't be had just now.");
    }
  }

  #show(pair, view) {
    for (const clip of pair.videos) {
      const frame = clip.closest("[data-frame]");
      const video = document.createElement("video");
      video.muted = true;
      video.playsInline = true;
      video.tabIndex = -1;
      video.dataset.agent = "";
      video.setAttribute("aria-label", `${frame.dataset.frame} clip as the agent sees it`);
      video.src = view[frame.dataset.frame];
      frame.classList.add("has-agent");
      clip.after(video);
      this.videos.push([video, clip]);
    }
  }

  #clear() {
    for (const [video] of this.videos) {
      video.closest("[data-frame]").classList.remove("has-agent");
      video.removeAttribute("src");
      video.remove();
    }
    this.videos = [];
  }
}

function keepInStep(agent, clip) {
  if (agent.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
  agent.playbackRate = clip.playbackRate;
  const time = Math.min(clip.currentTime, Math.max(0, agent.duration - 0.03));
  if (!agent.seeking && Math.abs(agent.currentTime - time) > APART_SECONDS) agent.currentTime = time;
  if (clip.paused && !agent.paused) agent.pause();
  else if (!clip.paused && agent.paused && !agent.ended) agent.play().catch(() => {});
}
