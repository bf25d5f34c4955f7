// Administration: people are created, blocked and deleted; the audit log is narrowed and taken along; settings are read.
import assert from "node:assert/strict";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { DATA, FORGE, api, journey, look, made, open, signIn } from "../stage.mjs";
import { app, group, hostile, session } from "../world.mjs";

const bot = (await made(`/projects/${app.id}/access_tokens`, { name: "auditor", scopes: ["read_api"], access_level: 20 })).user_id;

await journey("administration is not there for anybody else", async () => {
  const page = await open({ state: session.maria });
  await page.goto(`${FORGE}/dashboard`);
  assert.equal(await page.locator("header >> text=Administration").count(), 0);
  await page.goto(`${FORGE}/admin`);
  assert.match(await page.textContent("h1"), /Page not found/);
  await page.context().close();
});

await journey("a person is created, and the link is shown once, copied, and works", async () => {
  const page = await open({ state: session.root });
  await page.goto(`${FORGE}/dashboard`);
  await page.click("header >> text=Administration");
  assert.equal(await page.textContent("h1"), "Overview");
  assert.match(await page.textContent("#seats + .figure"), /^\d+ billable users$/);
  await page.click(".side >> text=Users");
  await page.click("text=New user");
  await page.fill("#username", "maria");
  await page.fill("#name", hostile);
  await page.fill("#email", "kim@example.com");
  await page.check("#traits-external");
  await page.click("main form button.main");
  assert.match(await page.textContent("#username-error"), /has already been taken/);
  assert.equal(await page.inputValue("#name"), hostile);
  assert.ok(await page.isChecked("#traits-external"));
  await look(page, "admin-user-new-wrong");
  await page.fill("#username", "kim");
  await page.fill("#name", "Kim Ito");
  await page.click("main form button.main");
  const link = await page.inputValue("#fresh-link");
  assert.match(link, /\/users\/password\/edit\?reset_password_token=pcl_/);
  await page.click("[data-copy=fresh-link]");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), link);
  await look(page, "admin-user-created");
  await page.reload();
  assert.equal(await page.textContent("h1"), "Kim Ito");
  assert.ok(!(await page.content()).includes("pcl_"), "a reload shows the link");
  const other = await open();
  await other.goto(link);
  await other.fill("#new_password", "a sentence of my own");
  await other.fill("#new_password_again", "a sentence of my own");
  await other.click("main button[type=submit]");
  await signIn(other, "kim", "a sentence of my own");
  await page.click("main button:has-text('Block')");
  assert.match(await page.textContent("[role=status]"), /Blocked: they were signed out/);
  await other.goto(`${FORGE}/dashboard`);
  assert.equal(new URL(other.url()).pathname, "/users/sign_in");
  await look(page, "admin-user-blocked");
  await page.click("main button:has-text('Unblock')");
  assert.match(await page.textContent("[role=status]"), /Unblocked/);
  await page.click("main a:has-text('Delete')");
  await page.waitForSelector("dialog[open]");
  assert.match(await page.textContent("dialog"), /Delete Kim Ito\?.*@kim is signed out/s);
  await look(page, "admin-user-delete");
  await page.keyboard.press("Escape");
  await page.click("main a:has-text('Delete')");
  await page.click("dialog button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /being deleted/);
  await page.context().close();
  await other.context().close();
});

await journey("bots are marked, and nothing is done to them here", async () => {
  const page = await open({ state: session.root });
  await page.goto(`${FORGE}/admin/users?show=bots`);
  await page.click("text=auditor");
  assert.match(await page.textContent("main"), /A bot belongs to its access token/);
  assert.equal(await page.locator("main button, main a[data-ask]").count(), 0);
  await page.click("main .note a");
  assert.equal(new URL(page.url()).pathname, "/acme/app/-/settings/access_tokens");
  await page.context().close();
});

await journey("the audit log is narrowed and taken along", async () => {
  const page = await open({ state: session.root });
  await page.goto(`${FORGE}/admin/audit_log`);
  await page.fill("#action", "token_created");
  await page.selectOption("#kind", "Project");
  await page.click("main form button.main");
  const rows = page.locator(".table tbody tr");
  assert.ok(await rows.count() > 1);
  for (const text of await rows.allTextContents()) assert.match(text, /token created/);
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("text=Download CSV")]);
  assert.match(file.suggestedFilename(), /^audit-log-\d{4}-\d\d-\d\d\.csv$/);
  const lines = readFileSync(await file.path(), "utf8").trim().split("\r\n");
  assert.ok(lines.length > 2 && lines.slice(1).every((line) => line.includes("token_created")), lines.join("\n"));
  await page.click("text=Show everything");
  assert.equal(await page.inputValue("#action"), "");
  await page.context().close();
});

await journey("a job that failed says why, and is tried again", async () => {
  const page = await open({ state: session.root });
  const gone = await made("/projects", { name: "gone", namespace_id: group.id });
  // Where the trash was is a file: what moves a repository there fails.
  const trash = `${DATA}/repositories/@trash`;
  renameSync(trash, `${trash}-away`);
  writeFileSync(trash, "");
  assert.equal((await api("DELETE", `/projects/${gone.id}`)).status, 202);
  const failed = page.locator(".rows > li", { hasText: "delete project" });
  for (let tries = 0; tries < 50; tries += 1) {
    await page.goto(`${FORGE}/admin/jobs?show=failed`);
    if (await failed.count()) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.match(await failed.textContent(), new RegExp(`project ${gone.id}.*Last error: `, "s"));
  await look(page, "admin-jobs-failed");
  await page.setViewportSize({ width: 390, height: 900 });
  await look(page, "admin-jobs-failed-390");
  await page.goto(`${FORGE}/admin`);
  assert.match(await page.textContent("#health + .rows"), /1 failed/);
  rmSync(trash);
  renameSync(`${trash}-away`, trash);
  await page.goto(`${FORGE}/admin/jobs?show=failed`);
  if (await failed.count()) {
    await failed.locator("button").click();
    assert.match(await page.textContent("[role=status]"), /tried again now|done already/);
  }
  // Trying again leads to all jobs, and may be over by then: only the list of
  // those that failed can say that none did.
  for (let tries = 0; tries < 50; tries += 1) {
    await page.goto(`${FORGE}/admin/jobs?show=failed`);
    if (await failed.count() === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.match(await page.textContent("main"), /Nothing failed/);
  await page.context().close();
});

await journey("administration works without scripts too", async () => {
  const page = await open({ state: session.root, scripts: false, width: 390 });
  await page.goto(`${FORGE}/admin/users/new`);
  await page.fill("#username", "plain");
  await page.fill("#email", "plain@example.com");
  await page.click("main form button.main");
  assert.match(await page.inputValue("#fresh-link"), /pcl_/);
  const id = (await api("GET", "/users?username=plain")).body[0].id;
  await page.goto(`${FORGE}/admin/users/${id}`);
  await page.click("main button:has-text('Block')");
  assert.match(await page.textContent("[role=status]"), /Blocked/);
  await page.click("main a:has-text('Delete')");
  assert.match(await page.textContent("h1"), /Delete plain\?/);
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /being deleted/);
  await page.goto(`${FORGE}/admin/settings`);
  assert.match(await page.textContent("main"), /environment variable PORTCULLIS_MAX_FAILED_SIGN_INS/);
  await page.goto(`${FORGE}/admin/jobs`);
  assert.match(await page.textContent("h1"), /Background jobs/);
  await page.context().close();
});

// Pages that are looked at in light and dark, narrow and wide.
export const pages = [
  ["admin", "/admin", { by: "root" }],
  ["admin-users", "/admin/users", { by: "root" }],
  ["admin-users-none", "/admin/users?search=nobody-at-all", { by: "root" }],
  ["admin-user-new", "/admin/users/new", { by: "root" }],
  ["admin-user", `/admin/users/${(await api("GET", "/users?username=maria")).body[0].id}`, { by: "root" }],
  ["admin-bot", `/admin/users/${bot}`, { by: "root" }],
  ["admin-projects", "/admin/projects", { by: "root" }],
  ["admin-audit", "/admin/audit_log", { by: "root" }],
  ["admin-audit-wrong", "/admin/audit_log?token=x&who=maria", { by: "root", status: 422 }],
  ["admin-jobs", "/admin/jobs", { by: "root" }],
  ["admin-settings", "/admin/settings", { by: "root" }],
  ["admin-hidden", "/admin", { status: 404 }],
];
