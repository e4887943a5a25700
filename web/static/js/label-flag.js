// A flag with a comment on the pair on show; it goes with the answer.

export class Flag {
  constructor() {
    this.dialog = document.querySelector("[data-flag]");
    this.comment = this.dialog.querySelector("[data-comment]");
    this.button = document.querySelector('[data-action="flag"]');
    this.set(false, "");
    this.dialog.addEventListener("close", () => {
      if (this.dialog.returnValue === "yes") this.set(true, this.comment.value.trim());
      else if (this.dialog.returnValue === "no") this.set(false, "");
    });
  }

  set(flagged, comment) {
    this.value = { flagged, comment };
    this.comment.value = comment;
    this.button.setAttribute("aria-pressed", String(flagged));
  }

  open() {
    this.comment.value = this.value.comment;
    this.dialog.returnValue = ""; // Esc leaves it as it is
    this.dialog.showModal();
    this.comment.focus();
  }
}
