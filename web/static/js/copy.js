/** Buttons that copy a command: `<button data-copy="id of the text" hidden>`. */

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue; // stays hidden; the text can still be selected
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy).textContent;
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}
