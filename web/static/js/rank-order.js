/**
 * An order with ties: a list of places, each a list of clips; the best place first.
 *
 * Every function returns new places and leaves those it was given alone.
 */

const without = (places, clip) =>
  places.map((tied) => tied.filter((one) => one !== clip)).filter((tied) => tied.length > 0);

export const placeOf = (places, clip) => places.findIndex((tied) => tied.includes(clip));

// Out of a tie to a place of its own beside it; else past the whole neighbouring place.
export function move(places, clip, direction) {
  const at = placeOf(places, clip);
  const alone = places[at].length === 1;
  const rest = without(places, clip);
  const target = alone ? at + direction : at + (direction > 0 ? 1 : 0);
  if (target < 0 || target > rest.length) return places;
  return [...rest.slice(0, target), [clip], ...rest.slice(target)];
}

export function moveToEnd(places, clip, direction) {
  const rest = without(places, clip);
  return direction < 0 ? [[clip], ...rest] : [...rest, [clip]];
}

// Joins the place before it, or leaves the tie that it is in.
export function toggleTie(places, clip) {
  const at = placeOf(places, clip);
  if (places[at].length > 1) return move(places, clip, 1);
  if (at === 0) return places;
  const rest = without(places, clip);
  return rest.map((tied, place) => (place === at - 1 ? [...tied, clip] : tied));
}

// Before or after another clip; between two that are tied it is tied with them.
export function drop(places, clip, other, after) {
  if (clip === other) return places;
  const rest = without(places, clip);
  const at = placeOf(rest, other);
  const tied = rest[at];
  const index = tied.indexOf(other) + (after ? 1 : 0);
  if (index > 0 && index < tied.length) {
    const joined = [...tied.slice(0, index), clip, ...tied.slice(index)];
    return rest.map((one, place) => (place === at ? joined : one));
  }
  const target = index === 0 ? at : at + 1;
  return [...rest.slice(0, target), [clip], ...rest.slice(target)];
}

export const leaveOut = without;

export const takeIn = (places, clip) => [...places, [clip]];
