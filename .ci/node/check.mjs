// One process for many documents, because starting Node and its tools costs more than the checks.
// Usage: node check.mjs mjml|html|clients, with {"name": "source"} on standard input.
// Prints {"name": ["what is wrong", …]}.
import { text } from "node:stream/consumers";

const OFF = [
  // Email HTML is written for Word and for clients that drop style blocks.
  "no-inline-style",
  "no-deprecated-attr",
  "no-conditional-comment",
  "doctype-style",
  // What the MJML engine writes, harmless everywhere.
  "prefer-native-element",
  "prefer-tbody",
  "void-style",
  "no-trailing-whitespace",
  "no-raw-characters",
  // The title is the subject, whose length is limited by its own test.
  "long-title",
];
const ERRORS = [
  // Without these an unknown element or a wrong attribute passes the presets below.
  "no-unknown-elements",
  "attribute-allowed-values",
  "wcag/h37",
  "wcag/h63",
  "no-dup-id",
  "close-order",
];
const CLIENTS = [
  "gmail.desktop-webmail",
  "gmail.ios",
  "gmail.android",
  "outlook.windows",
  "outlook.macos",
  "outlook.ios",
  "outlook.outlook-com",
  "apple-mail.*",
];

const checks = {
  async mjml() {
    const { default: mjml2html } = await import("mjml");
    return async (source) => {
      try {
        await mjml2html(source, { validationLevel: "strict" });
        return [];
      } catch (error) {
        return error.errors?.map((found) => found.formattedMessage) ?? [error.message];
      }
    };
  },

  async html() {
    const { HtmlValidate, StaticConfigLoader } = await import("html-validate");
    const rules = (names, level) => Object.fromEntries(names.map((name) => [name, level]));
    const validator = new HtmlValidate(
      new StaticConfigLoader({
        root: true,
        extends: ["html-validate:standard", "html-validate:a11y"],
        rules: { ...rules(ERRORS, "error"), ...rules(OFF, "off") },
      }),
    );
    return async (source) => {
      const report = await validator.validateString(source);
      return report.results.flatMap(({ messages }) =>
        messages.map(({ ruleId, message, line, column }) => `${ruleId}: ${message} (${line}:${column})`),
      );
    };
  },

  async clients() {
    const { caniemail } = await import("caniemail");
    return async (source) => {
      const { issues } = caniemail({ clients: CLIENTS, html: source });
      const found = [...issues.errors].flatMap(([client, list]) =>
        list.map(({ title }) => `${client}: ${title}`),
      );
      return [...new Set(found)].sort();
    };
  },
};

const check = await checks[process.argv[2]]();
const found = {};
for (const [name, source] of Object.entries(JSON.parse(await text(process.stdin)))) {
  found[name] = await check(source);
}
process.stdout.write(JSON.stringify(found));
