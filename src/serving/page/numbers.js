// The moving numbers: one tile per metric, grouped by desk, fed by the metric stream.

import { get, post } from "./api.js";
import { byId, el } from "./dom.js";
import { title } from "./format.js";
import { follow } from "./stream.js";
import { Tile } from "./tile.js";

const GRACE = 1500;
const MOST_QUESTIONS = 100;

export class Numbers {
  constructor({ open, onMove }) {
    this.open = open;
    this.onMove = onMove;
    this.tiles = new Map();
    this.waiting = new Map();
    this.streams = [];
    this.scheduled = false;
  }

  async start() {
    const { metrics } = await get("v1/metrics");
    const shown = newest(metrics.filter((metric) => metric.status !== "deprecated"));
    this.draw(shown);
    const select = byId("window");
    const windows = [...new Set(shown.flatMap((metric) => metric.windows.map(({ name }) => name)))];
    select.append(...windows.sort(byLength).map((name) => el("option", { value: name }, name)));
    select.addEventListener("change", () => this.follow(select.value));
    this.follow("");
    setInterval(() => this.tick(), 1000);
  }

  draw(metrics) {
    const desks = new Map();
    for (const metric of metrics) {
      const desk = metric.tags?.[0] ?? metric.owner ?? "metrics";
      const tile = new Tile(metric, this.open);
      this.tiles.set(metric.name, tile);
      desks.set(desk, [...(desks.get(desk) ?? []), tile]);
    }
    byId("tiles").replaceChildren(
      ...[...desks.entries()].sort(([a], [b]) => a.localeCompare(b)).map(([desk, tiles]) =>
        el(
          "section",
          { class: "desk", "aria-label": title(desk) },
          el("h3", {}, title(desk)),
          el("div", { class: "grid" }, ...tiles.map((tile) => tile.element)),
        ),
      ),
    );
    byId("tiles").setAttribute("aria-busy", "false");
    if (!metrics.length) byId("tiles").replaceChildren(el("p", { class: "empty" }, "No metric is declared yet."));
  }

  /** Follow all metrics in a window; those that do not declare it, in their own. */
  follow(window) {
    for (const stream of this.streams) stream.stop();
    this.waiting.clear();
    const all = [...this.tiles.values()];
    for (const tile of all) tile.reset();
    const has = (tile) => window !== "" && tile.metric.windows.some(({ name }) => name === window);
    const parts = [
      [all.filter(has), window],
      [all.filter((tile) => !has(tile)), ""],
    ];
    this.streams = parts
      .filter(([tiles]) => tiles.length)
      .map(([tiles, name]) =>
        follow(
          "v1/stream/metrics",
          { metric: tiles.map((tile) => tile.metric.name).join(","), window: name },
          { onItem: (answer) => this.take(answer), onState: showState },
        ),
      );
  }

  /** Keep the newest answer of each metric and draw once a frame, however fast they come. */
  take(answer) {
    this.waiting.set(answer.metric, answer);
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      const answers = [...this.waiting.values()];
      this.waiting.clear();
      const changed = answers.filter((each) => this.tiles.get(each.metric)?.show(each));
      if (changed.length) this.onMove(changed);
    });
  }

  tick() {
    for (const tile of this.tiles.values()) tile.tick();
    this.advance();
  }

  /** A window ends as time passes, without any event: ask for those that did, all in one cut. */
  async advance() {
    if (this.advancing || document.hidden) return;
    const now = Date.now() - GRACE;
    const ended = [...this.tiles.values()].filter((tile) => tile.answer?.window?.end && Date.parse(tile.answer.window.end) < now);
    if (!ended.length) return;
    this.advancing = true;
    try {
      const items = ended.slice(0, MOST_QUESTIONS).map(({ metric, answer }) => ({ metric: metric.name, window: answer.window.name }));
      const { answers } = await post("v1/batch", { items });
      const current = new Map(ended.map((tile) => [tile.metric.name, tile.answer?.window?.name]));
      for (const answer of answers) {
        if (answer.metric && current.get(answer.metric) === answer.window.name) this.take(answer);
      }
    } catch {
      // The stream says when the platform is gone; the next second tries again.
    } finally {
      setTimeout(() => (this.advancing = false), 4000);
    }
  }
}

function newest(metrics) {
  const byName = new Map();
  for (const metric of metrics) {
    const other = byName.get(metric.name);
    if (!other || rank(metric) > rank(other)) byName.set(metric.name, metric);
  }
  return [...byName.values()].sort((a, b) => a.name.localeCompare(b.name));
}

function rank({ status, version }) {
  return (status === "approved" ? 1e6 : 0) + version;
}

function showState(state, problem) {
  const words = { live: "live", lost: "connection lost, coming back", refused: problem?.message };
  byId("stream-state").replaceChildren(
    el("span", { class: "dot", "data-status": state === "live" ? "ok" : "lost" }),
    words[state] ?? state,
  );
}

const UNITS = { s: 1, m: 60, h: 3600, d: 86400 };
function byLength(a, b) {
  const seconds = (name) => (name === "all" ? Infinity : name === "today" ? 86399 : parseInt(name, 10) * (UNITS[name.at(-1)] ?? 1));
  return seconds(a) - seconds(b);
}
