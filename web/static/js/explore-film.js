/**
 * Videos of one trajectory in step, frame by frame.
 *
 * Frame t shows what was there before action t, at an exactly constant rate, so a frame's time tells
 * its number. To go to a frame is to go to its middle: its edges belong to either neighbour.
 */

export class Film extends EventTarget {
  // Events: "step", another frame is on the screen; "playing", it began or stopped to play.
  constructor(videos) {
    super();
    this.videos = videos;
    this.step = 0;
    this.steps = 1;
    this.fps = 15;
    this.playing = false;
    for (const video of videos) {
      video.addEventListener("loadeddata", () => this.#show(video));
      video.addEventListener("ended", () => this.pause());
    }
  }

  /** How long it is, once that is known. */
  measure({ steps, fps }) {
    this.steps = steps;
    this.fps = fps;
    this.go(this.step);
  }

  get #leader() {
    return this.videos.find((video) => video.readyState >= HTMLMediaElement.HAVE_METADATA);
  }

  /** Show a step's frame, and stay there. */
  go(step) {
    this.pause();
    this.#note(Math.max(0, Math.min(Math.round(step), this.steps - 1)));
    for (const video of this.videos) this.#show(video);
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    const leader = this.#leader;
    if (!leader || this.playing) return;
    if (this.step >= this.steps - 1) this.go(0);
    this.playing = true;
    this.dispatchEvent(new Event("playing"));
    for (const video of this.videos) {
      if (video.readyState) video.play().catch(() => {}); // interrupted by a pause
    }
    this.#follow(leader);
  }

  /** Stop on the frame that is on the screen, in all videos. */
  pause() {
    if (!this.playing) return;
    this.playing = false;
    for (const video of this.videos) {
      video.pause();
      this.#show(video);
    }
    this.dispatchEvent(new Event("playing"));
  }

  #show(video) {
    if (video.readyState < HTMLMediaElement.HAVE_METADATA || this.playing) return;
    video.currentTime = (this.step + 0.5) / this.fps;
  }

  /** While it plays, the frame that was just painted says which step it is. */
  #follow(video) {
    video.requestVideoFrameCallback((_, { mediaTime }) => {
      if (!this.playing) return;
      const step = Math.round(mediaTime * this.fps);
      if (step >= this.steps - 1) {
        this.go(this.steps - 1);
        return;
      }
      this.#note(step);
      this.#follow(video);
    });
  }

  #note(step) {
    if (step === this.step) return;
    this.step = step;
    this.dispatchEvent(new Event("step"));
  }
}
