// The container registry, what happened in a project, and releases.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { FORGE, SCREENSHOTS, journey, look, made, open } from "../stage.mjs";
import { app, code, hostile, session } from "../world.mjs";

const bot = await made(`/projects/${app.id}/access_tokens`, { name: `robot ${hostile}`, scopes: ["api"], access_level: 40 });
const images = `${FORGE}/acme/app/-/container_registry`;

// Pushes an image as a client of the registry does.
const digest = (bytes) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const ask = async (method, path, headers, body) => {
  const response = await fetch(FORGE + path, { method, headers, body });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return { headers: response.headers, text };
};
const push = async (name, tags, seed) => {
  const basic = `Basic ${Buffer.from(`any:${bot.token}`).toString("base64")}`;
  const grant = await ask("GET", `/jwt/auth?service=container_registry&scope=repository:${name}:pull,push`, { authorization: basic });
  const authorization = `Bearer ${JSON.parse(grant.text).token}`;
  const blob = async (type, text) => {
    const address = `/v2/${name}/blobs/uploads/?digest=${digest(text)}`;
    await ask("POST", address, { authorization, "content-type": "application/octet-stream" }, text);
    return { mediaType: type, digest: digest(text), size: text.length };
  };
  const type = "application/vnd.oci.image.manifest.v1+json";
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: type,
    config: await blob("application/vnd.oci.image.config.v1+json", JSON.stringify({ config: { seed } })),
    layers: [await blob("application/vnd.oci.image.layer.v1.tar+gzip", `layer ${seed} `.repeat(5000))],
  });
  for (const tag of tags) {
    await ask("PUT", `/v2/${name}/manifests/${tag}`, { authorization, "content-type": type }, manifest);
  }
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{ mediaType: type, digest: digest(manifest), size: manifest.length }],
  });
  await ask("PUT", `/v2/${name}/manifests/${tags[0]}-all`, { authorization, "content-type": "application/vnd.oci.image.index.v1+json" }, index);
};

await journey("an empty registry says how to push, and what was pushed is shown and deleted", async () => {
  const page = await open({ state: session.maria });
  await page.goto(images);
  const host = FORGE.replace("http://", "");
  await look(page, "images-empty");
  await page.click("[data-copy=login]");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `docker login ${host}`);
  assert.match(await page.textContent("#push"), new RegExp(`docker push ${host}/acme/app`));
  await push("acme/app", ["1.0", "1.1", "a-tag-with-a-long-name-that-goes-on-and-on-0123456789"], "one");
  await push("acme/app/web/frontend", ["latest"], "two");
  await page.reload();
  await page.click("main a:has-text('acme/app')");
  assert.match(await page.textContent("main"), /docker pull|4 tags/);
  await page.click("[aria-label='Copy the digest of 1.1']");
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^sha256:[0-9a-f]{64}$/);
  await page.click("[aria-label='Delete 1.1']");
  await page.waitForSelector("dialog[open]");
  await look(page, "image-delete");
  await page.click("dialog button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /The tag 1\.1 was deleted/);
  assert.equal(await page.locator("[aria-label='Delete 1.1']").count(), 0);
  await page.context().close();
});

await journey("a tag is deleted without scripts too", async () => {
  const page = await open({ state: session.maria, scripts: false, width: 390 });
  await page.goto(images);
  await page.click("main a:has-text('acme/app/web/frontend')");
  await page.screenshot({ path: `${SCREENSHOTS}/image-plain.png`, fullPage: true });
  await page.click("[aria-label='Delete latest-all']");
  assert.match(await page.textContent("h1"), /Delete acme\/app\/web\/frontend:latest-all\?/);
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /was deleted/);
  await page.context().close();
});

await journey("a release is made, gets a link, and is told in the activity", async () => {
  const page = await open({ state: session.maria });
  await page.goto(`${FORGE}/acme/code/-/releases`);
  await look(page, "releases-empty");
  await page.click("main a:has-text('New release')");
  await page.fill("#tag_name", "v2.0");
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("#ref-error"), /there is no such tag yet/);
  await look(page, "release-form-wrong");
  await page.fill("#ref", "main");
  await page.fill("#name", `Second ${hostile}`);
  await page.fill("#description", `## New\n\n- one\n- two ${hostile}\n\nSee [the guide](docs/guide.md).`);
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("[role=status]"), /Release v2\.0 was created/);
  await page.click("details.unfold > summary");
  await page.fill("#name", "binary for Linux");
  await page.evaluate(() => document.querySelector("main details form").setAttribute("novalidate", ""));
  await page.fill("#url", "javascript:alert(1)");
  await page.click("main details button[type=submit]");
  assert.match(await page.textContent("#url-error"), /is blocked/);
  await page.fill("#url", "https://example.com/app.tar.gz");
  await page.selectOption("#link_type", "package");
  await page.click("main details button[type=submit]");
  assert.match(await page.textContent("main"), /binary for Linux.*Package/s);
  await page.click("main a:has-text('Edit')");
  await look(page, "release-edit");
  await page.goto(`${FORGE}/acme/code/activity`);
  assert.equal(new URL(page.url()).pathname, "/acme/code/-/activity");
  assert.match(await page.textContent("main"), /Maria Okafor created release/);
  await page.context().close();
  await made(`/projects/${code.id}/issues`, { title: `It fails ${hostile}` });
  await made(`/projects/${code.id}/issues/1/notes`, { body: "I see the same since yesterday.\n\nThe log says nothing." });
});

export const pages = [
  ["images", "/acme/app/-/container_registry"],
  ["image", "/acme/app/-/container_registry/1"],
  ["releases", "/acme/code/-/releases"],
  ["release", "/acme/code/-/releases/v2.0"],
  ["release-form", "/acme/code/-/releases/new"],
  ["activity", "/acme/code/-/activity"],
  ["activity-of-images", "/acme/app/-/activity"],
];
