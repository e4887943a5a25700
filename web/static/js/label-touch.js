// Fingers: tap the better clip, swipe up for equal, down to skip (or can't tell).

const SWIPE = 60; // pixels
const TAP = 12;
const TAP_MS = 500;

export function listenToFingers(desk, { answer, down }) {
  let from = null;
  desk.addEventListener("pointerdown", (event) => {
    from = event.pointerType === "touch" && event.isPrimary ? event : null;
  });
  desk.addEventListener("pointercancel", () => {
    from = null;
  });
  desk.addEventListener("pointerup", (event) => {
    if (!from || !event.isPrimary) return;
    const [x, y] = [event.clientX - from.clientX, event.clientY - from.clientY];
    const quick = event.timeStamp - from.timeStamp < TAP_MS;
    from = null;
    if (Math.abs(y) > SWIPE && Math.abs(y) > 2 * Math.abs(x)) {
      if (y < 0) answer("tie");
      else down();
    } else if (quick && Math.hypot(x, y) < TAP) {
      const frame = event.target.closest("[data-frame]");
      if (frame) answer(frame.dataset.frame);
    }
  });
}
