// Labels and milestones, deleting an issue, and what texts only name.
import assert from "node:assert/strict";
import { FORGE, SCREENSHOTS, journey, look, made, open } from "../stage.mjs";
import { hostile, maria, session } from "../world.mjs";

const group = await made("/groups", { name: "Garden", path: "garden", visibility: "public" });
const plot = await made("/projects", { name: "plot", namespace_id: group.id, visibility: "public", initialize_with_readme: true });
await made(`/projects/${plot.id}/members`, { user_id: maria.id, access_level: 50 });
const at = `${FORGE}/garden/plot/-`;

await journey("labels are made, used, changed and deleted", async () => {
  const page = await open({ state: session.maria });
  await page.goto(`${at}/issues`);
  await page.click("main .head a:has-text('Labels')");
  assert.match(await page.textContent("main"), /No labels yet/);
  await look(page, "labels-empty");
  await page.click("text=Make a label");
  await page.fill("#title", "weeds, roots");
  await page.fill("#color", "#2e8b57");
  await page.fill("#description", "What grows where it should not.");
  await page.click("main button.main");
  assert.match(await page.textContent("#title-error"), /commas/);
  assert.equal(await page.inputValue("#color"), "#2e8b57");
  await look(page, "label-wrong");
  await page.fill("#title", "weeds");
  await page.fill("#priority", "1");
  await page.click("main button.main");
  assert.match(await page.textContent("[role=status]"), /Label weeds was created/);
  assert.equal(await page.getAttribute(".rows .dot rect", "fill"), "#2e8b57");
  await page.click("a[aria-label='Edit weeds']");
  await page.fill("#color", "#ff8c00");
  await page.click("main button.main");
  assert.equal(await page.getAttribute(".rows .dot rect", "fill"), "#ff8c00");
  await page.click("text=New label");
  await page.fill("#title", "passing");
  await page.click("main button.main");
  await page.click("a[aria-label='Delete passing']");
  await page.waitForSelector("dialog[open]");
  await look(page, "label-delete");
  await page.click("dialog button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /was deleted/);
  assert.equal(await page.locator(".rows > li").count(), 1);
  await page.context().close();
});

await journey("a milestone is made, planned for, closed and opened again", async () => {
  const page = await open({ state: session.maria });
  await page.goto(`${at}/issues`);
  await page.click("main .head a:has-text('Milestones')");
  await look(page, "milestones-empty");
  await page.click("text=Make a milestone");
  await page.fill("#title", "Harvest");
  await page.fill("#description", "All that is **ripe**; see #1.");
  await page.fill("#start_date", "2090-08-01");
  await page.fill("#due_date", "2090-07-01");
  await page.click("main button.main");
  assert.match(await page.textContent("#due_date-error"), /before the start date/);
  await look(page, "milestone-wrong");
  await page.fill("#due_date", "2090-09-30");
  await page.click("main button.main");
  assert.equal(page.url(), `${at}/milestones/1`);
  assert.match(await page.textContent("main"), /Upcoming.*No issues are planned/s);

  for (const title of ["Water the beans", hostile]) {
    await page.goto(`${at}/issues/new`);
    await page.fill("#title", title);
    await page.fill("#description", "Like #1 and !1, for @maria, and not `#2`.");
    await page.check("label:has-text('weeds') input");
    await page.selectOption("#milestone_id", { label: "Harvest" });
    await page.click("main button.main");
  }
  await page.goto(`${at}/issues/1`);
  assert.deepEqual(await page.locator(".prose a").evaluateAll((links) => links.map((link) => link.getAttribute("href"))),
    ["/garden/plot/-/issues/1", "/garden/plot/-/merge_requests/1", "/maria"]);
  assert.equal(await page.getAttribute("aside .dot rect", "fill"), "#ff8c00");
  await look(page, "issue-references");
  await page.click("text=Close issue");
  await page.goto(`${at}/milestones/1`);
  assert.match(await page.textContent("main"), /1 of 2 issues are closed/);
  await page.click("text=Close milestone");
  assert.match(await page.textContent("[role=status]"), /milestone is closed/);
  await page.click("text=Reopen milestone");
  assert.match(await page.textContent("[role=status]"), /open again/);
  await page.context().close();
});

await journey("an issue is deleted by an owner, after a question", async () => {
  await made(`/projects/${plot.id}/issues`, { title: "A mistake" });
  const page = await open({ state: session.maria });
  await page.goto(`${at}/issues/3`);
  await page.click("main .head a:has-text('Delete')");
  await page.waitForSelector("dialog[open]");
  await look(page, "issue-delete");
  await page.click("dialog button[type=submit]");
  assert.equal(page.url(), `${at}/issues`);
  assert.match(await page.textContent("[role=status]"), /Issue #3 was deleted/);
  await page.context().close();
});

await journey("planning is done without scripts too", async () => {
  const page = await open({ scripts: false, width: 390, state: session.maria });
  await page.goto(`${at}/labels/new`);
  await page.fill("#title", "passing");
  await page.click("main button.main");
  await page.click("a[aria-label='Delete passing']");
  assert.match(await page.textContent("h1"), /Delete label “passing”\?/);
  await page.screenshot({ path: `${SCREENSHOTS}/label-delete-plain.png`, fullPage: true });
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /was deleted/);
  await page.goto(`${at}/milestones/new`);
  await page.fill("#title", "Frost");
  await page.click("main button.main");
  await page.click("text=Delete");
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /was deleted/);
  await page.context().close();
});

for (const [name, color, description] of [[hostile, "teal", hostile], ["a label with many words in it", "#fff", ""], ["word".repeat(30), "black", "word ".repeat(40)]]) {
  await made(`/projects/${plot.id}/labels`, { name, color, description });
}
await made(`/projects/${plot.id}/milestones`, { title: hostile, description: hostile, due_date: "2001-01-31" });
await made(`/projects/${plot.id}/milestones`, { title: "word".repeat(30) });

export const pages = [
  ["labels", "/garden/plot/-/labels"],
  ["labels-none", "/garden/plot/-/labels?search=nothing"],
  ["label-new", "/garden/plot/-/labels/new"],
  ["milestones", "/garden/plot/-/milestones"],
  ["milestones-closed", "/garden/plot/-/milestones?state=closed"],
  ["milestone", "/garden/plot/-/milestones/1"],
  ["milestone-requests", "/garden/plot/-/milestones/1?show=merge_requests"],
  ["milestone-edit", "/garden/plot/-/milestones/1/edit"],
  ["issues-colours", "/garden/plot/-/issues?state=all"],
];
