// Server-sent events over fetch, because EventSource cannot send an API key. Resumes by Last-Event-ID.

import { call, Problem } from "./api.js";

const LONGEST_WAIT = 10_000;
const SILENCE = 45_000; // the server says something every 15 s

/** Follow a stream until `stop()` of the returned object; `onItem(data)` for each item. */
export function follow(path, params, { onItem, onState }) {
  const ending = new AbortController();
  run(path, params, onItem, onState, ending.signal);
  return { stop: () => ending.abort() };
}

async function run(path, params, onItem, onState, ending) {
  const at = { id: "", retry: 500 };
  let failures = 0;
  while (!ending.aborted) {
    const connection = new AbortController();
    const stop = () => connection.abort();
    ending.addEventListener("abort", stop, { once: true });
    try {
      const headers = { Accept: "text/event-stream", ...(at.id ? { "Last-Event-ID": at.id } : {}) };
      const response = await call("GET", path, { params, headers, signal: connection.signal });
      if (!response.ok) throw new Problem(response.status, await response.json().catch(() => ({})));
      failures = 0;
      onState("live");
      await read(response.body, at, onItem, stop);
    } catch (error) {
      if (ending.aborted) return;
      if (error instanceof Problem && error.status < 500 && error.status !== 429) {
        onState("refused", error);
        return;
      }
    } finally {
      ending.removeEventListener("abort", stop);
    }
    if (ending.aborted) return;
    onState("lost");
    await new Promise((resume) => setTimeout(resume, Math.min(at.retry * 2 ** failures, LONGEST_WAIT)));
    failures += 1;
  }
}

async function read(body, at, onItem, stop) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let item = { event: "", data: [], id: at.id };
  for (;;) {
    const silence = setTimeout(stop, SILENCE);
    const { value, done } = await reader.read();
    clearTimeout(silence);
    if (done) return;
    text += value;
    // A CR that ends a chunk may be half of a CRLF: leave it for the next one.
    const whole = text.endsWith("\r") ? text.slice(0, -1) : text;
    const lines = whole.split(/\r\n|\n|\r/);
    text = lines.pop() + (whole.length < text.length ? "\r" : "");
    for (const line of lines) {
      if (line !== "") {
        field(line, item, at);
        continue;
      }
      at.id = item.id;
      if (item.data.length) {
        const data = JSON.parse(item.data.join("\n"));
        if (item.event === "end") throw new Problem(data.status, data);
        onItem(data);
      }
      item = { event: "", data: [], id: at.id };
    }
  }
}

function field(line, item, at) {
  const colon = line.indexOf(":");
  const name = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
  if (name === "event") item.event = value;
  else if (name === "data") item.data.push(value);
  else if (name === "id" && !value.includes("\0")) item.id = value;
  else if (name === "retry" && /^[0-9]+$/.test(value)) at.retry = Number(value);
}
