// Groups, their members, what a single name leads to, and one's own profile.
import assert from "node:assert/strict";
import { FORGE, SCREENSHOTS, journey, look, made, open } from "../stage.mjs";
import { app, group, session } from "../world.mjs";

const day = (days) => new Date(Date.now() + days * 86400e3).toISOString().slice(0, 10);

await journey("a group is made, and another one inside it", async () => {
  const page = await open({ state: session.maria });
  await page.goto(`${FORGE}/dashboard`);
  await page.click("main a:has-text('New group')");
  await page.fill("#name", "Maria’s machines");
  await page.fill("#path", "acme");
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("#path-error"), /has already been taken/);
  assert.equal(await page.inputValue("#name"), "Maria’s machines");
  await look(page, "new-group-wrong");
  await page.fill("#path", "machines");
  await page.check("#visibility-internal");
  await page.click("main button[type=submit]");
  assert.equal(page.url(), `${FORGE}/groups/machines`);
  await look(page, "group-empty");
  await page.click("main a:has-text('New subgroup')");
  assert.equal(await page.locator("#visibility-public").count(), 0);
  await page.fill("#name", "Builders");
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /Group Builders was created/);
  await page.goto(`${FORGE}/machines`);
  assert.equal(page.url(), `${FORGE}/groups/machines`);
  await page.context().close();
});

await journey("members of a group come, stay until a day, and go", async () => {
  const page = await open({ state: session.maria });
  await page.goto(`${FORGE}/groups/machines`);
  await page.click(".side a:has-text('Members')");
  await page.click("details.unfold > summary");
  await page.fill("#username", "jo");
  await page.click("main button:has-text('Add member')");
  assert.match(await page.textContent("[role=status]"), /was added as Developer/);
  const jo = page.locator(".rows > li", { hasText: "@jo" });
  await jo.locator("input[type=date]").fill(day(3));
  await jo.locator("select").selectOption("20");
  await jo.locator("button").click();
  assert.match(await page.textContent("[role=status]"), /is Reporter now, until/);
  await look(page, "group-members-changed");
  await jo.locator("input[type=date]").fill("2000-01-01");
  await jo.locator("button").click();
  assert.match(await page.textContent(".wrong"), /cannot be a date in the past/);
  await look(page, "group-members-wrong");
  await jo.locator("input[type=date]").fill("");
  await jo.locator("button").click();
  assert.match(await page.textContent("[role=status]"), /is Reporter now\.$/);
  await jo.locator("a[data-ask]").click();
  await page.click("dialog button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /was removed/);
  await page.context().close();
});

await journey("the same without scripts, on a phone", async () => {
  const page = await open({ state: session.maria, scripts: false, width: 390 });
  await page.goto(`${FORGE}/groups/machines/-/group_members`);
  await page.click("details.unfold > summary");
  await page.fill("#username", "jo");
  await page.click("main button:has-text('Add member')");
  const jo = page.locator(".rows > li", { hasText: "@jo" });
  await jo.locator("input[type=date]").fill(day(30));
  await jo.locator("button").click();
  assert.match(await page.textContent("[role=status]"), /until/);
  await page.screenshot({ path: `${SCREENSHOTS}/group-members-plain.png`, fullPage: true });
  await jo.locator("a", { hasText: "Remove" }).click();
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /was removed/);
  await page.context().close();
});

await journey("somebody changes their name, and has a page", async () => {
  const page = await open({ state: session.maria });
  await page.goto(`${FORGE}/dashboard`);
  await page.click("details.menu > summary");
  await page.click(".menu a:has-text('Profile')");
  await page.fill("#name", "Maria O.");
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /You are called Maria O\. now/);
  await page.click("main a:has-text('Your page')");
  assert.equal(page.url(), `${FORGE}/maria`);
  assert.match(await page.textContent("h1"), /Maria O\./);
  await page.goto(`${FORGE}/nobody-here`);
  assert.match(await page.textContent("h1"), /Page not found/);
  assert.equal(await page.locator("[aria-label='Account of Maria O.']").count(), 1);
  await page.goto(`${FORGE}/-/user_settings/profile`);
  await page.fill("#name", "Maria Okafor");
  await page.click("main button[type=submit]");
  await page.context().close();
});

await made(`/groups/${group.id}/access_tokens`, { name: "group robot", scopes: ["read_api"], access_level: 20 });
await made(`/projects/${app.id}/members`, { user_id: (await made("/users", { username: "sam", name: "Sam Lee", email: "sam@example.com" })).id, access_level: 30, expires_at: day(3) });

export const pages = [
  ["new-group", "/groups/new"],
  ["group-of-ones-own", "/groups/machines"],
  ["group-members", "/groups/machines/-/group_members"],
  ["members-until", "/acme/app/-/project_members"],
  ["person", "/maria"],
  ["profile", "/-/user_settings/profile"],
];
