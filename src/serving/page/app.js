// Starts the parts of the page and lets them know of each other.

import { DeadLetters } from "./deadletters.js";
import { openDetail } from "./detail.js";
import { byId, el } from "./dom.js";
import { Graph } from "./graph.js";
import { showHealth } from "./health.js";
import { Keys } from "./keys.js";
import { Numbers } from "./numbers.js";
import { SendBox } from "./send.js";

const HEALTH_EVERY = 15_000;

const graph = new Graph();
const letters = new DeadLetters();
const numbers = new Numbers({ open: openDetail, onMove: (answers) => graph.pulse(answers) });
const send = new SendBox({ onSent: () => letters.refresh({ quietly: true }) });

async function start(part, place) {
  try {
    await part.start();
  } catch (problem) {
    byId(place).replaceChildren(el("p", { class: "note bad" }, `${problem.message}. ${problem.hint ?? ""}`));
  }
}

byId("detail").addEventListener("click", (event) => event.target === byId("detail") && byId("detail").close());
await Promise.all([
  start(numbers, "tiles"),
  start(send, "send-fields"),
  start(graph, "graph-drawing"),
  start(letters, "deadletter-list"),
  showHealth(),
]);
await start(new Keys(), "keys-note");
setInterval(() => {
  if (document.hidden) return;
  showHealth();
  letters.refresh({ quietly: true });
}, HEALTH_EVERY);
