// One metric as a tile: its values, how they went, how old they are and by which contract.

import { el, svg } from "./dom.js";
import { age, reading, title, withoutAge } from "./format.js";

const SHOWN = 3;
const POINTS = 60;
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

export class Tile {
  constructor(metric, open) {
    this.metric = metric;
    this.answer = null;
    this.history = [];
    this.values = el("div", { class: "values" }, el("div", { class: "value none" }, "–"));
    this.path = svg("path", {});
    this.dot = el("span", { class: "dot", "data-status": "unknown" });
    this.status = el("span", { class: "status" }, "waiting");
    this.window = el("span", { class: "window" });
    this.version = el("span", { class: "version", title: "contract version" }, `v${metric.version}`);
    const button = el("button", { type: "button", "aria-haspopup": "dialog", onclick: () => open(this) }, title(metric.name));
    this.element = el(
      "article",
      { class: "tile", "data-metric": metric.name },
      el("div", { class: "head" }, button, this.version),
      this.values,
      svg("svg", { class: "spark", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" }, this.path),
      el("div", { class: "foot" }, this.dot, this.status, this.window),
    );
  }

  /** Show an answer; the newest causes are in it. */
  show(answer) {
    const before = this.answer;
    this.answer = answer;
    this.receivedAt = performance.now();
    const rows = rowsOf(answer);
    this.render(rows, before ? rowsOf(before) : []);
    this.remember(rows);
    this.dot.dataset.status = answer.status;
    this.window.textContent = answer.window?.name ?? "";
    this.version.textContent = `v${answer.contract?.version ?? this.metric.version}`;
    this.tick();
    const changed = before !== null && JSON.stringify(rows) !== JSON.stringify(rowsOf(before));
    if (changed) this.flash();
    return changed;
  }

  /** Let the age grow; called once a second. */
  tick() {
    if (!this.answer) return;
    const { age_ms: ageMs, status } = this.answer;
    const known = ageMs !== null && ageMs !== undefined;
    const words = known ? age(ageMs + performance.now() - this.receivedAt) : withoutAge(this.answer);
    this.status.textContent = status === "fresh" ? words : `${status} · ${words}`;
    this.status.title = status;
  }

  /** Forget what belongs to another window. */
  reset() {
    this.answer = null;
    this.history = [];
  }

  render(rows, before) {
    // "and 1 more" would take the room that the one takes
    const shown = rows.slice(0, rows.length === SHOWN + 1 ? SHOWN + 1 : SHOWN);
    this.values.classList.toggle("several", shown.length > 1);
    this.values.replaceChildren(
      ...shown.map((row, index) => valueOf(row, before[index]?.unit === row.unit ? before[index] : null)),
      ...(rows.length > shown.length ? [el("div", { class: "rest" }, `and ${rows.length - shown.length} more`)] : []),
    );
  }

  remember(rows) {
    const value = rows[0]?.value;
    if (value === null || value === undefined) return;
    this.history = [...this.history, Number(value)].slice(-POINTS);
    const low = Math.min(...this.history);
    const span = Math.max(...this.history) - low;
    const step = 100 / Math.max(1, this.history.length - 1);
    const points = this.history.map((number, index) => {
      const height = span === 0 ? 18 : 18 - (16 * (number - low)) / span;
      return `${(index * step).toFixed(2)} ${height.toFixed(2)}`;
    });
    this.path.setAttribute("d", this.history.length < 2 ? "M0 18H100" : `M${points.join("L")}`);
  }

  flash() {
    this.element.classList.add("moved");
    // The class goes away on the next frame but one, and the border fades by its transition.
    requestAnimationFrame(() => requestAnimationFrame(() => this.element.classList.remove("moved")));
  }
}

/** The value of an answer, or one for each currency, those with the most events first. */
export function rowsOf(answer) {
  if (answer.value === null && answer.groups?.length) {
    return [...answer.groups].sort((a, b) => b.events - a.events).map(({ value, unit, dimensions }) => ({ value, unit, dimensions }));
  }
  return [{ value: answer.value, unit: answer.unit, dimensions: answer.dimensions }];
}

function valueOf(row, before) {
  const { text, unit, exact } = reading(row.value, row.unit);
  const number = el("span", { class: "digits" }, text);
  if (before && before.value !== row.value && !CALM.matches) roll(number, before, row);
  return el("div", { class: row.value === null ? "value none" : "value", title: exact }, number, el("span", { class: "unit" }, unit));
}

/** Count from the old number to the new one; the last frame shows the exact digits. */
function roll(element, before, row) {
  const [from, to] = [Number(before.value ?? 0), Number(row.value ?? 0)];
  const digits = (String(row.value).split(".")[1] ?? "").length;
  const start = performance.now();
  const end = element.textContent;
  const frame = (now) => {
    const part = Math.min(1, (now - start) / 350);
    const eased = 1 - (1 - part) ** 3;
    element.textContent = part < 1 ? reading((from + (to - from) * eased).toFixed(digits), row.unit).text : end;
    if (part < 1) requestAnimationFrame(frame);
  };
  element.textContent = reading(before.value, row.unit).text;
  requestAnimationFrame(frame);
}
