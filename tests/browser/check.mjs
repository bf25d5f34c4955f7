// What people do with a browser, done with a browser: with and without scripts, in light and dark, narrow and wide.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DATA, FORGE, LOG, browser, journey, look, open, secrets } from "./stage.mjs";
import { session } from "./world.mjs";

// One after the other; each module takes its journeys when it is imported.
const parts = [
  await import("./journeys/tokens.mjs"),
  await import("./journeys/second_factor.mjs"),
  await import("./journeys/administration.mjs"),
  await import("./journeys/issues.mjs"),
  await import("./journeys/planning.mjs"),
  await import("./journeys/images.mjs"),
  await import("./journeys/groups.mjs"),
  await import("./journeys/settings.mjs"),
  await import("./journeys/group_tokens.mjs"),
  await import("./journeys/outcome.mjs"),
];

await journey("every page looks right, in light and dark, narrow and wide", async () => {
  for (const width of [390, 1280]) {
    for (const dark of [false, true]) {
      for (const as of ["maria", "root"]) {
        const page = await open({ width, dark, state: session[as] });
        for (const [name, path, { status = 200, by = "maria" } = {}] of parts.flatMap((part) => part.pages)) {
          if (by !== as) continue;
          const answer = await page.goto(FORGE + path);
          assert.equal(answer.status(), status, path);
          await look(page, `${name}-${width}-${dark ? "dark" : "light"}`);
        }
        await page.context().close();
      }
    }
  }
});

await journey("nothing remembers a secret that a page showed", async () => {
  assert.ok(secrets.length > 20, `${secrets.length} secrets`);
  const files = readdirSync(DATA, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const places = [LOG, ...files.map((entry) => join(entry.parentPath, entry.name))];
  for (const place of places) {
    const content = readFileSync(place);
    for (const secret of secrets) assert.ok(!content.includes(secret), `${place} holds a secret`);
  }
  const log = readFileSync(LOG, "utf8");
  assert.ok(log.includes("/settings/access_tokens"), "the log does not tell of every request");
  console.log(`   ${secrets.length} secrets, ${places.length} files`);
});

await browser.close();
