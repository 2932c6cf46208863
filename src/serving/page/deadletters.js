// What was rejected, why, and the way back in: fix and replay.

import { get, post } from "./api.js";
import { difference, parse } from "./difference.js";
import { byId, el } from "./dom.js";
import { title, when } from "./format.js";

const PAGE = 20;
const MASK = "***";

export class DeadLetters {
  constructor() {
    this.reason = null;
    this.cursor = null;
  }

  async start() {
    byId("deadletter-refresh").addEventListener("click", () => this.refresh());
    byId("deadletter-more").addEventListener("click", () => this.page(this.cursor));
    await this.refresh();
  }

  /** Read the first page again, unless a person is editing it. */
  async refresh({ quietly = false } = {}) {
    if (quietly && byId("deadletter-list").querySelector("details[open]")) return;
    await this.page(null);
  }

  async page(cursor) {
    try {
      const found = await get("v1/deadletter", { reason: this.reason, limit: PAGE, cursor });
      this.cursor = found.next_cursor;
      this.chips(found.open ?? {});
      const letters = found.dead_letters.map((letter) => this.letter(letter));
      const list = byId("deadletter-list");
      if (cursor) list.append(...letters);
      else list.replaceChildren(...(letters.length ? letters : [el("p", { class: "empty" }, "Nothing was rejected.")]));
      byId("deadletter-more").hidden = !this.cursor;
    } catch (problem) {
      this.say(`${problem.message}. ${problem.hint ?? ""}`);
    }
  }

  chips(counts) {
    const total = Object.values(counts).reduce((a, b) => a + b, 0);
    const badge = byId("deadletter-count");
    badge.hidden = total === 0;
    badge.textContent = total;
    const chip = (reason, words) =>
      el("button", { type: "button", "aria-pressed": String(this.reason === reason), onclick: () => this.choose(reason) }, words);
    const chips = Object.entries(counts).sort(([, a], [, b]) => b - a).map(([reason, count]) => chip(reason, `${title(reason)} ${count}`));
    byId("deadletter-reasons").replaceChildren(...(chips.length ? [chip(null, "all"), ...chips] : []));
  }

  choose(reason) {
    this.reason = reason;
    return this.page(null);
  }

  letter(letter) {
    const first = letter.errors?.[0];
    const element = el(
      "details",
      { class: "letter", "data-offset": letter.offset, "data-status": letter.status },
      el(
        "summary",
        {},
        el("span", { class: "mono" }, `#${letter.offset}`),
        el("strong", {}, title(letter.reason)),
        el("span", {}, letter.type ?? "unknown type"),
        el("span", { class: "quiet" }, first ? `${first.pointer ?? ""} ${first.message}` : ""),
        el("span", { class: "quiet" }, letter.status === "open" ? when(letter.received_at) : letter.status),
      ),
    );
    element.addEventListener("toggle", () => element.open && element.children.length < 2 && element.append(this.inside(letter)));
    return element;
  }

  inside(letter) {
    const text = el("textarea", { spellcheck: "false", "aria-label": `Event of dead letter ${letter.offset}` });
    text.value = pretty(letter);
    const first = letter.conflicts_with;
    const hidden = letter.raw === null && letter.masked;
    if (hidden) text.placeholder = "What arrived may hold personal data and cannot be masked in part.";
    const reveal = el("button", { type: "button", onclick: () => this.reveal(letter, text, result, reveal) }, "Show all that arrived");
    const errors = (letter.errors ?? []).map((error) =>
      el("tr", {}, el("td", { class: "mono" }, error.pointer ?? ""), el("td", {}, error.message, error.hint ? el("div", { class: "quiet" }, error.hint) : null)),
    );
    const result = el("p", { class: "wrong", role: "status" });
    const run = (verb, body) => this.run(letter, verb, body, result);
    return el(
      "div",
      { class: "inside" },
      el(
        "div",
        {},
        el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Where"), el("th", { scope: "col" }, "What is wrong"))), el("tbody", {}, errors)),
        el("p", { class: "quiet" }, `Received ${when(letter.received_at)}, id ${letter.event_id ?? "unknown"}`),
        first ? [el("h3", {}, "Accepted first, with the same id"), el("pre", { class: "first", tabindex: "0" }, JSON.stringify(first, null, 2))] : null,
      ),
      el(
        "div",
        {},
        first ? el("h3", {}, "Refused") : null,
        text,
        el(
          "div",
          { class: "actions" },
          el("button", { type: "button", class: "primary", onclick: () => run("fix", () => correction(letter, text.value)) }, "Fix and replay"),
          el("button", { type: "button", onclick: () => run("replay", () => "{}") }, "Replay as it is"),
          el("button", { type: "button", onclick: () => run("discard", () => "{}") }, "Discard"),
          letter.masked ? reveal : null,
        ),
        result,
      ),
    );
  }

  async reveal(letter, text, result, button) {
    try {
      const whole = await get(`v1/deadletter/${letter.offset}`, { reveal: true });
      letter.raw = whole.raw ?? null;
      text.value = letter.raw === null ? (whole.raw_base64 ?? "") : pretty(letter);
      button.remove();
    } catch (problem) {
      result.textContent = problem.message;
    }
  }

  async run(letter, verb, body, result) {
    result.textContent = "";
    try {
      const answer = await post(`v1/deadletter/${letter.offset}/${verb}`, body());
      const outcome = answer.events?.[0] ?? answer;
      const errors = outcome.errors ?? [];
      if (outcome.status === "rejected" && errors.length) {
        result.textContent = errors.map(({ pointer, message }) => `${pointer ?? ""} ${message}`).join("; ");
        return;
      }
      this.say(verb === "discard" ? `Dead letter ${letter.offset} is discarded.` : `Dead letter ${letter.offset} was accepted.`);
      await this.page(null);
    } catch (problem) {
      const errors = (problem.errors ?? []).map(({ pointer, message }) => `${pointer ?? ""} ${message}`);
      result.textContent = [problem.message, ...errors].join("; ");
    }
  }

  say(words) {
    byId("deadletter-note").textContent = words;
  }
}

/** Return the body of a fix: what was changed, or the whole event when it was no JSON before. */
function correction(letter, text) {
  const { raw } = letter;
  const after = parse(text);
  let changes = null;
  try {
    changes = difference(parse(typeof raw === "string" ? raw : JSON.stringify(raw)), after);
  } catch {
    // It could not be read, so nothing in it is masked either.
  }
  if (changes === null) return JSON.stringify({ event: after });
  for (const pointer of repeated(letter)) choose(pointer, after, changes);
  if (!changes.remove.length && !Object.keys(changes.set).length) throw new Error("nothing was changed yet");
  return JSON.stringify(changes);
}

/** Return where a member was sent twice: what stands there now is the choice, also when it is the last of them. */
function repeated(letter) {
  return (letter.errors ?? []).filter(({ code }) => code === "member_repeated").map(({ pointer }) => pointer);
}

function choose(pointer, after, changes) {
  const names = pointer.split("/").slice(1).map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
  const value = names.reduce((inside, name) => inside?.[name], after);
  if (value === MASK) throw new Error(`choose a value for ${pointer}: both are masked`);
  if (value !== undefined && (typeof value !== "object" || value === null)) changes.set[pointer] = value;
}

function pretty(letter) {
  const { raw } = letter;
  if (raw === null || raw === undefined) return "";
  if (typeof raw !== "string") return JSON.stringify(raw, null, 2);
  if (repeated(letter).length) return raw; // read as JSON it would keep the last of them
  try {
    return JSON.stringify(parse(raw), null, 2);
  } catch {
    return raw;
  }
}
