/** Plays the two clips of a query together, from the start. */

const button = document.querySelector("[data-play-both]");
const clips = [...document.querySelectorAll("[data-clip]")];

if (button && clips.length === 2) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const playing = clips.some((clip) => !clip.paused);
    for (const clip of clips) {
      if (playing) {
        clip.pause();
      } else {
        clip.currentTime = 0;
        clip.play();
      }
    }
    button.textContent = playing ? "Play both" : "Pause both";
  });
}
