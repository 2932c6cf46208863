// The graph of events, metrics and entities: entities left, events in the middle, metrics right.

import { get } from "./api.js";
import { byId, svg } from "./dom.js";
import { counted } from "./format.js";

const COLUMN = { entity: 150, event: 470, metric: 800 };
const WIDTH = 1060;
const ROW = 21;
const TOP = 34;
const HINT = "Point at an event, a metric or an entity, tap it, or walk with the arrow keys.";
const PLURAL = { event: "events", metric: "metrics", entity: "entities" };

export class Graph {
  constructor() {
    this.nodes = new Map();
    this.edges = [];
  }

  async start() {
    const { nodes, edges } = await get("v1/graph");
    const places = layout(nodes, edges);
    const height = TOP + ROW * Math.max(1, ...Object.keys(COLUMN).map((kind) => nodes.filter((node) => node.kind === kind).length));
    this.svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}` });
    for (const [kind, words] of [["entity", "ENTITIES"], ["event", "EVENTS"], ["metric", "METRICS"]]) {
      const anchor = kind === "metric" ? "start" : "end";
      this.svg.append(svg("text", { class: "title", x: COLUMN[kind], y: 12, "text-anchor": anchor }, words));
    }
    this.edges = edges.filter(({ from, to }) => places.has(from) && places.has(to)).map((edge) => this.edge(edge, places));
    for (const node of nodes) if (places.has(node.id)) this.node(node, places.get(node.id));
    byId("graph-drawing").replaceChildren(this.svg);
    byId("graph-drawing").addEventListener("keydown", (event) => this.move(event));
    const first = nodes.find(({ id }) => this.nodes.has(id));
    if (first) this.nodes.get(first.id).element.setAttribute("tabindex", 0);
  }

  /** Walk by arrow keys: up and down a column, left and right along the arrows; one stop for Tab. */
  move(event) {
    const from = event.target.dataset?.id;
    if (event.key === "Escape") return this.highlight(null);
    const to = from && { ArrowUp: () => this.beside(from, -1), ArrowDown: () => this.beside(from, 1), ArrowLeft: () => this.across(from, -1), ArrowRight: () => this.across(from, 1) }[event.key]?.();
    if (!to) return;
    event.preventDefault();
    this.nodes.get(to).element.focus();
  }

  /** The next node of the same column, in the order in which they stand. */
  beside(id, by) {
    const { x } = this.nodes.get(id);
    const column = [...this.nodes].filter(([, each]) => each.x === x).sort(([, a], [, b]) => a.y - b.y);
    return column[column.findIndex(([key]) => key === id) + by]?.[0];
  }

  /** The nearest node on that side which an arrow joins with this one. */
  across(id, side) {
    const { x, y } = this.nodes.get(id);
    const ahead = this.near(id).filter((key) => Math.sign(this.nodes.get(key).x - x) === side);
    return ahead.sort((a, b) => Math.abs(this.nodes.get(a).y - y) - Math.abs(this.nodes.get(b).y - y))[0];
  }

  /** The other ends of a node's arrows. */
  near(id) {
    const ends = this.edges.filter(({ from, to }) => from === id || to === id).map(({ from, to }) => (from === id ? to : from));
    return [...new Set(ends)].filter((key) => key !== id && this.nodes.has(key));
  }

  /** Let the metrics that just moved, and the events that moved them, glow for a moment. */
  pulse(answers) {
    const types = new Set(answers.flatMap(({ causes }) => (causes ?? []).slice(0, 1).map(({ type }) => type)));
    const metrics = new Set(answers.map(({ metric }) => metric));
    for (const { node, element } of this.nodes.values()) {
      const hit = node.kind === "metric" ? metrics.has(node.name) : node.kind === "event" && types.has(node.name);
      if (!hit) continue;
      element.classList.remove("pulse");
      requestAnimationFrame(() => element.classList.add("pulse"));
    }
  }

  edge({ from, to, kind }, places) {
    const [start, end] = [places.get(from), places.get(to)];
    const side = end.x > start.x ? 1 : -1;
    const [x1, x2] = [start.x + 9 * side, end.x - 9 * side];
    const bend = (x2 - x1) / 2;
    const path = svg("path", {
      class: "edge",
      "data-kind": kind,
      d: start.x === end.x ? loop(start, end) : `M${x1} ${start.y}C${x1 + bend} ${start.y} ${x2 - bend} ${end.y} ${x2} ${end.y}`,
    });
    this.svg.append(path);
    return { from, to, element: path };
  }

  node(node, { x, y }) {
    const right = node.kind === "metric";
    const show = () => this.highlight(node.id);
    const hide = () => this.highlight(document.activeElement?.dataset?.id ?? null);
    const take = () => this.focused(node.id);
    const element = svg(
      "g",
      {
        class: "node", "data-kind": node.kind, "data-status": node.status, "data-id": node.id, tabindex: -1, role: "img",
        "aria-label": this.label(node), onmouseenter: show, onmouseleave: hide, onfocus: take, onblur: () => this.highlight(null), onclick: () => element.focus(),
      },
      svg("circle", { cx: x, cy: y, r: 4 }),
      svg("text", { x: x + (right ? 12 : -12), y: y + 0.5, "text-anchor": right ? "start" : "end" }, node.name, version(node)),
    );
    this.svg.append(element);
    this.nodes.set(node.id, { node, element, x, y });
  }

  /** Make a node the one that Tab comes back to, in view, its arrows followed. */
  focused(id) {
    for (const [key, { element }] of this.nodes) element.setAttribute("tabindex", key === id ? 0 : -1);
    this.nodes.get(id).element.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.highlight(id);
  }

  label({ id, kind, name, version: number }) {
    const count = this.edges.filter(({ from, to }) => from === id || to === id).length;
    return `${kind} ${name} version ${number}, ${counted(count, "arrow")}`;
  }

  highlight(id) {
    this.svg.classList.toggle("following", id !== null);
    const on = new Set([id]);
    for (const { from, to, element } of this.edges) {
      const near = from === id || to === id;
      element.classList.toggle("on", near);
      if (near) on.add(from).add(to);
    }
    for (const [key, { element }] of this.nodes) element.classList.toggle("on", on.has(key));
    byId("graph-words").textContent = id === null ? HINT : this.words(id);
  }

  /** The arrows of a node in a sentence: on a phone, most of them are outside the picture. */
  words(id) {
    const { node } = this.nodes.get(id);
    const names = (kind) => this.near(id).map((key) => this.nodes.get(key).node).filter((each) => each.kind === kind).map((each) => `${each.name}${version(each)}`);
    const parts = ["event", "metric", "entity"].map((kind) => [kind, names(kind)]).filter(([, found]) => found.length);
    const list = parts.map(([kind, found]) => `${PLURAL[kind]} ${found.join(", ")}`).join("; ");
    return `${node.kind} ${node.name}${version(node)}: ${list || "nothing is joined with it"}`;
  }
}

/** Events by name; the others near the middle of what they hang on, so that few arrows cross. */
function layout(nodes, edges) {
  const places = new Map();
  const events = nodes.filter(({ kind }) => kind === "event").sort((a, b) => a.name.localeCompare(b.name));
  const height = Math.max(...Object.keys(COLUMN).map((kind) => nodes.filter((node) => node.kind === kind).length));
  const put = (column, kind) => {
    const gap = (height * ROW) / Math.max(1, column.length);
    column.forEach((node, index) => places.set(node.id, { x: COLUMN[kind], y: TOP + gap * (index + 0.5) - ROW / 4 }));
  };
  put(events, "event");
  for (const kind of ["metric", "entity"]) {
    const middle = new Map();
    const column = nodes.filter((node) => node.kind === kind);
    for (const node of column) {
      const ys = edges.filter(({ to }) => to === node.id).map(({ from }) => places.get(from)?.y).filter((y) => y !== undefined);
      middle.set(node.id, ys.length ? ys.reduce((a, b) => a + b, 0) / ys.length : 0);
    }
    put(column.sort((a, b) => middle.get(a.id) - middle.get(b.id) || a.name.localeCompare(b.name)), kind);
  }
  return places;
}

function loop(start, end) {
  const out = start.x + 60;
  return `M${start.x + 9} ${start.y}C${out} ${start.y} ${out} ${end.y} ${end.x + 9} ${end.y}`;
}

function version({ version: number }) {
  return number > 1 ? ` v${number}` : "";
}
