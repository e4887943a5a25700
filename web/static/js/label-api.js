// Calls of the JSON API. Offline: no answer came, try again. Refusal: the server said no, and why.

import { logInAgain } from "./label-login.js";

export class Offline extends Error {}

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  // 401, 408 and 429 pass; any other refusal would be the same the next time.
  get passes() {
    return [401, 408, 429].includes(this.status);
  }
}

const PATIENCE_MS = 10_000;

function send(path, method, body) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return fetch(`/api/v1${path}`, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
}

export const post = (path, body) => call(path, "POST", body ?? {});

export const get = (path) => call(path, "GET");

// A login that has ended is asked for again, on top of the page; then the call goes on.
async function call(path, method, body) {
  let response;
  try {
    response = await send(path, method, body);
    if (response.status === 401) {
      await logInAgain();
      response = await send(path, method, body);
    }
  } catch (error) {
    throw new Offline(error.message);
  }
  if (response.status >= 500) throw new Offline(`the server answered ${response.status}`);
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(response.status, content.message ?? response.statusText);
  return content;
}

// Not crypto.randomUUID: that is missing outside secure contexts.
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
