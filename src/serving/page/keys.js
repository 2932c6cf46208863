// Stored API keys, for those whose own key has the scope admin: list, make, rotate, revoke.

import { get, hasKey, post } from "./api.js";
import { byId, el } from "./dom.js";
import { when } from "./format.js";

const SCOPES = [
  "metrics:read", "events:read", "entities:read", "deadletters:read", "events:write",
  "deadletters:triage", "contracts:publish", "operate", "admin",
];
const PAGE = 1000;

export class Keys {
  /** Show the section if this key may see it; a platform without keys has none to manage. */
  async start() {
    if (!hasKey() || !(await this.refresh())) return;
    const { metrics } = await get("v1/metrics");
    const names = [...new Set(metrics.map(({ name }) => name))];
    byId("keys-scopes").replaceChildren(...SCOPES.map((scope) => choice("scope", scope, scope === "metrics:read")));
    byId("keys-metrics").replaceChildren(...names.map((name) => el("option", { value: name }, name)));
    byId("keys-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.create(event.target);
    });
    byId("keys-refresh").addEventListener("click", () => this.refresh());
    byId("keys").hidden = byId("keys-link").hidden = false;
  }

  /** Read the keys again; returns whether they may be seen. */
  async refresh() {
    try {
      const found = await get("v1/keys", { limit: PAGE });
      const rows = found.keys.reverse().map((key) => this.row(key));
      byId("keys-list").replaceChildren(...(rows.length ? rows : [el("tr", {}, el("td", { colspan: 6, class: "empty" }, "There are no stored keys yet."))]));
      return true;
    } catch (problem) {
      this.say(told(problem));
      return false;
    }
  }

  row(key) {
    const narrowed = ["metrics", "entities", "events", "statuses"].filter((name) => key[name]).map((name) => `${name}: ${key[name].join(", ")}`);
    const active = key.status === "active";
    return el(
      "tr",
      { "data-key": key.id, "data-status": key.status },
      el("td", {}, el("strong", {}, key.name), el("div", { class: "quiet mono" }, key.id), key.owner ? el("div", { class: "quiet" }, key.owner) : null),
      el("td", {}, key.scopes.join(", "), narrowed.map((text) => el("div", { class: "quiet" }, text))),
      el("td", {}, active ? (key.expires_at ? `until ${key.expires_at}` : "active") : key.status),
      el("td", {}, key.last_used_at ? when(key.last_used_at) : "never used"),
      el("td", {}, String(key.uses)),
      el("td", {}, active ? [this.button("Rotate", () => this.rotate(key)), this.button("Revoke", () => this.revoke(key))] : null),
    );
  }

  button(words, run) {
    return el("button", { type: "button", class: "plain", onclick: run }, words);
  }

  create(form) {
    const given = new FormData(form);
    const metrics = [...byId("keys-metrics").selectedOptions].map(({ value }) => value);
    const expires = given.get("expires");
    const body = {
      name: given.get("name"),
      owner: given.get("owner"),
      scopes: given.getAll("scope"),
      ...(metrics.length ? { metrics } : {}),
      ...(given.get("approved") ? { statuses: ["approved"] } : {}),
      ...(expires ? { expires_at: `${expires}T00:00:00Z` } : {}),
    };
    return this.issued(() => post("v1/keys", body), () => form.reset());
  }

  rotate(key) {
    return this.issued(() => post(`v1/keys/${key.id}/rotate`, {}));
  }

  async revoke(key) {
    if (!confirm(`End the key "${key.name}" at once? This cannot be taken back.`)) return;
    try {
      await post(`v1/keys/${key.id}/revoke`, {});
      this.say(`${key.name} is revoked.`);
      await this.refresh();
    } catch (problem) {
      this.say(told(problem));
    }
  }

  /** Do what makes a key, and show it: this once. */
  async issued(make, then = () => {}) {
    try {
      const made = await make();
      const text = el("input", { readonly: true, value: made.key, "aria-label": "The key", class: "mono", spellcheck: "false" });
      const before = made.previous_ends_at ? ` The text before works until ${made.previous_ends_at}.` : "";
      this.say(`Keep this key of ${made.name} now: it is not shown again.${before}`, text);
      text.select();
      then();
      await this.refresh();
    } catch (problem) {
      this.say(told(problem));
    }
  }

  say(words, ...more) {
    byId("keys-note").replaceChildren(el("span", {}, words), ...more);
  }
}

function choice(name, value, checked) {
  return el("label", { class: "inline" }, el("input", { type: "checkbox", name, value, checked }), ` ${value}`);
}

function told(problem) {
  const errors = (problem.errors ?? []).slice(1).map(({ message }) => message);
  return [problem.message, ...errors, problem.hint].filter(Boolean).join(". ");
}
