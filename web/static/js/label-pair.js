// Two clips in step: they start, stop, loop, seek and step together. The one that ends first
// holds its last frame until the other has ended.

const USUAL_FRAME = 1 / 15; // seconds; what a clip really has is seen while it plays
const RESYNC_SECONDS = 0.12; // about two frames: below that nobody sees it
const RESYNC_PAUSE_MS = 600; // a seek costs time; on a slow machine don't seek without end

export class Pair extends EventTarget {
  // Event: "broken", a clip can't be loaded or played.
  constructor(element) {
    super();
    this.element = element;
    this.frame = USUAL_FRAME;
    this.videos = [...element.querySelectorAll("video")];
    this.assignment = null;
    this.playing = false;
    this.corrected = 0;
    this.shortest = Infinity;
    this.#watchFrames(this.videos[0]);
    for (const video of this.videos) {
      video.addEventListener("ended", () => this.#loop());
      video.addEventListener("error", () => {
        if (this.assignment) this.dispatchEvent(new Event("broken"));
      });
    }
  }

  load(assignment) {
    this.assignment = assignment;
    this.playing = false;
    this.shortest = Infinity;
    const [left, right] = this.videos;
    left.src = assignment.left;
    right.src = assignment.right;
  }

  clear() {
    this.assignment = null;
    this.playing = false;
  }

  get ready() {
    return this.videos.every((video) => video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA);
  }

  whenReady() {
    return Promise.all(
      this.videos.map(
        (video) =>
          new Promise((resolve) => {
            if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) resolve();
            else video.addEventListener("loadeddata", resolve, { once: true });
          }),
      ),
    );
  }

  get leader() {
    const [left, right] = this.videos;
    return (right.duration || 0) > (left.duration || 0) ? right : left;
  }

  get duration() {
    return this.leader.duration || 0;
  }

  get time() {
    return this.leader.currentTime;
  }

  set rate(rate) {
    for (const video of this.videos) {
      video.defaultPlaybackRate = rate; // a new source starts with this one
      video.playbackRate = rate;
    }
  }

  play() {
    this.playing = true;
    if (this.videos.every((video) => video.ended)) this.#rewind();
    for (const video of this.videos) {
      if (!video.ended) video.play().catch(() => {}); // interrupted by a new source or a pause
    }
  }

  pause() {
    this.playing = false;
    for (const video of this.videos) video.pause();
  }

  restart() {
    this.#rewind();
    this.play();
  }

  seek(seconds) {
    const time = Math.max(0, Math.min(seconds, this.duration));
    for (const video of this.videos) {
      video.currentTime = Math.min(time, Math.max(0, (video.duration || 0) - this.frame / 2));
    }
  }

  // One frame back (-1) or forward (1), round the ends, into the middle of a frame.
  step(direction) {
    this.pause();
    const frames = Math.max(1, Math.round(this.duration / this.frame));
    const now = Math.min(frames - 1, Math.floor(this.time / this.frame + 1e-3));
    this.seek((((now + direction + frames) % frames) + 0.5) * this.frame);
  }

  // Called once per painted frame while it is on show.
  keepInStep(now) {
    if (!this.playing || now - this.corrected < RESYNC_PAUSE_MS) return;
    const leader = this.leader;
    for (const video of this.videos) {
      if (video === leader || video.ended || video.seeking || leader.seeking) continue;
      const target = Math.min(leader.currentTime, video.duration - this.frame / 2);
      if (Math.abs(video.currentTime - target) > RESYNC_SECONDS) {
        video.currentTime = target;
        this.corrected = now;
      }
    }
  }

  // Tells when both clips have put a frame on the screen.
  whenShown() {
    return Promise.all(
      this.videos.map((video) => new Promise((resolve) => video.requestVideoFrameCallback(resolve))),
    );
  }

  #rewind() {
    for (const video of this.videos) video.currentTime = 0;
  }

  #loop() {
    if (!this.playing || !this.videos.every((video) => video.ended)) return;
    if (this.shortest < Infinity) this.frame = this.shortest;
    this.restart();
  }

  // The shortest time between two frames shown is a frame's length: browsers don't tell it.
  #watchFrames(video) {
    let before = Infinity;
    const see = (_, { mediaTime }) => {
      const length = mediaTime - before;
      if (length > 0.004) this.shortest = Math.min(this.shortest, length);
      before = mediaTime;
      video.requestVideoFrameCallback(see);
    };
    video.requestVideoFrameCallback(see);
  }
}
