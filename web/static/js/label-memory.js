// What this browser remembers. Storage may be blocked or full: then it lasts as long as the page.

const kept = new Map();

export function recall(name, otherwise) {
  try {
    const text = localStorage.getItem(`clipwise.${name}`);
    if (text !== null) return JSON.parse(text);
  } catch {
    // blocked, or not ours: use what the page itself remembers
  }
  return kept.has(name) ? kept.get(name) : otherwise;
}

export function remember(name, value) {
  kept.set(name, value);
  try {
    localStorage.setItem(`clipwise.${name}`, JSON.stringify(value));
  } catch {
    // blocked or full
  }
}
