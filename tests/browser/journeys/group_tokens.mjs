// Access Tokens of a group: made, shown once, rotated and revoked by its Owner, and a page for each.
import assert from "node:assert/strict";
import { FORGE, SCREENSHOTS, api, journey, look, made, open, secrets } from "../stage.mjs";
import { hostile, session } from "../world.mjs";

const machines = (await api("GET", "/groups/machines")).body;
const tokensPage = `${FORGE}/groups/machines/-/settings/access_tokens`;
const day = (days) => new Date(Date.now() + days * 86400e3).toISOString().slice(0, 10);

await journey("an Owner makes a token for a group, and its secret is shown once", async () => {
  const page = await open({ state: session.maria });
  await page.goto(`${FORGE}/groups/machines`);
  await page.click(".side a:has-text('Access Tokens')");
  assert.equal(page.url(), tokensPage);
  assert.match(await page.textContent("main"), /This group has no active access tokens\./);
  await look(page, "group-tokens-empty");
  await page.click("details.unfold > summary");
  await look(page, "group-tokens-form");
  assert.deepEqual(await page.$$eval("#access_level option", (all) => all.map((one) => one.textContent)),
    ["Guest", "Planner", "Reporter", "Developer", "Maintainer", "Owner"]);
  await page.fill("#name", "fleet");
  await page.evaluate(() => document.querySelector("form.form").setAttribute("novalidate", ""));
  await page.click("main form button.main");
  assert.match(await page.textContent("#scopes-error"), /scopes can't be blank/i);
  assert.equal(await page.inputValue("#name"), "fleet");
  await page.check("#scopes-api");
  await page.check("#scopes-read_registry");
  await page.click("main form button.main");
  const secret = await page.inputValue("#fresh-secret");
  secrets.push(secret);
  assert.match(secret, /^pcg_[0-9A-Za-z]{36}$/);
  await page.click("[data-copy=fresh-secret]");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
  await page.click(".secret summary");
  await look(page, "group-tokens-fresh");
  assert.equal((await api("GET", `/groups/${machines.id}`, undefined, secret)).status, 200);
  await page.reload();
  assert.ok(!(await page.content()).includes(secret), "a reload shows the secret");
  assert.equal(await page.locator(".table tbody tr").count(), 1, "a reload made another token");
  await page.context().close();
});

await journey("a token of a group is rotated and revoked, and each asks first", async () => {
  const page = await open({ state: session.maria });
  await page.goto(tokensPage);
  await page.click("a[aria-label='Rotate fleet']");
  assert.match(await page.textContent("h1"), /Rotate “fleet”\?/);
  await look(page, "group-tokens-rotate");
  await page.fill("#expires_at", day(3));
  await page.click("main button:has-text('Rotate token')");
  const secret = await page.inputValue("#fresh-secret");
  secrets.push(secret);
  assert.match(await page.textContent(".table"), /Expires soon/);
  await page.goto(tokensPage);
  await page.click("a[aria-label='Revoke fleet']");
  await page.waitForSelector("dialog[open]");
  assert.match(await page.textContent("dialog"), /Revoke “fleet”\?.*stops working.*everything below it/s);
  await look(page, "group-tokens-revoke");
  await page.click("dialog button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /Revoked access token fleet!/);
  assert.equal((await api("GET", `/groups/${machines.id}`, undefined, secret)).status, 401);
  await page.context().close();
});

await journey("the same for a group without scripts, on a phone", async () => {
  const page = await open({ state: session.maria, scripts: false, width: 390 });
  await page.goto(tokensPage);
  await page.click("details.unfold > summary");
  await page.fill("#name", "by hand");
  await page.check("#scopes-read_repository");
  await page.click("main form button.main");
  const secret = await page.inputValue("#fresh-secret");
  secrets.push(secret);
  await page.screenshot({ path: `${SCREENSHOTS}/group-tokens-fresh-plain.png`, fullPage: true });
  await page.goto(tokensPage);
  assert.ok(!(await page.content()).includes(secret));
  await page.click("a[aria-label='Revoke by hand']");
  assert.match(await page.textContent("h1"), /Revoke “by hand”\?/);
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /Revoked access token by hand!/);
  await page.context().close();
});

await journey("a group below a top-level group that forbids creation says so", async () => {
  const page = await open({ state: session.maria });
  await page.goto(`${FORGE}/groups/machines/-/edit`);
  await page.uncheck("#allow-tokens");
  await page.click("text=Save changes");
  await page.goto(tokensPage);
  assert.match(await page.textContent("main"), /Group access token creation is disabled in this group\./);
  await page.goto(`${FORGE}/groups/machines/builders/-/settings/access_tokens`);
  assert.match(await page.textContent("main"),
    /Group access token creation is disabled in the top-level group machines\./);
  assert.equal(await page.locator("text=Create group access token").count(), 0);
  await look(page, "group-tokens-forbidden");
  await page.click("main .note a");
  await page.check("#allow-tokens");
  await page.click("text=Save changes");
  await page.context().close();
});

let robot;
for (const [name, scopes, days] of [[hostile, ["read_repository", "read_registry"], 3], ["fleet", ["api"], null]]) {
  robot = await made(`/groups/${machines.id}/access_tokens`, { name, scopes, access_level: 40, expires_at: days && day(days) });
}
for (const name of ["engine", "crane"]) {
  const project = await made("/projects", { name, namespace_id: machines.id, initialize_with_readme: true });
  assert.equal((await api("POST", `/projects/${project.id}/issues`, { title: `Oil the ${name}` }, robot.token)).status, 201);
  assert.equal((await api("PUT", `/projects/${project.id}`, { description: `An ${name}.` }, robot.token)).status, 200);
}

await journey("a token of a group has a page that says what it may do and what it did", async () => {
  const page = await open({ state: session.maria });
  await page.goto(`${FORGE}/groups/machines/-/group_members`);
  await page.click("main a:has-text('“fleet”')");
  assert.equal(page.url(), `${tokensPage}/${robot.id}`);
  const text = await page.textContent("main");
  assert.match(text, /What it may do in this group and in every project below it/);
  assert.match(text, /opened issue #1 “Oil the engine”\s+machines\/engine/);
  assert.match(text, /project updated\s+machines\/crane/);
  await page.click("main a:has-text('machines/engine')");
  assert.equal(page.url(), `${FORGE}/machines/engine`);
  await page.context().close();
});

export const pages = [
  ["group-tokens", "/groups/machines/-/settings/access_tokens"],
  ["group-token", `/groups/machines/-/settings/access_tokens/${robot.id}`],
  ["group-members-with-bots", "/groups/machines/-/group_members"],
];
