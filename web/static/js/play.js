// The game: keys go to the server, frames come back. The environment is freed with the connection.

const stage = document.querySelector("[data-play]");
const find = (name) => stage.querySelector(`[data-${name}]`);
const [screen, status, legend] = [find("screen"), find("status"), find("legend")];
const [start, keep, again, stop] = [find("start"), find("keep"), find("again"), find("stop")];
const picture = screen.getContext("2d");

let socket = null;
let ended = "The game has ended. Press Start for another.";
let starting = false; // until the first frame
const held = new Set();

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function choices(...shown) {
  for (const button of [start, keep, again, stop]) button.hidden = !shown.includes(button);
}

async function draw(content) {
  const frame = await createImageBitmap(content);
  if (screen.width !== frame.width) screen.width = frame.width;
  if (screen.height !== frame.height) screen.height = frame.height;
  picture.drawImage(frame, 0, 0);
  frame.close();
  if (starting) status.textContent = "Playing.";
  starting = false;
}

function hear(message) {
  if (message.legend) legend.textContent = `Keys: ${message.legend}.`;
  if (message.over) {
    const { return: total, steps } = message.over;
    status.textContent = `Over: return ${total} in ${steps} steps.`;
    choices(keep, again, stop);
    again.focus();
  }
  if (message.kept) {
    status.textContent = `Kept; ${message.kept} in this game.`;
    choices(again, stop);
    again.focus();
  }
  if (message.error) ended = message.error;
}

function begin() {
  const address = new URL(stage.dataset.play, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address);
  socket.binaryType = "blob";
  ended = "The game has ended. Press Start for another.";
  starting = true;
  status.textContent = "Starting the game; a few seconds.";
  choices(stop);
  screen.focus();
  socket.addEventListener("message", ({ data }) => {
    if (typeof data === "string") hear(JSON.parse(data));
    else draw(data);
  });
  socket.addEventListener("close", () => {
    socket = null;
    status.textContent = ended;
    choices(start);
  });
}

function press(event, down) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.key === "Tab") return;
  event.preventDefault();
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (held.has(key) === down) return;
  if (down) held.add(key);
  else held.delete(key);
  send({ keys: [...held].slice(0, 8) });
}

screen.addEventListener("keydown", (event) => press(event, true));
screen.addEventListener("keyup", (event) => press(event, false));
screen.addEventListener("blur", () => {
  held.clear(); // a key that is let go elsewhere must not stay down
  send({ keys: [] });
});
start.addEventListener("click", begin);
stop.addEventListener("click", () => socket?.close());
keep.addEventListener("click", () => send({ keep: true }));
again.addEventListener("click", () => {
  send({ again: true });
  status.textContent = "Playing.";
  choices(stop);
  screen.focus();
});
