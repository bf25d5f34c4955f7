// Signing in, passwords, sessions, Access Tokens, Members, and what repositories hold.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { BINARY, DATA, FORGE, ROOT_PASSWORD, SCREENSHOTS, api, journey, look, made, open, secrets, signIn } from "../stage.mjs";
import { app, hostile, session, tokensPage } from "../world.mjs";

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
  session.maria = await page.context().storageState();
  await page.context().close();
});

await journey("a token is created, its secret is shown once, copied, and works", async () => {
  const page = await open({ state: session.maria });
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
  secrets.push(secret);
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
  const page = await open({ state: session.maria });
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
  secrets.push(secret);
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
  const page = await open({ state: session.maria });
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
  session.root = await page.context().storageState();
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
  const page = await open({ state: session.maria });
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
  const [one, two] = [await open({ state: session.maria }), await open()];
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
  secrets.push(secret);
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
  session.maria = await page.context().storageState();
  await page.context().close();
});

const day = (days) => new Date(Date.now() + days * 86400e3).toISOString().slice(0, 10);
let robot;
for (const [name, scopes, days] of [["release robot", ["api", "write_repository"], 3], ["cluster", ["read_registry"], 200], ["renovate", ["api"], null]]) {
  robot = await made(`/projects/${app.id}/access_tokens`, { name, scopes, access_level: 30, expires_at: days && day(days) });
}
assert.equal((await api("POST", `/projects/${app.id}/issues`, { title: "The lock file is old" }, robot.token)).status, 201);

await journey("a token has a page that says what it may do and what it did", async () => {
  const page = await open({ state: session.maria });
  await page.goto(tokensPage);
  await page.click("main a:has-text('renovate')");
  assert.equal(page.url(), `${tokensPage}/${robot.id}`);
  assert.match(await page.textContent("main"), /opened issue #1 “The lock file is old”/);
  assert.match(await page.textContent("main"), /push with Git/);
  await page.click("main a[data-ask]");
  assert.match(await page.textContent("dialog"), /Revoke “renovate”\?/);
  await page.context().close();
});

await journey("a first view is small, and nothing moves once it is there", async () => {
  for (const path of ["/acme/app/-/settings/access_tokens", "/acme/code", "/acme/code/-/blob/main/src/main.rs", "/dashboard"]) {
    for (const width of [390, 1280]) {
      const page = await open({ state: session.maria, width });
      const sizes = [];
      page.on("requestfinished", (request) => sizes.push(request.sizes()));
      await page.goto(FORGE + path, { waitUntil: "networkidle" });
      const bytes = (await Promise.all(sizes)).reduce((sum, size) => sum + size.responseHeadersSize + size.responseBodySize, 0);
      assert.ok(bytes > 8_000 && bytes <= 60 * 1024, `${path}: ${bytes} bytes`);
      const { painted, shift } = await page.evaluate(() => new Promise((resolve) => {
        let shift = 0;
        new PerformanceObserver((list) => { for (const entry of list.getEntries()) shift += entry.value; })
          .observe({ type: "layout-shift", buffered: true });
        setTimeout(() => {
          resolve({ painted: performance.getEntriesByName("first-contentful-paint")[0].startTime, shift });
        }, 300);
      }));
      assert.ok(shift < 0.01, `${path}: what was there moved by ${shift}`);
      console.log(`   ${path} at ${width}: ${bytes} bytes, painted after ${Math.round(painted)} ms, moved by ${shift.toFixed(4)}`);
      await page.context().close();
    }
  }
});

// Pages that are looked at in light and dark, narrow and wide: the name of the picture, the path, and `status` or `by` where
// it is not 200 for Maria.
export const pages = [
  ["design", "/-/design"],
  ["tokens", "/acme/app/-/settings/access_tokens"],
  ["token", `/acme/app/-/settings/access_tokens/${robot.id}`],
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
  ["not-found", "/acme/nothing", { status: 404 }],
];
