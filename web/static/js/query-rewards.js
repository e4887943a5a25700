/** What the newest version of the reward model expects of a pair, member by member. */

import { findOutValues, Refused } from "./inspections.js";

const table = document.querySelector("[data-query-rewards]");

/** Each member's sum of unnormalised rewards over one of the two segments. */
async function returns(side) {
  const [trajectory, start, length] = table.dataset[side].split(" ").map(Number);
  const wanted = { aspect: "rewards", trajectory, version: Number(table.dataset.version) };
  const { raw } = await findOutValues(table.dataset.queryRewards, wanted, { onLonely: lonely });
  return raw.map((member) => member.slice(start, start + length).reduce((sum, value) => sum + (value ?? 0), 0));
}

function lonely() {
  say("No learner has taken this up. Is `clipwise work` running?");
}

function say(text) {
  document.querySelector("[data-rewards-status]").textContent = text;
}

/** Bradley and Terry: the probability that a is better. */
function preferred(a, b) {
  return 0.5 + 0.5 * Math.tanh((a - b) / 2);
}

function show(chances) {
  const mean = table.querySelector("[data-mean]");
  chances.forEach((chance, index) => {
    const row = mean.parentElement.rows[index] === mean ? added(mean, index) : mean.parentElement.rows[index];
    row.querySelector("[data-now]").textContent = percent(chance);
  });
  mean.querySelector("[data-now]").textContent = percent(chances.reduce((a, b) => a + b, 0) / chances.length);
}

/** A row for a member whose prediction was not kept when the pair was asked. */
function added(mean, index) {
  const row = mean.cloneNode(true);
  row.removeAttribute("data-mean");
  row.cells[0].textContent = `member ${index + 1}`;
  row.cells[1].textContent = "–";
  mean.before(row);
  return row;
}

function percent(chance) {
  return `${Math.round(100 * chance)} %`;
}

async function begin() {
  try {
    const [a, b] = await Promise.all(["a", "b"].map(returns));
    show(a.map((one, member) => preferred(one, b[member])));
    say("");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    for (const cell of table.querySelectorAll("[data-now]")) cell.textContent = "–";
    say(error.message);
  }
}

if (table) begin();
