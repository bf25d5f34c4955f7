// Settings › General of projects and groups: what is changed there, and how they end.
import assert from "node:assert/strict";
import { FORGE, SCREENSHOTS, api, journey, look, made, open } from "../stage.mjs";
import { hostile, maria, session } from "../world.mjs";

const orchard = await made("/groups", { name: "Orchard", path: "orchard", visibility: "internal" });
await made(`/groups/${orchard.id}/members`, { user_id: maria.id, access_level: 50 });
await made("/groups", { name: "Cellar", path: "cellar", parent_id: orchard.id });
const project = (name) => made("/projects", { name, namespace_id: orchard.id, initialize_with_readme: true });
const pear = await project("pear");
await made(`/projects/${pear.id}/repository/branches`, { branch: "ripe", ref: "main" });
await made(`/projects/${pear.id}/access_tokens`, { name: "picker", scopes: ["api"], access_level: 30 });
const plum = await project("plum");
await project("quince");
const old = await project("old");
await made(`/projects/${old.id}/archive`);
const settings = `${FORGE}/orchard/pear/-/edit`;
const saved = (page) => page.textContent("[role=status]");

await journey("a project's settings are changed, section by section", async () => {
  const page = await open({ state: session.maria });
  await page.goto(`${FORGE}/orchard/pear`);
  await page.click(".side a:has-text('General')");
  assert.equal(page.url(), settings);
  await page.fill("#name", "n".repeat(256));
  await page.fill("#description", `For ${hostile}\n\nand for pears.`);
  await page.fill("#topics", `fruit, ${hostile}`);
  await page.click("text=Save changes");
  assert.match(await page.textContent("#name-error"), /is too long/);
  await look(page, "project-settings-wrong");
  await page.fill("#name", "Pear");
  await page.click("text=Save changes");
  assert.match(await saved(page), /Saved/);
  assert.equal(await page.inputValue("#topics"), `fruit, ${hostile}`);
  assert.equal(await page.locator("#visibility-public").count(), 0, "the group is internal");
  await page.check("#visibility-internal");
  await page.selectOption("#issues_access_level", "disabled");
  await page.click("text=Save visibility and features");
  assert.match(await saved(page), /Saved/);
  assert.equal(await page.locator(".side a:has-text('Issues')").count(), 0);
  await page.selectOption("#default_branch", "ripe");
  await page.click("text=Change default branch");
  await page.check("#merge_method-ff");
  await page.check("#only_allow_merge_if_all_discussions_are_resolved");
  await page.click("text=Save merge settings");
  assert.match(await saved(page), /Saved/);
  assert.ok(await page.isChecked("#merge_method-ff"));
  const now = (await api("GET", `/projects/${pear.id}`)).body;
  assert.deepEqual(
    [now.name, now.visibility, now.issues_access_level, now.default_branch, now.merge_method, now.lfs_enabled],
    ["Pear", "internal", "disabled", "ripe", "ff", true]);
  assert.equal(now.only_allow_merge_if_all_discussions_are_resolved, true);
  await page.context().close();
});

await journey("a project moves, is archived and comes back", async () => {
  const page = await open({ state: session.maria });
  await page.goto(`${FORGE}/orchard/plum/-/edit`);
  await page.fill("#path", "pear");
  await page.click("main button:has-text('Change path')");
  assert.match(await page.textContent("#path-error"), /has already been taken/);
  await look(page, "project-path-wrong");
  await page.fill("#path", "damson");
  await page.click("main button:has-text('Change path')");
  assert.match(await saved(page), /is at orchard\/damson now/);
  assert.equal(page.url(), `${FORGE}/orchard/damson/-/edit`);
  await page.click("main a:has-text('Archive project')");
  await page.waitForSelector("dialog[open]");
  await look(page, "project-archive-question");
  await page.click("dialog button[type=submit]");
  assert.match(await saved(page), /is archived/);
  assert.equal(await page.locator("#name").count(), 0);
  await page.click("main button:has-text('Unarchive project')");
  assert.match(await saved(page), /writable again/);
  await page.context().close();
});

await journey("a project is deleted once its path is typed, without scripts, on a phone", async () => {
  const page = await open({ state: session.maria, scripts: false, width: 390 });
  await page.goto(`${FORGE}/orchard/damson/-/edit`);
  await page.screenshot({ path: `${SCREENSHOTS}/project-settings-plain.png`, fullPage: true });
  await page.click("main a:has-text('Delete project')");
  await page.fill("#full_path", "damson");
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("#full_path-error"), /This is not orchard\/damson/);
  await page.screenshot({ path: `${SCREENSHOTS}/project-delete-wrong.png`, fullPage: true });
  await page.fill("#full_path", "orchard/damson");
  await page.click("main button[type=submit]");
  assert.equal(page.url(), `${FORGE}/groups/orchard`);
  assert.match(await saved(page), /orchard\/damson was deleted/);
  assert.equal((await api("GET", `/projects/${plum.id}`)).status, 404);
  await page.context().close();
});

await journey("a group gets another name and keeps its switches; one inside it is deleted", async () => {
  const page = await open({ state: session.maria });
  await page.goto(`${FORGE}/groups/orchard/-/edit`);
  await page.fill("#name", "The orchard");
  await page.fill("#description", `Trees ${hostile}`);
  await page.check("#visibility-private");
  await page.click("text=Save name and visibility");
  assert.match(await page.textContent("#visibility-error"), /contains projects or groups with higher visibility/);
  await look(page, "group-settings-wrong");
  await page.check("#visibility-public");
  await page.click("text=Save name and visibility");
  assert.match(await saved(page), /Saved/);
  assert.ok(await page.isChecked("#allow-tokens") && await page.isChecked("#allow-lfs"));
  await page.goto(`${FORGE}/groups/orchard/cellar/-/edit`);
  await page.click("main a:has-text('Delete group')");
  await page.fill("#full_path", "orchard/cellar");
  await page.click("main button[type=submit]");
  assert.equal(page.url(), `${FORGE}/groups/orchard`);
  assert.match(await saved(page), /orchard\/cellar was deleted/);
  await page.context().close();
});

export const pages = [
  ["project-settings", "/orchard/pear/-/edit"],
  ["project-settings-of-maintainer", "/acme/app/-/edit"],
  ["project-settings-archived", "/orchard/old/-/edit"],
  ["project-settings-hidden", "/acme/code/-/edit", { status: 404 }],
  ["project-archive", "/orchard/pear/-/edit/archive"],
  ["project-delete", "/orchard/pear/-/edit/delete"],
  ["group-settings-general", "/groups/orchard/-/edit"],
  ["group-delete", "/groups/orchard/-/edit/delete"],
];
