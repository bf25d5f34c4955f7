// A second factor: setting it up, signing in with it, a group that requires it.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { FORGE, api, journey, look, made, open, secrets, signIn } from "../stage.mjs";

// What an authenticator shows (RFC 6238) some steps of half a minute from now.
const code = (secret, steps = 0) => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret.replaceAll(" ", "")].map((one) => alphabet.indexOf(one).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + steps));
  const digest = createHmac("sha1", key).update(counter).digest();
  const at = digest[19] & 15;
  return String((digest.readUInt32BE(at) & 0x7fffffff) % 1e6).padStart(6, "0");
};

const password = "a long enough sentence";
await made("/users", { username: "ada", name: "Ada Moreau", email: "ada@example.com", password });
const ada = (await api("GET", "/users?username=ada")).body[0];
const strict = await made("/groups", { name: "Strict", path: "strict", visibility: "private" });
await made(`/groups/${strict.id}/members`, { user_id: ada.id, access_level: 30 });

await journey("a group requires a second factor, which is set up before anything else", async () => {
  const page = await open();
  await signIn(page, "ada", password);
  assert.equal((await api("PUT", `/groups/${strict.id}`, { require_two_factor_authentication: true })).status, 200);
  await page.goto(`${FORGE}/projects/new`);
  assert.equal(new URL(page.url()).pathname, "/-/user_settings/two_factor");
  assert.match(await page.textContent("main"), /The group strict requires it/);
  await look(page, "two-factor-required");
  const secret = await page.textContent("main code");
  await page.fill("#code", "000000");
  await page.fill("#password", "wrong");
  await page.click("main form button.main");
  assert.match(await page.textContent("#password-error"), /is not your password/);
  assert.equal(await page.textContent("main code"), secret);
  await look(page, "two-factor-wrong");
  await page.fill("#code", code(secret));
  await page.fill("#password", password);
  await page.click("main form button.main");
  const codes = (await page.textContent("#recovery-codes")).trim().split("\n");
  assert.equal(codes.length, 10);
  secrets.push(secret.replaceAll(" ", ""), secret.trim(), ...codes, ...codes.map((one) => one.replaceAll("-", "")));
  await page.click("[data-copy=recovery-codes]");
  assert.equal((await page.evaluate(() => navigator.clipboard.readText())).trim(), codes.join("\n"));
  await look(page, "two-factor-codes");
  await page.reload();
  assert.ok(!(await page.content()).includes(codes[0]), "a reload shows the codes");
  assert.match(await page.textContent("main"), /10 recovery codes are left/);
  await look(page, "two-factor");
  await page.goto(`${FORGE}/projects/new`);
  assert.equal(new URL(page.url()).pathname, "/projects/new");
  await page.context().close();

  for (const scripts of [true, false]) {
    const again = await open({ scripts, width: 390 });
    await again.goto(`${FORGE}/users/sign_in?return_to=${encodeURIComponent("/groups/strict")}`);
    await again.fill("#login", "ada");
    await again.fill("#password", password);
    await again.click("main button[type=submit]");
    assert.equal(new URL(again.url()).pathname, "/users/two_factor");
    if (scripts) await look(again, "sign-in-code");
    await again.fill("#code", "123");
    await again.click("main button[type=submit]");
    assert.match(await again.textContent("[role=alert]"), /That did not work/);
    if (scripts) await look(again, "sign-in-code-wrong");
    // The code of the step that is now may be the one that was taken before, and a step may end at any moment.
    await again.fill("#code", scripts ? code(secret, 1) : codes[3]);
    await again.click("main button[type=submit]");
    assert.equal(again.url(), `${FORGE}/groups/strict`);
    await again.context().close();
  }
  // Its Owner would be asked for one as well.
  assert.equal((await api("PUT", `/groups/${strict.id}`, { require_two_factor_authentication: false })).status, 200);
});

export const pages = [["two-factor", "/-/user_settings/two_factor"]];
