// What people do with a browser, done with a browser: with and without scripts, in light and dark, narrow and wide.
//
// The forge is at FORGE, its administrator's token in ROOT_TOKEN, the password of `root` in ROOT_PASSWORD. Pictures of every
// page go to the folder SCREENSHOTS. Any message on a browser's console, and anything axe-core finds, is a failure.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const { FORGE, ROOT_TOKEN, ROOT_PASSWORD, CHROMIUM, BINARY, DATA, SCREENSHOTS } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(SCREENSHOTS, { recursive: true });

const api = async (method, path, body, token = ROOT_TOKEN) => {
  const response = await fetch(`${FORGE}/api/v4${path}`, {
    method,
    headers: { "PRIVATE-TOKEN": token, "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : null };
};

const made = async (path, body) => {
  const answer = await api("POST", path, body);
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body;
};

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
let said = [];

// Messages that are a browser's word about an answer we meant to give.
const meant = (text) => /the server responded with a status of (404|409|422|429)/.test(text);

const open = async ({ width = 1280, dark = false, scripts = true, state } = {}) => {
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

const signIn = async (page, name, password) => {
  await page.goto(`${FORGE}/users/sign_in`);
  await page.fill("#login", name);
  await page.fill("#password", password);
  await page.click("main button[type=submit]");
  await page.waitForURL(`${FORGE}/dashboard`);
};

// A picture, no violation of accessibility, and nothing that reaches beyond the sides.
const look = async (page, name) => {
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

const journey = async (name, run) => {
  said = [];
  const begun = Date.now();
  await run();
  assert.deepEqual(said, [], `${name}: the console is not empty`);
  console.log(`ok ${name} (${Date.now() - begun} ms)`);
};

const hostile = "<script>alert(1)</script> & \"'</title>";
const group = await made("/groups", { name: "Acme", path: "acme", visibility: "public" });
await made("/groups", { name: "Tools", path: "tools", parent_id: group.id });
const app = await made("/projects", { name: "app", namespace_id: group.id, description: hostile });
await made("/users", { username: "maria", name: "Maria Okafor", email: "maria@example.com", password: "correct horse battery" });
const maria = (await api("GET", "/users?username=maria")).body[0];
await made(`/projects/${app.id}/members`, { user_id: maria.id, access_level: 40 });
await made("/users", { username: "jo", name: hostile, email: "jo@example.com" });
const code = await made("/projects", { name: "code", namespace_id: group.id, initialize_with_readme: true });
await made(`/projects/${code.id}/repository/commits`, {
  branch: "main",
  commit_message: `Add ${hostile}\n\nAnd what is below.`,
  actions: [
    { action: "update", file_path: "README.md", content: `# Code\n\n${hostile}\n\n- [x] [docs](docs/guide.md)\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n![far](https://example.com/x.png)\n` },
    { action: "create", file_path: "docs/guide.md", content: "# Guide\n\n## Part\n\n```rust\nfn main() {}\n```\n\n> said\n" },
    { action: "create", file_path: "src/main.rs", content: `// ${hostile}\nfn main() {\n    println!("${"long ".repeat(60)}", 1);\n}\n` },
    { action: "create", file_path: "empty.txt", content: "" },
  ],
});
await made(`/projects/${code.id}/members`, { user_id: maria.id, access_level: 30 });
await made(`/projects/${code.id}/repository/branches`, { branch: "feature/one", ref: "main" });
await made(`/projects/${code.id}/repository/tags`, { tag_name: "v1.0", ref: "main", message: hostile });
const tokensPage = `${FORGE}/acme/app/-/settings/access_tokens`;
let signedIn;

await journey("a page asks to sign in, and signing in leads to it", async () => {
  const page = await open();
  await page.goto(tokensPage);
  assert.equal(new URL(page.url()).pathname, "/users/sign_in");
  await look(page, "sign-in");
  await page.fill("#login", "maria");
  await page.fill("#password", "wrong");
  await page.click("main button[type=submit]");
  assert.equal(await page.textContent("[role=alert]"), "That did not work. Check the name and the password.");
  assert.equal(await page.inputValue("#login"), "maria");
  await look(page, "sign-in-wrong");
  await page.fill("#password", "correct horse battery");
  await page.click("main button[type=submit]");
  assert.equal(page.url(), tokensPage);
  const [cookie] = await page.context().cookies();
  assert.ok(cookie.httpOnly && cookie.sameSite === "Lax", JSON.stringify(cookie));
  signedIn = await page.context().storageState();
  await page.context().close();
});

await journey("a token is created, its secret is shown once, copied, and works", async () => {
  const page = await open({ state: signedIn });
  await page.goto(tokensPage);
  assert.match(await page.textContent("main"), /This project has no active access tokens\./);
  await look(page, "tokens-empty");
  await page.click("details.unfold > summary");
  await look(page, "tokens-form");
  assert.deepEqual(await page.$$eval("#access_level option", (all) => all.map((one) => one.textContent)),
    ["Guest", "Planner", "Reporter", "Developer", "Maintainer"]);
  await page.fill("#name", "release robot");
  await page.evaluate(() => document.querySelector("form.form").setAttribute("novalidate", ""));
  await page.click("main form button.main");
  assert.match(await page.textContent("#scopes-error"), /scopes can't be blank/i);
  assert.equal(await page.inputValue("#name"), "release robot");
  await look(page, "tokens-form-wrong");
  await page.check("#scopes-api");
  await page.check("#scopes-read_registry");
  await page.click("main form button.main");
  const secret = await page.inputValue("#fresh-secret");
  assert.match(secret, /^pcp_[0-9A-Za-z]{36}$/);
  await page.click("[data-copy=fresh-secret]");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
  await page.click(".secret summary");
  await look(page, "tokens-fresh");
  assert.equal((await api("GET", `/projects/${app.id}`, undefined, secret)).status, 200);
  await page.reload();
  assert.ok(!(await page.content()).includes(secret), "a reload shows the secret");
  assert.equal(await page.locator(".table tbody tr").count(), 1, "a reload made another token");
  await page.goto(`${FORGE}/dashboard`);
  await page.goBack();
  assert.ok(!(await page.content()).includes(secret), "going back shows the secret");
  await page.context().close();
});

await journey("a token is rotated and revoked, and each asks first", async () => {
  const page = await open({ state: signedIn });
  await page.goto(tokensPage);
  await page.click("a[aria-label='Rotate release robot']");
  assert.match(await page.textContent("h1"), /Rotate “release robot”\?/);
  await look(page, "tokens-rotate");
  await page.fill("#expires_at", "2000-01-01");
  await page.click("main button:has-text('Rotate token')");
  assert.match(await page.textContent("#expires_at-error"), /must be after/);
  const soon = new Date(Date.now() + 3 * 86400e3).toISOString().slice(0, 10);
  await page.fill("#expires_at", soon);
  await page.click("main button:has-text('Rotate token')");
  const secret = await page.inputValue("#fresh-secret");
  assert.match(await page.textContent(".table"), /Expires soon/);
  await page.reload();
  assert.equal(page.url(), tokensPage);
  assert.ok(!(await page.content()).includes(secret));
  await look(page, "tokens");
  await page.click("a[aria-label='Revoke release robot']");
  await page.waitForSelector("dialog[open]");
  assert.match(await page.textContent("dialog"), /Revoke “release robot”\?.*stops working/s);
  await look(page, "tokens-revoke");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("dialog[open]").count(), 0);
  await page.click("a[aria-label='Revoke release robot']");
  await page.click("dialog button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /Revoked access token release robot!/);
  assert.equal((await api("GET", `/projects/${app.id}`, undefined, secret)).status, 401);
  await page.goBack();
  await page.reload();
  assert.equal(await page.locator("[role=status]").count(), 0, "it is said twice");
  await page.context().close();
});

await journey("bots are among the members, marked, and nobody touches them", async () => {
  await made(`/projects/${app.id}/access_tokens`, { name: hostile, scopes: ["api"], access_level: 30 });
  const page = await open({ state: signedIn });
  await page.goto(`${FORGE}/acme/app/-/project_members`);
  const bot = page.locator(".rows > li", { hasText: "_bot" });
  assert.equal(await bot.count(), 1);
  assert.match(await bot.textContent(), /Bot/);
  assert.equal(await bot.locator("button, select, a[data-ask]").count(), 0);
  await page.click("details.unfold > summary");
  await page.fill("#username", "nobody-here");
  await page.click("main button:has-text('Add member')");
  assert.match(await page.textContent("#username-error"), /is not known here/);
  assert.equal(await page.inputValue("#username"), "nobody-here");
  await page.fill("#username", "jo");
  await page.click("main button:has-text('Add member')");
  assert.match(await page.textContent("[role=status]"), /was added as Developer/);
  await look(page, "members");
  const jo = page.locator(".rows > li", { hasText: "@jo" });
  await jo.locator("select").selectOption("20");
  await jo.locator("button").click();
  assert.match(await page.textContent("[role=status]"), /is Reporter now/);
  await jo.locator("a[data-ask]").click();
  await page.click("dialog button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /was removed/);
  await page.context().close();
});

await journey("a top-level group forbids creation, and its project says so", async () => {
  const page = await open();
  await signIn(page, "root", ROOT_PASSWORD);
  await look(page, "dashboard");
  await page.goto(`${FORGE}/groups/acme`);
  await look(page, "group");
  await page.click("main a:has-text('Settings')");
  await look(page, "group-settings");
  await page.uncheck("#allow-tokens");
  await page.click("text=Save changes");
  await page.goto(`${FORGE}/groups/acme/tools/-/edit`);
  assert.equal(await page.locator("#allow-tokens").count(), 0);
  assert.match(await page.textContent("main"), /decided by the top-level group/);
  await look(page, "subgroup-settings");
  await page.goto(tokensPage);
  assert.match(await page.textContent("main"),
    /Project access token creation is disabled in this group\. You can still use and manage existing tokens\./);
  assert.equal(await page.locator("text=Create project access token").count(), 0);
  await look(page, "tokens-forbidden");
  await page.click("main .note a");
  await page.check("#allow-tokens");
  await page.click("text=Save changes");
  await page.context().close();
});

await journey("a project is created, and its first page says how to begin", async () => {
  const page = await open({ state: signedIn });
  await page.goto(`${FORGE}/projects/new`);
  await page.fill("#name", "Tool box");
  await page.fill("#path", "not a path");
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("#path-error"), /can contain only/);
  assert.equal(await page.inputValue("#name"), "Tool box");
  await look(page, "new-project-wrong");
  await page.fill("#path", "");
  await page.click("main button[type=submit]");
  assert.equal(page.url(), `${FORGE}/maria/Tool-box`);
  assert.match(await page.textContent("#new-repository"), /git clone http:\/\/.*\/maria\/Tool-box\.git/);
  await look(page, "project-empty");
  await page.context().close();
});

await journey("sessions are listed and ended; a new password ends the others", async () => {
  const [one, two] = [await open({ state: signedIn }), await open()];
  await signIn(two, "maria", "correct horse battery");
  await one.goto(`${FORGE}/-/user_settings/sessions`);
  assert.equal(await one.locator(".rows > li").count(), 2);
  await look(one, "sessions");
  await one.goto(`${FORGE}/-/user_settings/password`);
  await look(one, "password");
  await one.fill("#current_password", "wrong");
  await one.fill("#new_password", "another long sentence");
  await one.fill("#new_password_again", "another long sentence");
  await one.click("main button[type=submit]");
  assert.match(await one.textContent("#current_password-error"), /is not your password/);
  await one.fill("#current_password", "correct horse battery");
  await one.fill("#new_password", "another long sentence");
  await one.fill("#new_password_again", "another long sentence");
  await one.click("main button[type=submit]");
  assert.match(await one.textContent("[role=status]"), /Your password was changed/);
  await two.goto(`${FORGE}/dashboard`);
  assert.equal(new URL(two.url()).pathname, "/users/sign_in");
  await one.click("details.menu > summary");
  await look(one, "menu");
  await one.click(".menu button");
  assert.match(await one.textContent("[role=status]"), /You are signed out/);
  await one.goto(tokensPage);
  assert.equal(new URL(one.url()).pathname, "/users/sign_in");
  await one.context().close();
  await two.context().close();
});

await journey("a link sets a password once", async () => {
  const link = execFileSync(BINARY, ["user", "password-link", "--data", DATA, "--username", "jo"], { encoding: "utf8" }).trim();
  const address = FORGE + link.slice(link.indexOf("/users/"));
  const page = await open();
  await page.goto(address);
  await look(page, "choose-password");
  await page.fill("#new_password", "short");
  await page.fill("#new_password_again", "short");
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("#new_password-error"), /is too short/);
  await page.fill("#new_password", "a sentence of my own");
  await page.fill("#new_password_again", "a sentence of my own");
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /Your password is set/);
  await signIn(page, "jo", "a sentence of my own");
  await look(page, "dashboard-empty");
  await page.goto(tokensPage);
  assert.match(await page.textContent("h1"), /Page not found/);
  await look(page, "not-found");
  await page.goto(address);
  assert.match(await page.textContent("[role=alert]"), /no longer good/);
  await page.context().close();
});

await journey("everything is done without scripts too", async () => {
  const page = await open({ scripts: false, width: 390 });
  await signIn(page, "maria", "another long sentence");
  await page.goto(tokensPage);
  await page.click("details.unfold > summary");
  await page.fill("#name", "by hand");
  await page.check("#scopes-read_repository");
  await page.click("main form button.main");
  const secret = await page.inputValue("#fresh-secret");
  assert.match(secret, /^pcp_/);
  await page.screenshot({ path: `${SCREENSHOTS}/tokens-fresh-plain.png`, fullPage: true });
  await page.goto(tokensPage);
  assert.ok(!(await page.content()).includes(secret));
  await page.click("a[aria-label='Revoke by hand']");
  assert.match(await page.textContent("h1"), /Revoke “by hand”\?/);
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /Revoked access token by hand!/);
  await page.click("details.menu > summary");
  await page.click(".menu button");
  assert.match(await page.textContent("[role=status]"), /You are signed out/);
  await page.context().close();
});

await journey("the keyboard alone is enough", async () => {
  const page = await open();
  await page.goto(`${FORGE}/users/sign_in`);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.type("maria");
  await page.keyboard.press("Tab");
  await page.keyboard.type("another long sentence");
  await page.keyboard.press("Enter");
  await page.waitForURL(`${FORGE}/dashboard`);
  signedIn = await page.context().storageState();
  await page.context().close();
});

await journey("every page looks right, in light and dark, narrow and wide", async () => {
  const day = (days) => new Date(Date.now() + days * 86400e3).toISOString().slice(0, 10);
  for (const [name, scopes, days] of [["release robot", ["api", "write_repository"], 3], ["cluster", ["read_registry"], 200], ["renovate", ["api"], null]]) {
    await made(`/projects/${app.id}/access_tokens`, { name, scopes, access_level: 30, expires_at: days && day(days) });
  }
  for (const width of [390, 1280]) {
    for (const dark of [false, true]) {
      const page = await open({ width, dark, state: signedIn });
      for (const [name, path] of [
        ["design", "/-/design"],
        ["tokens", "/acme/app/-/settings/access_tokens"],
        ["members", "/acme/app/-/project_members"],
        ["project", "/acme/app"],
        ["code", "/acme/code"],
        ["tree", "/acme/code/-/tree/main/src"],
        ["blob", "/acme/code/-/blob/main/src/main.rs"],
        ["blob-rendered", "/acme/code/-/blob/main/docs/guide.md"],
        ["blob-empty", "/acme/code/-/blob/main/empty.txt"],
        ["commits", "/acme/code/-/commits/main"],
        ["commit", "/acme/code/-/commit/main"],
        ["branches", "/acme/code/-/branches"],
        ["branches-none", "/acme/code/-/branches?search=nothing"],
        ["tags", "/acme/code/-/tags"],
        ["dashboard", "/dashboard"],
        ["new-project", "/projects/new"],
        ["group", "/groups/acme"],
        ["personal-tokens", "/-/user_settings/personal_access_tokens"],
        ["sessions", "/-/user_settings/sessions"],
        ["not-found", "/acme/nothing"],
      ]) {
        const answer = await page.goto(FORGE + path);
        assert.equal(answer.status(), name === "not-found" ? 404 : 200, path);
        await look(page, `${name}-${width}-${dark ? "dark" : "light"}`);
      }
      await page.context().close();
    }
  }
});

await journey("a first view is small", async () => {
  const page = await open({ state: signedIn });
  const bodies = [];
  page.on("response", (response) => bodies.push(response.body()));
  await page.goto(tokensPage, { waitUntil: "networkidle" });
  const bytes = (await Promise.all(bodies)).reduce((sum, body) => sum + body.length, 0);
  assert.ok(bytes > 10_000 && bytes <= 60 * 1024, `${bytes} bytes`);
  console.log(`   ${bytes} bytes`);
  await page.context().close();
});

await browser.close();
