// A login that ends in mid-answer: one logs in again on top of the pair, and everything goes on.

let asked = null;

// Resolves when somebody has logged in again; however many requests wait, it asks once.
export function logInAgain() {
  asked ??= askForLogin().finally(() => {
    asked = null;
  });
  return asked;
}

async function askForLogin() {
  const page = await fetch("/login", { headers: { "HX-Request": "true" } });
  if (!page.ok) throw new Error(`the server answered ${page.status}`);
  const dialog = makeDialog(await page.text());
  document.body.append(dialog);
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // Esc would lose nothing, and help nobody
  dialog.showModal();
  dialog.querySelector("[name=password]").focus();
  await new Promise((resolve) => {
    dialog.querySelector("form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const refused = await send(event.target);
      if (refused === null) resolve();
      else dialog.querySelector("[data-login-message]").textContent = refused;
    });
  });
  dialog.close();
  dialog.remove();
}

function makeDialog(form) {
  const dialog = document.createElement("dialog");
  dialog.className = "login-dialog";
  dialog.setAttribute("aria-labelledby", "login-title");
  const frame = document.createElement("article");
  const title = document.createElement("h2");
  title.id = "login-title";
  title.textContent = "Log in again";
  const why = document.createElement("p");
  why.className = "quiet";
  why.textContent = "Your login has ended. Your answers are kept here and sent afterwards.";
  frame.append(title, why, ...new DOMParser().parseFromString(form, "text/html").body.children);
  dialog.append(frame);
  const name = dialog.querySelector("[name=name]");
  name.value = document.body.dataset.account ?? "";
  name.readOnly = name.value !== ""; // the pairs on the page are this person's
  return dialog;
}

// What to tell the person, or null when it worked.
async function send(form) {
  try {
    const response = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(new FormData(form)),
    });
    if (response.ok) return null;
    const content = await response.json().catch(() => ({}));
    return content.message ?? `The server answered ${response.status}.`;
  } catch {
    return "The server can't be reached. Try again soon.";
  }
}
