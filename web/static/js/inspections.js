/** Asks the learner about a trajectory, and waits until it has found out. */

const FIRST_WAIT = 120; // milliseconds
const LONGEST_WAIT = 1000;
const LONELY = 15_000; // nobody has taken it by then

/** It cannot be found out; the message says why. */
export class Refused extends Error {}

/**
 * Where what was found can be fetched.
 *
 * @param address of the run's inspections
 * @param wanted { aspect, trajectory or checkpoint, version, method, step, again }
 * @param options { signal, onLonely: called once when no learner seems to be there }
 */
export async function findOut(address, wanted, { signal, onLonely = () => {} } = {}) {
  const begun = performance.now();
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  let found = await send(address, { method: "POST", headers, body: JSON.stringify(wanted), signal });
  let wait = FIRST_WAIT;
  let told = false;
  while (found.state === "waiting" || found.state === "working") {
    if (!told && found.state === "waiting" && performance.now() - begun > LONELY) {
      told = true;
      onLonely();
    }
    await pause(wait, signal);
    wait = Math.min(wait * 1.3, LONGEST_WAIT);
    found = await send(`/api/v1/inspections/${found.id}`, { headers, signal });
  }
  if (found.state === "refused") throw new Refused(found.reason);
  return found.content;
}

/** The same, fetched and read as JSON; what is gone from the store is asked for once more. */
export async function findOutValues(address, wanted, options = {}) {
  const read = async () => {
    const content = await findOut(address, wanted, options);
    return fetch(content, { headers: { Accept: "application/json" }, signal: options.signal });
  };
  let reply = await read();
  if (reply.status === 404) reply = await read();
  if (!reply.ok) throw new Refused(`The result cannot be read (${reply.status}).`);
  return reply.json();
}

async function send(address, options) {
  let reply;
  try {
    reply = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server cannot be reached. Load the page again when it is back.");
  }
  const said = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Refused(said.message ?? `The server answered ${reply.status}.`);
  return said;
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("no longer wanted", "AbortError"));
    });
  });
}
