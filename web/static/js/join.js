// Takes an invitation's key from behind the address's #, which no server and no log ever sees.

const field = document.querySelector("[name=invitation]");
const key = location.hash.slice(1);

if (key) {
  field.value = key;
  history.replaceState(null, "", location.pathname); // out of sight, and out of the history
}
if (field.value) document.querySelector("[data-invitation]").hidden = true;
document.querySelector(field.value ? "[name=name]" : "[name=invitation]").focus();
