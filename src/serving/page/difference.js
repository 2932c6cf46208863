// What a person changed in a JSON document, as members to set and to remove. Only that is sent back: personal
// data is masked on this page, and a document sent as a whole would carry the masks into the event.

/** Parse JSON and keep the digits of numbers that JavaScript would round. */
export function parse(text) {
  return JSON.parse(text, (_, value, context) => {
    const rounded = typeof value === "number" && context?.source !== undefined && String(value) !== context.source;
    return rounded && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
  });
}

/** Return {set, remove} by JSON pointer; null when the documents have no member in common to keep. */
export function difference(before, after) {
  if (!plain(before) || !plain(after)) return null;
  const changes = { set: {}, remove: [] };
  compare(before, after, "", changes);
  return changes;
}

function compare(before, after, path, changes) {
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const pointer = `${path}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    if (!(name in after)) changes.remove.push(pointer);
    else if (!(name in before)) changes.set[pointer] = after[name];
    else if (plain(before[name]) && plain(after[name])) compare(before[name], after[name], pointer, changes);
    else if (JSON.stringify(before[name]) !== JSON.stringify(after[name])) changes.set[pointer] = after[name];
  }
}

function plain(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !JSON.isRawJSON?.(value);
}
