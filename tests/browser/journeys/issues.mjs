// Issues and merge requests: their lists, their discussions, and the forms to write and plan them.
import assert from "node:assert/strict";
import { FORGE, SCREENSHOTS, api, journey, look, made, open } from "../stage.mjs";
import { code, hostile, maria, session } from "../world.mjs";

const project = `/projects/${code.id}`;
const issues = `${FORGE}/acme/code/-/issues`;
const requests = `${FORGE}/acme/code/-/merge_requests`;
const robot = (await made(`${project}/access_tokens`, { name: "renovate", scopes: ["api"], access_level: 40 })).token;
const asRobot = async (method, path, body) => {
  const answer = await api(method, `${project}${path}`, body, robot);
  assert.ok(answer.status < 300, `${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
};
await made(`${project}/milestones`, { title: "Spring" });

await journey("an issue is opened, found, discussed, closed and opened again", async () => {
  const page = await open({ state: session.maria });
  await page.goto(`${FORGE}/acme/code`);
  await page.click("nav[aria-label=Project] a:has-text('Issues')");
  assert.match(await page.textContent("main"), /No open issues/);
  await look(page, "issues-empty");
  await page.click("text=Open an issue");
  await look(page, "issue-new");
  await page.fill("#title", "The build is slow");
  await page.fill("#description", "It takes **ten minutes**.\n\n- [x] measured\n- [ ] mended\n\n```rust\nfn main() {}\n```");
  await page.check("label:has-text('Maria Okafor') input");
  await page.fill("#more_labels", "build, speed");
  await page.selectOption("#milestone_id", { label: "Spring" });
  await page.fill("#due_date", "2030-01-31");
  await page.click("main button.main");
  assert.equal(page.url(), `${issues}/1`);
  assert.match(await page.textContent("[role=status]"), /Issue #1 is open/);
  assert.match(await page.textContent("aside"), /Maria Okafor.*build.*speed.*Spring.*2030-01-31/s);

  await asRobot("POST", "/issues/1/notes", { body: `Measured: ${hostile}` });
  await page.goto(`${issues}/1`);
  assert.equal(await page.locator(".thread .badge.accent").textContent(), "Bot");
  await page.click(".thread summary");
  await page.fill(".thread textarea", "Thank you, robot.");
  await page.click(".thread button:has-text('Reply')");
  await page.fill("#body", "I will look into it.");
  await page.click("#comment button.main");
  assert.match(page.url(), /#note_\d+$/);
  assert.equal(await page.locator(".note-body").count(), 3);
  await page.click("text=Close issue");
  assert.match(await page.textContent("[role=status]"), /is closed/);
  await look(page, "issue-closed");
  await page.click("text=Reopen issue");
  await page.click(".note-body:has-text('look into it') a:has-text('Edit')");
  await look(page, "note-edit");
  await page.fill("#body", "I looked into it.");
  await page.click("main button.main");
  assert.match(await page.textContent(".activity"), /I looked into it\./);
  await page.click(".note-body:has-text('looked into it') a:has-text('Delete')");
  await page.waitForSelector("dialog[open]");
  await look(page, "note-delete");
  await page.click("dialog button[type=submit]");
  assert.equal(await page.locator(".note-body").count(), 2);
  await page.context().close();
});

await journey("issues are done without scripts too", async () => {
  const page = await open({ scripts: false, width: 390, state: session.maria });
  await page.goto(`${issues}/1/edit`);
  await page.fill("#title", "The build is slow, on Mondays");
  await page.click("main button.main");
  assert.match(await page.textContent("h1"), /on Mondays/);
  await page.fill("#body", "By hand.");
  await page.click("#comment button.main");
  await page.click(".note-body:has-text('By hand') a:has-text('Delete')");
  assert.match(await page.textContent("h1"), /Delete the comment by Maria/);
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /was deleted/);
  await page.screenshot({ path: `${SCREENSHOTS}/issue-plain.png`, fullPage: true });
  await page.context().close();
});

for (const [title, labels] of [["Update dependency serde to v2", "dependencies"], [hostile, "speed"], ["A word ".repeat(30), "build, dependencies, a label with many words in it"]]) {
  await asRobot("POST", "/issues", { title, labels, description: hostile, assignee_ids: [maria.id] });
}
await made(`${project}/issues`, { title: "Where the keys are", confidential: true });
await asRobot("PUT", "/issues/2", { state_event: "close" });

const change = (branch, file_path, content, action = "create", start_branch) => asRobot("POST", "/repository/commits", {
  branch, start_branch, commit_message: `Change ${file_path}`, actions: [{ action, file_path, content }],
});
const wide = Array.from({ length: 30 }, (_, line) => `line ${line + 1} ${hostile}\n`).join("");
await change("renovate/serde-2", "deps.toml", wide, "create", "main");
await change("renovate/serde-2", "deps.toml", wide.replace("line 7", "LINE 7"), "update");
const request = (source_branch, title, more) =>
  asRobot("POST", "/merge_requests", { source_branch, target_branch: "main", title, ...more });
await request("renovate/serde-2", "Update dependency serde to v2", {
  description: `Closes #1\n\n${hostile}\n\n| package | from | to |\n|---|---|---|\n| serde | 1 | 2 |`,
  labels: "dependencies", reviewer_ids: [maria.id],
});
const { diff_refs } = await asRobot("GET", "/merge_requests/1");
await asRobot("POST", "/merge_requests/1/discussions", {
  body: `Is this ${hostile} the right line?`,
  position: { ...diff_refs, position_type: "text", new_path: "deps.toml", new_line: 7 },
});
await change("conflict", "README.md", "theirs\n", "update", "main");
await change("main", "README.md", "ours\n", "update");
await request("conflict", "What cannot be merged");
await asRobot("POST", "/repository/branches", { branch: "nothing", ref: "main" });
await request("nothing", "Draft: nothing in it yet");
await asRobot("PUT", "/merge_requests/3", { title: "Nothing in it yet" });

await journey("a merge request is opened, discussed, approved and merged", async () => {
  const page = await open({ state: session.root });
  await page.goto(`${FORGE}/acme/code`);
  await page.click("nav[aria-label=Project] a:has-text('Merge requests')");
  await page.click("text=New merge request");
  await page.selectOption("#source_branch", "feature/one");
  await page.fill("#title", "Nothing new");
  await look(page, "merge-request-new");
  await page.click("main button.main");
  assert.match(await page.textContent("[role=status]"), /Merge request !4 is open/);
  assert.match(await page.textContent("main"), /There is nothing to merge/);
  await page.click("text=Close merge request");
  await look(page, "merge-request-closed");

  await page.goto(`${requests}/1`);
  await look(page, "merge-request-mergeable");
  await page.click("text=Resolve discussion");
  assert.match(await page.textContent("[role=status]"), /is resolved/);
  await page.click("button:text-is('Approve')");
  assert.match(await page.textContent("aside"), /Approved by.*Administrator/s);
  await page.click("text=Revoke approval");
  await page.click("button:text-is('Approve')");
  await page.check("#squash");
  await page.click("text=Change the message");
  await page.fill("#merge_commit_message", "Serde, the second");
  await page.click("button:text-is('Merge')");
  assert.match(await page.textContent("main"), /Merged into main by Administrator/);
  assert.match(await page.textContent("main"), /Closed with it:/);
  await look(page, "merge-request-merged");
  await page.goto(`${issues}/1`);
  assert.match(await page.textContent("main"), /Closed/);
  await page.context().close();
});

await journey("merge requests are done without scripts too", async () => {
  const page = await open({ scripts: false, width: 390, state: session.maria });
  await page.goto(`${requests}/2`);
  assert.match(await page.textContent("main"), /changed the same places/);
  await page.fill("#body", "I will settle it.");
  await page.click("#comment button.main");
  await page.click("text=Approve");
  assert.match(await page.textContent("[role=status]"), /You approved/);
  await page.screenshot({ path: `${SCREENSHOTS}/merge-request-plain.png`, fullPage: true });
  await page.context().close();
});

export const pages = [
  ["issues", "/acme/code/-/issues"],
  ["issues-none", "/acme/code/-/issues?search=nothing"],
  ["issue", "/acme/code/-/issues/1"],
  ["issue-long", "/acme/code/-/issues/4"],
  ["issue-edit", "/acme/code/-/issues/1/edit"],
  ["merge-requests", "/acme/code/-/merge_requests"],
  ["merge-request", "/acme/code/-/merge_requests/1"],
  ["merge-request-commits", "/acme/code/-/merge_requests/1/commits"],
  ["merge-request-diffs", "/acme/code/-/merge_requests/1/diffs"],
  ["merge-request-line", "/acme/code/-/merge_requests/2/discussions/new?file=README.md"],
  ["merge-request-conflict", "/acme/code/-/merge_requests/2"],
  ["merge-request-empty", "/acme/code/-/merge_requests/3"],
  ["merge-request-edit", "/acme/code/-/merge_requests/2/edit"],
];
