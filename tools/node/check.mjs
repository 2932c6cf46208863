// Asks the reader of a standard whether documents are valid.
//
//   node check.mjs asyncapi|mermaid|dot|cloudevents < documents.json > problems.json
//
// In: a JSON list of texts. Out: a list of the same length, each a list of problems (empty = valid).

import { readFileSync } from "node:fs";

const readers = {
  async asyncapi() {
    const { Parser } = await import("@asyncapi/parser");
    const parser = new Parser();
    return async (text) => {
      const { document, diagnostics } = await parser.parse(text);
      const errors = diagnostics.filter((diagnostic) => diagnostic.severity === 0);
      const problems = errors.map((error) => `${error.path.join(".")}: ${error.message}`);
      return document || problems.length ? problems : ["no document"];
    };
  },

  async mermaid() {
    const { JSDOM } = await import("jsdom");
    // mermaid cleans labels with DOMPurify, which needs a document
    globalThis.window = new JSDOM("").window;
    globalThis.document = window.document;
    const { default: mermaid } = await import("mermaid");
    return async (text) => {
      const { diagramType } = await mermaid.parse(text);
      return diagramType === "flowchart-v2" ? [] : [`read as ${diagramType}`];
    };
  },

  async dot() {
    const { Graphviz } = await import("@hpcc-js/wasm-graphviz");
    const graphviz = await Graphviz.load();
    return async (text) => (graphviz.dot(text).includes("</svg>") ? [] : ["nothing was drawn"]);
  },

  async cloudevents() {
    const { CloudEvent } = await import("cloudevents");
    return async (text) => {
      new CloudEvent(JSON.parse(text), true); // strict: throws what does not fit the standard
      return [];
    };
  },
};

const read = await readers[process.argv[2]]();
const answers = [];
for (const text of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    answers.push(await read(text));
  } catch (error) {
    answers.push([JSON.stringify(error.errors ?? String(error.message ?? error))]);
  }
}
process.stdout.write(JSON.stringify(answers));
