// The send box: a form made from an event contract, a dry run, and the real thing.

import { get, post } from "./api.js";
import { byId, el } from "./dom.js";
import { counted, direction, inWords, moved, title } from "./format.js";

const EVENT = { contentType: "application/cloudevents+json" };
const LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

export class SendBox {
  constructor({ onSent }) {
    this.onSent = onSent;
    this.contracts = [];
  }

  async start() {
    const { events } = await get("v1/catalog");
    this.contracts = events.filter(({ status }) => status !== "deprecated").sort((a, b) => a.name.localeCompare(b.name) || a.version - b.version);
    const select = byId("send-type");
    select.replaceChildren(...this.contracts.map((contract, index) => el("option", { value: index }, label(contract, this.contracts))));
    const first = this.contracts.findIndex(({ name }) => name.endsWith(".created"));
    select.value = String(Math.max(0, first));
    select.addEventListener("change", () => this.draw());
    byId("send-dry-run").addEventListener("click", () => this.run("v1/dry-run", (result) => this.showDryRun(result)));
    byId("send-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.run("v1/events", (result) => this.showReceipt(result));
    });
    this.draw();
  }

  get contract() {
    return this.contracts[Number(byId("send-type").value)];
  }

  draw() {
    const { contract } = this;
    byId("send-description").textContent = contract?.description ?? "";
    byId("send-result").replaceChildren();
    const fields = fieldsOf(contract).sort((a, b) => Number(b.required ?? false) - Number(a.required ?? false));
    byId("send-fields").replaceChildren(...fields.map((field) => this.field(field)));
    this.freshKey();
  }

  field(field) {
    const id = `field-${field.name}`;
    const attributes = { id, name: field.name, "aria-describedby": `${id}-wrong`, "aria-required": field.required ? "true" : null };
    const choices = field.type === "boolean" ? ["true", "false"] : field.enum;
    const input = choices
      ? el("select", attributes, el("option", { value: "" }, ""), choices.map((value) => el("option", { value }, value)))
      : el("input", { ...attributes, autocomplete: "off", spellcheck: "false", inputmode: inputMode(field), placeholder: field.examples?.[0] });
    if (field.required && choices) input.value = choices[0];
    const need = field.required ? el("span", { class: "need", title: "required" }, " •") : null;
    return el(
      "div",
      { class: "field", "data-field": field.name },
      el("label", { for: id, title: field.description }, title(field.name), need, el("span", { class: "kind" }, kindOf(field))),
      input,
      el("p", { class: "wrong", id: `${id}-wrong` }),
    );
  }

  /** The key is what ties events together; offer a fresh one, to be kept or replaced. */
  freshKey() {
    const key = this.contract?.key;
    const input = key && byId(`field-${key}`);
    if (!input || input.tagName !== "INPUT") return;
    const letters = [...crypto.getRandomValues(new Uint8Array(5))].map((byte) => LETTERS[byte % LETTERS.length]);
    input.value = `${key.replace(/_id$/, "").slice(0, 3).toUpperCase()}-${letters.join("")}`;
  }

  event() {
    const parts = [];
    for (const field of fieldsOf(this.contract)) {
      const text = byId(`field-${field.name}`).value.trim();
      if (text !== "") parts.push(`${JSON.stringify(field.name)}:${literal(text, field.type)}`);
    }
    const event = { specversion: "1.0", id: byId("send-id").value.trim() || crypto.randomUUID(), source: "urn:agentflow:page" };
    event.type = this.contract.name;
    event.dataversion = String(this.contract.version);
    if (byId("send-time").value.trim()) event.time = byId("send-time").value.trim();
    return `${JSON.stringify(event).slice(0, -1)},"data":{${parts.join(",")}}}`;
  }

  async run(path, show) {
    this.markWrong([]);
    const buttons = byId("send-form").querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    try {
      show(await post(path, this.event(), EVENT));
    } catch (problem) {
      this.showErrors(problem.errors ?? [], problem);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  showReceipt(receipt) {
    const [outcome] = receipt.events ?? [];
    const words = outcome?.status === "duplicate" ? "Already counted: this id was sent before." : `Accepted, offset ${outcome?.offset ?? ""}.`;
    const warnings = (outcome?.warnings ?? []).map((warning) => el("p", { class: "quiet" }, `Warning: ${warning.message}`));
    byId("send-result").replaceChildren(el("p", { class: "note" }, words), ...warnings);
    this.freshKey();
    this.onSent();
  }

  showDryRun({ accepted, errors, duplicate, moves }) {
    if (!accepted) return this.showErrors(errors, { message: "It would be rejected" });
    const rows = moves.map((move) =>
      el(
        "tr",
        {},
        el("td", {}, title(move.metric), move.version > 1 ? ` v${move.version}` : "", el("div", { class: "quiet" }, cell(move))),
        el("td", { class: "number" }, inWords(move.before, move.unit)),
        el("td", { class: "number" }, inWords(move.after, move.unit), el("div", { class: direction(move.moved) }, moved(move.moved, move.unit))),
      ),
    );
    const words = duplicate ? "It was counted already: nothing would move." : moves.length ? `It would move ${counted(moves.length, "number")}.` : "It would move nothing.";
    const head = ["Metric", "Before", "After"].map((name, index) => el("th", { scope: "col", class: index ? "number" : null }, name));
    const table = moves.length ? [el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows))] : [];
    byId("send-result").replaceChildren(el("p", { class: "note" }, words), ...table);
    return undefined;
  }

  showErrors(errors, { message, hint, deadLetter }) {
    const elsewhere = this.markWrong(errors);
    const kept = deadLetter === null || deadLetter === undefined ? "" : ` It waits as dead letter ${deadLetter}.`;
    byId("send-result").replaceChildren(
      el("p", { class: "note bad" }, `${sentence(message)}${kept} ${hint ?? ""}`.trim()),
      ...elsewhere.map((error) => el("p", { class: "wrong" }, `${error.pointer ?? ""} ${error.message}. ${error.hint ?? ""}`)),
    );
    if (kept) this.onSent();
  }

  /** Put each error under its field; return those that belong to none. */
  markWrong(errors) {
    for (const field of byId("send-fields").children) {
      field.querySelector("input, select").removeAttribute("aria-invalid");
      field.querySelector(".wrong").textContent = "";
    }
    return errors.filter(({ pointer, message, hint }) => {
      const input = byId(`field-${(pointer ?? "").replace(/^\/data\//, "")}`);
      if (!input) return true;
      input.setAttribute("aria-invalid", "true");
      byId(`${input.id}-wrong`).textContent = `${message}. ${hint ?? ""}`.trim();
      return false;
    });
  }
}

/** Which number of a metric: its window, and the values of its dimensions. */
function cell({ window, dimensions }) {
  const values = Object.entries(dimensions ?? {}).map(([name, value]) => `${title(name)} ${value === "" ? '""' : (value ?? "none")}`);
  return [window, ...values].filter(Boolean).join(", ");
}

function fieldsOf(contract) {
  const { fields } = contract ?? { fields: {} };
  return Array.isArray(fields) ? [...fields] : Object.entries(fields).map(([name, field]) => ({ name, ...field }));
}

/** Digits go out as they were typed: a JavaScript number would round a long one. */
function literal(text, type) {
  if (type === "boolean" && /^(true|false)$/.test(text)) return text;
  if (type === "integer" && /^-?(0|[1-9][0-9]*)$/.test(text)) return text;
  if (type === "number" && text !== "" && Number.isFinite(Number(text))) return JSON.stringify(Number(text));
  return JSON.stringify(text);
}

function inputMode({ type }) {
  return { integer: "numeric", decimal: "decimal", number: "decimal" }[type] ?? null;
}

function kindOf({ type, unit }) {
  return unit && unit !== "currency" ? `${type}, ${unit}` : type;
}

function label({ name, version }, contracts) {
  return contracts.filter((contract) => contract.name === name).length > 1 ? `${name} v${version}` : name;
}

function sentence(text) {
  return text ? `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.` : "";
}
