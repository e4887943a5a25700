/** The runs ticked to be compared stay ticked while the list refreshes itself. */

const ticked = new Set();

function remember() {
  for (const box of document.querySelectorAll("[data-tick]")) {
    if (box.checked) ticked.add(box.value);
    else ticked.delete(box.value);
  }
  tell();
}

function restore() {
  for (const box of document.querySelectorAll("[data-tick]")) box.checked = ticked.has(box.value);
  tell();
}

function tell() {
  const count = document.querySelector("[data-ticked]");
  if (count) count.textContent = ticked.size ? ` ${ticked.size}` : "";
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-tick]")) remember();
});
document.addEventListener("htmx:afterSwap", restore);
remember(); // a browser that comes back has them ticked
