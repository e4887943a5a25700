// Light, dark, or what the system says. Runs before the first paint; the choice is kept.
(() => {
  const KEY = "clipwise.theme";

  function stored() {
    try {
      return localStorage.getItem(KEY) ?? "system";
    } catch {
      return "system"; // storage is blocked: follow the system
    }
  }

  function apply(choice) {
    if (choice === "light" || choice === "dark") {
      document.documentElement.dataset.theme = choice;
    } else {
      delete document.documentElement.dataset.theme;
    }
    document.dispatchEvent(new CustomEvent("clipwise:theme", { detail: choice }));
  }

  apply(stored());
  document.addEventListener("DOMContentLoaded", () => {
    for (const select of document.querySelectorAll("[data-theme-choice]")) {
      select.value = stored();
      select.addEventListener("change", () => {
        try {
          localStorage.setItem(KEY, select.value);
        } catch {
          // storage is blocked: the choice lasts as long as the page
        }
        apply(select.value);
      });
    }
  });
})();
