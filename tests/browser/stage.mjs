// The stage on which journeys happen: a browser, the forge it visits, and what is looked at on every page.
//
// The forge is at FORGE, its administrator's token in ROOT_TOKEN, the password of `root` in ROOT_PASSWORD. Pictures of every
// page go to the folder SCREENSHOTS. Any message on a browser's console, and anything axe-core finds, is a failure.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

export const { FORGE, ROOT_TOKEN, ROOT_PASSWORD, CHROMIUM, BINARY, DATA, LOG, SCREENSHOTS } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(SCREENSHOTS, { recursive: true });

export const api = async (method, path, body, token = ROOT_TOKEN) => {
  const response = await fetch(`${FORGE}/api/v4${path}`, {
    method,
    headers: { "PRIVATE-TOKEN": token, "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : null };
};

export const made = async (path, body) => {
  const answer = await api("POST", path, body);
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body;
};

export const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
let said = [];

// Messages that are a browser's word about an answer we meant to give.
const meant = (text) => /the server responded with a status of (404|409|422|429)/.test(text);

export const open = async ({ width = 1280, dark = false, scripts = true, state } = {}) => {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: dark ? "dark" : "light",
    javaScriptEnabled: scripts,
    reducedMotion: "reduce",
    storageState: state,
    permissions: scripts ? ["clipboard-read", "clipboard-write"] : [],
  });
  const page = await context.newPage();
  page.on("console", (message) => { if (!meant(message.text())) said.push(`${page.url()}: ${message.text()}`); });
  page.on("pageerror", (error) => said.push(`${page.url()}: ${error}`));
  return page;
};

export const signIn = async (page, name, password) => {
  await page.goto(`${FORGE}/users/sign_in`);
  await page.fill("#login", name);
  await page.fill("#password", password);
  await page.click("main button[type=submit]");
  await page.waitForURL(`${FORGE}/dashboard`);
};

// A picture, no violation of accessibility, and nothing that reaches beyond the sides.
export const look = async (page, name) => {
  await page.screenshot({ path: `${SCREENSHOTS}/${name}.png`, fullPage: true });
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wider <= 0, `${name}: ${wider} pixels wider than the screen`);
  await page.evaluate(axe);
  const found = await page.evaluate(() =>
    globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  const wrong = found.violations.map((rule) =>
    `${rule.id}: ${rule.help}: ${rule.nodes.map((node) => `${node.html} ${node.failureSummary}`).join("\n   ")}`);
  assert.deepEqual(wrong, [], `${name}: axe-core found something`);
};

// Secrets that a page showed. What remembers one of them is looked for when all journeys are over.
export const secrets = [];

export const journey = async (name, run) => {
  said = [];
  const begun = Date.now();
  await run();
  assert.deepEqual(said, [], `${name}: the console is not empty`);
  console.log(`ok ${name} (${Date.now() - begun} ms)`);
};
