/**
 * What somebody is doing on a page that refreshes itself stays: what they have typed or chosen, and
 * what they have opened. A form that was sent takes what the server makes of it.
 */

const kept = []; // elements that stay wholly as they are while their test says so

/** Leave elements that match alone for as long as `test(element)` holds. */
export function keep(selector, test) {
  kept.push([selector, test]);
}

export function keepInput() {
  const { callbacks } = Idiomorph.defaults;
  callbacks.beforeNodeMorphed = (node) => !isKept(node);
  callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node instanceof HTMLDetailsElement);
  keep("input, select, textarea", isTouched);
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const sent = detail.requestConfig?.elt;
    if (detail.shouldSwap && sent instanceof HTMLFormElement) sent.reset();
  });
}

function isKept(node) {
  if (!(node instanceof Element)) return false;
  return kept.some(([selector, test]) => node.matches(selector) && test(node));
}

function isTouched(field) {
  if (field instanceof HTMLSelectElement) return [...field.options].some((one) => one.selected !== one.defaultSelected);
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  return field.value !== field.defaultValue;
}
