// What there is in the forge before the first journey: Acme with two projects, Maria who maintains one of them, and names
// that would be markup if anything let them.
import { FORGE, api, made } from "./stage.mjs";

export const hostile = "<script>alert(1)</script> & \"'</title>";
export const group = await made("/groups", { name: "Acme", path: "acme", visibility: "public" });
await made("/groups", { name: "Tools", path: "tools", parent_id: group.id });
export const app = await made("/projects", { name: "app", namespace_id: group.id, description: hostile });
await made("/users", { username: "maria", name: "Maria Okafor", email: "maria@example.com", password: "correct horse battery" });
export const maria = (await api("GET", "/users?username=maria")).body[0];
await made(`/projects/${app.id}/members`, { user_id: maria.id, access_level: 40 });
await made("/users", { username: "jo", name: hostile, email: "jo@example.com" });
export const code = await made("/projects", { name: "code", namespace_id: group.id, initialize_with_readme: true });
await made(`/projects/${code.id}/repository/commits`, {
  branch: "main",
  commit_message: `Add ${hostile}\n\nAnd what is below.`,
  actions: [
    { action: "update", file_path: "README.md", content: `# Code\n\n${hostile}\n\n- [x] [docs](docs/guide.md)\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n![far](https://example.com/x.png)\n` },
    { action: "create", file_path: "docs/guide.md", content: "# Guide\n\n## Part\n\n```rust\nfn main() {}\n```\n\n> said\n" },
    { action: "create", file_path: "src/main.rs", content: `// ${hostile}\nfn main() {\n    println!("${"long ".repeat(60)}", 1);\n}\n` },
    { action: "create", file_path: "empty.txt", content: "" },
  ],
});
await made(`/projects/${code.id}/members`, { user_id: maria.id, access_level: 30 });
await made(`/projects/${code.id}/repository/branches`, { branch: "feature/one", ref: "main" });
await made(`/projects/${code.id}/repository/tags`, { tag_name: "v1.0", ref: "main", message: hostile });
export const tokensPage = `${FORGE}/acme/app/-/settings/access_tokens`;

// Where people are signed in, since the journeys in which they did: Maria, and `root`, who administers the forge.
export const session = { maria: undefined, root: undefined };
