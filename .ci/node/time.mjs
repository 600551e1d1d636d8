// How long the reference engine takes for one document, warm and in process.
// Usage: node time.mjs REPEAT, with MJML on standard input. Prints {"ms": [processor ms of each run], "html": "…"}.
import { text } from "node:stream/consumers";
import mjml2html from "mjml";

const source = await text(process.stdin);
const options = { validationLevel: "skip", fonts: {}, keepComments: false };
let html;
for (let warming = 0; warming < 10; warming += 1) ({ html } = await mjml2html(source, options));
const ms = [];
for (let run = 0; run < Number(process.argv[2]); run += 1) {
  const start = process.cpuUsage();
  await mjml2html(source, options);
  const { user, system } = process.cpuUsage(start);
  ms.push((user + system) / 1000);
}
process.stdout.write(JSON.stringify({ ms, html }));
