// Everything about one number: what it means, how it splits, what moved it, and its proof from the lake.

import { get } from "./api.js";
import { byId, el } from "./dom.js";
import { counted, direction, inWords, moved, title, when } from "./format.js";
import { rowsOf } from "./tile.js";

export async function openDetail(tile) {
  const { metric } = tile;
  const dialog = byId("detail");
  const window = tile.answer?.window?.name ?? metric.windows[0]?.name;
  const part = el("div", {}, el("p", { class: "quiet" }, "asking…"));
  dialog.replaceChildren(
    el("button", { class: "plain close", type: "button", onclick: () => dialog.close() }, "Close"),
    el("h2", { id: "detail-title" }, title(metric.name)),
    el("p", { class: "quiet" }, metric.description ?? ""),
    part,
  );
  dialog.showModal();
  try {
    const answer = await get(`v1/metrics/${encodeURIComponent(metric.name)}`, { window });
    part.replaceChildren(...sections(metric, answer, window));
  } catch (problem) {
    part.replaceChildren(el("p", { class: "note bad" }, `${problem.message}. ${problem.hint ?? ""}`));
  }
}

function sections(metric, answer, window) {
  const values = rowsOf(answer).map(({ value, unit }) => inWords(value, unit)).join(" · ");
  const facts = [
    ["Value", values],
    ["Window", range(answer.window)],
    ["Status", `${answer.status}${answer.exact ? "" : `, within ${(100 * answer.error_bound).toPrecision(2)} %`}`],
    ["Events", String(answer.events)],
    ["Contract", `version ${answer.contract.version}, ${answer.contract.status}, ${metric.owner}`],
    ["Fingerprint", el("code", {}, answer.contract.fingerprint)],
    ["Moved by", metric.moved_by.join(", ")],
  ];
  const list = el("dl", { class: "facts" }, facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  return [list, ...split(metric, window), ...causes(answer), ...proof(metric, window)];
}

function range({ name, start, end }) {
  return start ? `${name}: ${when(start)} to ${when(end)}` : name;
}

function causes(answer) {
  if (!answer.causes?.length) return [];
  const rows = answer.causes.map((cause) =>
    el(
      "tr",
      {},
      el("td", {}, cause.type),
      el("td", { class: "mono", title: cause.source }, cause.event_id),
      el("td", {}, when(cause.occurred_at)),
      el("td", { class: `number ${direction(cause.moved)}` }, moved(cause.moved, cause.unit)),
    ),
  );
  return [el("h3", {}, "Last moved by"), el("table", {}, head("Event", "Id", "Occurred", "Moved"), el("tbody", {}, rows))];
}

function split(metric, window) {
  if (!metric.dimensions?.length) return [];
  const rows = el("tbody", {});
  const note = el("p", { class: "wrong", role: "status" });
  const table = el("table", { hidden: true }, head("", "Events", "Value"), rows);
  const choose = async (dimension) => {
    table.hidden = dimension === "";
    note.textContent = "";
    if (!dimension) return;
    try {
      const { groups, left_out } = await get(`v1/metrics/${encodeURIComponent(metric.name)}`, { window, by: dimension });
      rows.replaceChildren(...groups.map((group) => groupRow(group)));
      if (left_out) note.textContent = `${left_out.toLocaleString("en")} more are left out`;
    } catch (problem) {
      note.textContent = problem.message;
    }
  };
  const options = metric.dimensions.map((name) => el("option", { value: name }, title(name)));
  const select = el("select", { onchange: (event) => choose(event.target.value) }, el("option", { value: "" }, "nothing"), options);
  return [el("h3", {}, "Split"), el("label", { class: "inline" }, "by ", select), note, table];
}

function groupRow({ dimensions, events, value, unit }) {
  const name = Object.values(dimensions).map((part) => part === "" ? `""` : (part ?? "none")).join(" · ");
  return el(
    "tr",
    {},
    el("td", {}, name),
    el("td", { class: "number" }, String(events)),
    el("td", { class: "number", title: String(value) }, inWords(value, unit)),
  );
}

function proof(metric, window) {
  const result = el("div", { role: "status", "aria-live": "polite" });
  const check = async (event) => {
    event.target.disabled = true;
    result.replaceChildren(el("p", { class: "quiet" }, "reading the lake…"));
    try {
      const answer = await get(`v1/metrics/${encodeURIComponent(metric.name)}`, { window, explain: "full" });
      result.replaceChildren(...verdict(answer.recompute));
    } catch (problem) {
      result.replaceChildren(el("p", { class: "note bad" }, problem.message));
    }
    event.target.disabled = false;
  };
  const button = el("button", { type: "button", onclick: check }, "Recompute from the lake");
  return [el("h3", {}, "Proof"), button, result];
}

function verdict({ equal, rows, ms, sql }) {
  const words = equal ? "Equal to the live value" : "Different from the live value";
  const note = `${words}: ${counted(rows, "row")} of the lake, ${Math.round(ms)} ms.`;
  return [el("p", { class: equal ? "note" : "note bad" }, note), ...(sql ? [el("pre", {}, sql)] : [])];
}

function head(...names) {
  const cells = names.map((name, index) => el("th", { scope: "col", class: index && index === names.length - 1 ? "number" : null }, name));
  if (names.length === 3) cells[1].className = "number";
  return el("thead", {}, el("tr", {}, cells));
}
