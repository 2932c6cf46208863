// The health strip: the platform as a whole, and each part that is not well.

import { call } from "./api.js";
import { byId, el } from "./dom.js";
import { counted } from "./format.js";

export async function showHealth() {
  let health;
  try {
    // A failing platform answers 503 with the same body.
    health = await (await call("GET", "v1/health")).json();
  } catch {
    health = { status: "failing", components: {}, gone: true };
  }
  const parts = Object.entries(health.components ?? {});
  const ill = parts.filter(([, part]) => part.status !== "ok");
  const rows = Object.values(health.lake ?? {}).reduce((sum, table) => sum + (table.rows ?? 0), 0);
  const words = health.gone ? "no connection" : health.status === "ok" ? "all well" : health.status;
  byId("health").replaceChildren(
    part(health.status, words),
    ...ill.map(([name, { status, detail, fix }]) => part(status, `${name}: ${detail ?? status}`, fix)),
    ...(!health.lake ? [] : [part(null, `${counted(rows, "row")} in the lake`), part(null, lag(health.lag))]),
  );
}

function part(status, words, fix) {
  return el("span", { class: "part", title: fix }, status ? el("span", { class: "dot", "data-status": status }) : null, words);
}

function lag({ events = 0 } = {}) {
  return events === 0 ? "nothing waiting" : `${counted(events, "event")} waiting`;
}
