/** Says in a video's place that it is gone: its file may be deleted while its row is there. */

function tell(video) {
  const note = video.nextElementSibling;
  if (!note?.matches("[data-video-gone]")) return;
  const gone = video.error !== null;
  video.hidden = gone;
  note.hidden = !gone;
}

function tellAll() {
  for (const video of document.querySelectorAll("video")) tell(video);
}

// Neither event bubbles. "emptied": another video was put into its place.
for (const kind of ["error", "emptied", "loadedmetadata"]) {
  document.addEventListener(kind, ({ target }) => target instanceof HTMLVideoElement && tell(target), true);
}
document.addEventListener("htmx:afterSwap", tellAll);

tellAll();
