// Requests to the platform that served this page; asks for an API key when one is needed.

import { byId } from "./dom.js";

const KEY = "agentflow.api_key";
const ENDED = {
  key_expired: "This key has expired.",
  key_revoked: "This key was revoked.",
  key_malformed: "This key is mistyped or cut off.",
};
let asking = null;

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `the server answered ${status}`);
    this.status = status;
    this.code = body.code ?? "unknown";
    this.hint = body.hint ?? "";
    this.errors = body.errors ?? [];
    this.deadLetter = body.dead_letter ?? null;
  }
}

/** Fetch a path under the page's own address; returns the Response of any status but 401. */
export async function call(method, path, { params, body, headers, signal } = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(params ?? {})) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const sent = { ...headers, ...(key ? { "X-API-Key": key } : {}) };
    const response = await fetch(url, { method, headers: sent, body, signal, cache: "no-store" });
    if (response.status !== 401) return response;
    const problem = key === null ? null : await response.json().catch(() => ({}));
    await askForKey(problem);
  }
}

/** Fetch JSON, or throw the Problem that came instead. */
export async function json(method, path, { body, contentType = "application/json", headers, ...options } = {}) {
  const sent = body === undefined ? headers : { "Content-Type": contentType, ...headers };
  const response = await call(method, path, { ...options, headers: sent, body });
  const text = await response.text();
  let value = {};
  try {
    value = JSON.parse(text);
  } catch {
    throw new Problem(response.status, { detail: `the server answered ${response.status} without JSON` });
  }
  if (response.ok) return value;
  throw new Problem(response.status, value);
}

export const get = (path, params) => json("GET", path, { params });
export const post = (path, body, options = {}) =>
  json("POST", path, { body: typeof body === "string" ? body : JSON.stringify(body), ...options });

/** Tell whether a key was given; without one the platform answers everyone, or nothing but its reference. */
export const hasKey = () => sessionStorage.getItem(KEY) !== null;

/** Ask for a key, and say why the one before was refused. */
function askForKey(refused) {
  asking ??= new Promise((resolve) => {
    const dialog = byId("key");
    byId("key-note").textContent = refused
      ? (ENDED[refused.code] ?? "The platform does not know this key.")
      : "This platform answers only those who have a key.";
    byId("key-value").value = "";
    dialog.addEventListener(
      "close",
      () => {
        const value = byId("key-value").value.trim();
        if (value) sessionStorage.setItem(KEY, value);
        asking = null;
        resolve();
      },
      { once: true },
    );
    dialog.showModal();
  });
  return asking;
}
