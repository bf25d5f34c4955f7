// What the forge is for, by hand, in every way that somebody may look at it: with and without scripts, in light and dark,
// narrow and wide.
import assert from "node:assert/strict";
import { FORGE, api, journey, look, made, open, secrets, signIn } from "../stage.mjs";

const password = "a sentence for every screen";
await made("/users", { username: "nina", name: "Nina Park", email: "nina@example.com", password });
await made("/users", { username: "omar", name: "Omar Haddad", email: "omar@example.com" });
const nina = (await api("GET", "/users?username=nina")).body[0];
const group = await made("/groups", { name: "Harbour", path: "harbour", visibility: "private" });
await made(`/groups/${group.id}/members`, { user_id: nina.id, access_level: 50 });
const project = await made("/projects", { name: "pier", namespace_id: group.id });
const tokens = `${FORGE}/harbour/pier/-/settings/access_tokens`;
const edit = `${FORGE}/groups/harbour/-/edit`;

// Follows a link that asks: in place with scripts, on a page of its own without.
const ask = async (page, scripts, link) => {
  await page.click(link);
  const question = scripts ? "dialog[open]" : "main form.alone";
  await page.waitForSelector(question);
  return { text: await page.textContent(question), yes: () => page.click(`${question} button[type=submit]`) };
};

for (const scripts of [true, false]) {
  for (const dark of [false, true]) {
    for (const width of [390, 1280]) {
      const way = `${scripts ? "with" : "without"} scripts, ${dark ? "dark" : "light"}, ${width} pixels`;
      await journey(`tokens, members and the group's switch: ${way}`, async () => {
        // Nothing that is evaluated in a page runs where scripts are off, so those are looked at with them alone.
        const seen = async (page, name) => { if (scripts) await look(page, `${name}-${width}-${dark ? "dark" : "light"}`); };
        const page = await open({ scripts, dark, width });
        await signIn(page, "nina", password);

        await page.goto(tokens);
        await page.click("details.unfold > summary");
        await page.fill("#name", "harbour pilot");
        await page.fill("#expires_at", "2000-01-01");
        await page.selectOption("#access_level", "30");
        await page.check("#scopes-api");
        await page.click("main form button.main");
        assert.match(await page.textContent("#expires_at-error"), /must be/);
        assert.equal(await page.inputValue("#name"), "harbour pilot");
        await seen(page, "outcome-form");
        await page.fill("#expires_at", "");
        await page.click("main form button.main");
        const secret = await page.inputValue("#fresh-secret");
        secrets.push(secret);
        await seen(page, "outcome-secret");
        assert.equal((await api("GET", `/projects/${project.id}`, undefined, secret)).status, 200);
        await page.goto(tokens);
        assert.ok(!(await page.content()).includes(secret), "the secret is shown again");

        await page.click("a[aria-label='Rotate harbour pilot']");
        await page.click("main button:has-text('Rotate token')");
        const second = await page.inputValue("#fresh-secret");
        secrets.push(second);
        assert.equal((await api("GET", `/projects/${project.id}`, undefined, secret)).status, 401);

        await page.goto(`${FORGE}/harbour/pier/-/project_members`);
        const bot = page.locator(".rows > li", { hasText: "harbour pilot" });
        assert.match(await bot.textContent(), /Bot/);
        assert.equal(await bot.locator("button, select, a[data-ask]").count(), 0);
        await page.click("details.unfold > summary");
        await page.fill("#username", "omar");
        await page.click("main button:has-text('Add member')");
        assert.match(await page.textContent("[role=status]"), /Omar Haddad was added as Developer/);
        await seen(page, "outcome-members");
        const leaving = await ask(page, scripts, "a[aria-label='Remove Omar Haddad']");
        assert.match(leaving.text, /Remove Omar Haddad\?/);
        await leaving.yes();
        assert.match(await page.textContent("[role=status]"), /was removed/);

        await page.goto(edit);
        await page.uncheck("#allow-tokens");
        await page.click("text=Save changes");
        await page.goto(tokens);
        assert.match(await page.textContent("main"), /Project access token creation is disabled in this group\./);
        assert.equal(await page.locator("text=Create project access token").count(), 0);
        await seen(page, "outcome-switched-off");
        assert.equal((await api("GET", `/projects/${project.id}`, undefined, second)).status, 200);

        const ending = await ask(page, scripts, "a[aria-label='Revoke harbour pilot']");
        assert.match(ending.text, /Revoke “harbour pilot”\?.*stops working/s);
        await ending.yes();
        assert.match(await page.textContent("[role=status]"), /Revoked access token harbour pilot!/);
        assert.equal((await api("GET", `/projects/${project.id}`, undefined, second)).status, 401);
        await page.goBack();
        await page.goto(edit);
        await page.check("#allow-tokens");
        await page.click("text=Save changes");
        await page.context().close();
      });
    }
  }
}

export const pages = [];
