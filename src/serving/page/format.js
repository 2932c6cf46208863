// Values as people read them. Decimals stay strings: Intl formats their digits without rounding to a float.

const RATIO = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 2 });
const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Return {text, unit, exact} for a value and its unit. */
export function reading(value, unit) {
  if (value === null || value === undefined) return { text: "–", unit: "", exact: "nothing to compute it from" };
  const exact = `${value} ${unit ?? ""}`.trim();
  if (unit === "ratio") return { text: RATIO.format(value), unit: "", exact };
  if (unit === "ms") return { ...duration(Number(value)), exact };
  const digits = Math.min(2, (String(value).split(".")[1] ?? "").length);
  const format = new Intl.NumberFormat(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return { text: format.format(value), unit: unit ?? "", exact };
}

export function inWords(value, unit) {
  const { text, unit: shown } = reading(value, unit);
  return `${text} ${shown}`.trim();
}

/** Like inWords, with the sign always shown. */
export function moved(value, unit) {
  if (value === null || value === undefined) return "";
  const text = inWords(value, unit);
  return Number(value) > 0 ? `+${text}` : text.replace("-", "−");
}

export function direction(value) {
  const number = Number(value ?? 0);
  return number > 0 ? "up" : number < 0 ? "down" : "";
}

/** How long ago, in one or two words. */
export function age(ms) {
  if (ms < SECOND) return "just now";
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s ago`;
  if (ms < 60 * MINUTE) return `${Math.floor(ms / MINUTE)} min ago`;
  if (ms < 48 * 60 * MINUTE) return `${Math.floor(ms / (60 * MINUTE))} h ago`;
  return `${counted(Math.floor(ms / (24 * 60 * MINUTE)), "day")} ago`;
}

/** What is known of a number whose age is not: it never moved only if nothing came that could move it. */
export function withoutAge({ events, source_idle_ms: idleMs }) {
  if (events) return "moved earlier";
  return idleMs === null || idleMs === undefined ? "never moved" : "no events";
}

export function when(instant) {
  return instant ? new Date(instant).toLocaleString() : "";
}

export function title(name) {
  return name.replaceAll("_", " ");
}

function duration(ms) {
  const one = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
  if (ms >= 120 * MINUTE) return { text: one.format(ms / (60 * MINUTE)), unit: "h" };
  if (ms >= 2 * MINUTE) return { text: one.format(ms / MINUTE), unit: "min" };
  if (ms >= 10 * SECOND) return { text: one.format(ms / SECOND), unit: "s" };
  return { text: one.format(ms), unit: "ms" };
}

/** Return a count with its noun: "1 event", "2,000 events". */
export function counted(count, noun) {
  return `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;
}
