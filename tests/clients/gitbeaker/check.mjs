// Goes through every endpoint that gitbeaker and the automation around it cannot do without, with a project access
// token where one suffices, and looks at what comes back.
import assert from 'node:assert/strict';
import { Gitlab, GitbeakerRequestError } from '@gitbeaker/rest';

const { FORGE: host, TOKEN: token, ROOT_TOKEN: rootToken } = process.env;
const id = Number(process.env.PROJECT);
const robot = new Gitlab({ host, token });
const root = new Gitlab({ host, token: rootToken });

// Expects that a request is refused with a status.
async function refused(status, asked) {
  const problem = await asked.then(
    () => assert.fail(`expected ${status}`),
    (error) => error,
  );
  assert.ok(problem instanceof GitbeakerRequestError, String(problem));
  assert.equal(problem.cause.response.status, status, problem.cause.description);
  assert.ok(problem.cause.description, 'the refusal says nothing');
}

const me = await robot.Users.showCurrentUser();
assert.equal(me.username, `project_${id}_bot`);
assert.deepEqual((await robot.Users.all({ username: me.username })).map((user) => user.id), [me.id]);
assert.equal((await robot.Users.show(me.id)).name, 'robot');
assert.match((await robot.Metadata.show()).version, /^\d+\.\d+\.\d+/);
assert.deepEqual((await robot.PersonalAccessTokens.show()).scopes, ['api']);

// Tokens: a person makes them, the robot sees and ends them.
const made = await root.ProjectAccessTokens.create(id, 'second', ['read_api'], '2099-01-01', { accessLevel: 20 });
assert.equal(made.access_level, 20);
assert.equal((await robot.ProjectAccessTokens.all(id)).length, 2);
assert.equal((await robot.ProjectAccessTokens.show(id, made.id)).user_id, made.user_id);
const rotated = await root.ProjectAccessTokens.rotate(id, made.id);
assert.equal(rotated.user_id, made.user_id);
await refused(401, new Gitlab({ host, token: made.token }).Users.showCurrentUser());
await robot.ProjectAccessTokens.revoke(id, rotated.id);
await refused(401, new Gitlab({ host, token: rotated.token }).Users.showCurrentUser());

// Projects, groups and members.
const project = await robot.Projects.show('acme/app');
assert.equal(project.id, id);
assert.equal(project.permissions.project_access.access_level, 40);
const group = await root.Groups.create('team', 'team');
const tool = await root.Projects.create({ name: 'tool', namespaceId: group.id });
await root.Projects.edit(tool.id, { description: 'What it is for' });
assert.equal((await root.Projects.show('team/tool')).description, 'What it is for');
await refused(404, robot.Projects.show('team/tool'));
const ana = await root.Users.create({ username: 'ana', name: 'Ana', email: 'ana@example.com', resetPassword: true });
await root.ProjectMembers.add(tool.id, 30, { userId: ana.id });
await refused(409, root.ProjectMembers.add(tool.id, 30, { userId: ana.id }));
await root.ProjectMembers.edit(tool.id, ana.id, 40);
assert.equal((await root.ProjectMembers.show(tool.id, ana.id)).access_level, 40);
assert.equal((await root.ProjectMembers.all(tool.id, { includeInherited: true })).length, 2);
await root.ProjectMembers.remove(tool.id, ana.id);
assert.ok((await root.Projects.all({ orderBy: 'id', pagination: 'keyset', perPage: 1 })).length >= 2);
await root.Projects.remove(tool.id);
await root.Groups.remove(group.id);
await refused(404, root.Groups.show('team'));

// The repository.
const first = await robot.Commits.create(id, 'main', 'feat: a file', [
  { action: 'create', filePath: 'src/a b#1.txt', content: 'one\n' },
]);
assert.equal(first.author_name, 'robot');
assert.equal((await robot.Commits.show(id, 'main')).id, first.id);
assert.equal((await robot.Commits.all(id, { perPage: 1 })).length, 2);
await robot.Branches.create(id, 'topic/one.x', 'main');
assert.equal((await robot.Branches.show(id, 'topic/one.x')).commit.id, first.id);
assert.equal((await robot.Branches.all(id)).length, 2);
await robot.RepositoryFiles.create(id, 'docs/r%20.md', 'topic/one.x', 'text', 'add');
const file = await robot.RepositoryFiles.show(id, 'docs/r%20.md', 'topic/one.x');
assert.equal(Buffer.from(file.content, 'base64').toString(), 'text');
await robot.RepositoryFiles.edit(id, 'docs/r%20.md', 'topic/one.x', 'other', 'change');
assert.equal(await (await robot.RepositoryFiles.showRaw(id, 'docs/r%20.md', 'topic/one.x')), 'other');
await robot.RepositoryFiles.remove(id, 'docs/r%20.md', 'topic/one.x', 'remove');
await refused(404, robot.RepositoryFiles.show(id, 'docs/r%20.md', 'topic/one.x'));
const tree = await robot.Repositories.allRepositoryTrees(id, { recursive: true });
assert.deepEqual(tree.map((entry) => entry.path).sort(), ['README.md', 'src', 'src/a b#1.txt']);
assert.equal((await robot.Repositories.compare(id, 'main', 'topic/one.x')).commits.length, 3);
assert.ok((await robot.Repositories.showArchive(id)).size > 100);
await robot.Branches.remove(id, 'topic/one.x');
assert.deepEqual(await robot.Commits.allStatuses(id, first.id), []);
await robot.Commits.editStatus(id, first.id, 'success', { name: 'build' });
assert.equal((await robot.Commits.allStatuses(id, first.id))[0].status, 'success');
await robot.Tags.create(id, 'v0.1.0', 'main', { message: 'First' });
assert.equal((await robot.Tags.show(id, 'v0.1.0')).commit.id, first.id);
assert.equal((await robot.Tags.all(id)).length, 1);
await robot.Tags.remove(id, 'v0.1.0');
await refused(404, robot.Tags.show(id, 'v0.1.0'));

// Releases, uploads and packages.
const upload = await robot.Projects.uploadForReference(id, { filename: 'a note.txt', content: new Blob(['a note']) });
assert.match(upload.full_path, /^\/-\/project\/\d+\/uploads\//);
const content = new Blob(['x'.repeat(1000)]);
const published = await robot.PackageRegistry.publish(id, 'tool', '1.0.0', { filename: 'tool.bin', content });
assert.equal(published.message, '201 Created');
assert.equal((await robot.Packages.all({ projectId: id })).length, 1);
const links = [{ name: 'note', url: host + upload.full_path, directAssetPath: '/note' }];
const release = { tagName: 'v1.0.0', ref: 'main', name: 'One', description: 'New', assets: { links } };
await robot.ProjectReleases.create(id, release);
await refused(409, robot.ProjectReleases.create(id, release));
await robot.ProjectReleases.edit(id, 'v1.0.0', { description: 'Newer' });
assert.equal((await robot.ProjectReleases.show(id, 'v1.0.0')).description, 'Newer');
await robot.ReleaseLinks.create(id, 'v1.0.0', 'more', 'https://example.com/more');
assert.equal((await robot.ReleaseLinks.all(id, 'v1.0.0')).length, 2);
assert.equal((await robot.ProjectReleases.all(id)).length, 1);
await robot.ProjectReleases.remove(id, 'v1.0.0');

// Issues, labels and comments; lists go over several pages.
await robot.ProjectLabels.create(id, 'bug', '#ff0000');
await refused(409, robot.ProjectLabels.create(id, 'bug', '#ff0000'));
assert.equal((await robot.ProjectLabels.all(id)).length, 1);
const issues = [];
for (const title of ['one', 'two', 'three']) issues.push(await robot.Issues.create(id, title, { labels: 'bug' }));
assert.equal((await robot.Issues.all({ projectId: id, perPage: 2 })).length, 3);
const page = await robot.Issues.all({ projectId: id, perPage: 2, page: 1, maxPages: 1, showExpanded: true });
assert.deepEqual([page.data.length, page.paginationInfo.total, page.paginationInfo.next], [2, 3, 2]);
const issue = issues[0];
await robot.Issues.edit(id, issue.iid, { description: 'More', labels: '' });
assert.deepEqual((await robot.Issues.show(issue.iid, { projectId: id })).labels, []);
await robot.IssueNotes.create(id, issue.iid, 'Seen');
assert.equal((await robot.IssueNotes.all(id, issue.iid)).length, 1);
await refused(404, robot.Issues.show(999, { projectId: id }));

// Merge requests.
const head = await robot.Commits.create(id, 'fix', 'fix: it', [
  { action: 'create', filePath: 'fix.txt', content: 'fixed\n' },
], { startBranch: 'main' });
const request = await robot.MergeRequests.create(id, 'fix', 'main', 'Fix it', {
  description: `Closes #${issue.iid}`,
  removeSourceBranch: true,
});
assert.equal(request.sha, head.id);
await refused(409, robot.MergeRequests.create(id, 'fix', 'main', 'Fix it'));
assert.equal((await robot.MergeRequests.all({ projectId: id, state: 'opened' })).length, 1);
await robot.MergeRequests.edit(id, request.iid, { title: 'Fix it well' });
const shown = await robot.MergeRequests.show(id, request.iid);
assert.equal(shown.title, 'Fix it well');
assert.equal(shown.detailed_merge_status, 'mergeable');
const note = await robot.MergeRequestNotes.create(id, request.iid, 'Looks good');
await robot.MergeRequestNotes.edit(id, request.iid, note.id, { body: 'Looks very good' });
await robot.MergeRequestNotes.remove(id, request.iid, note.id);
const { base_sha: baseSha, start_sha: startSha, head_sha: headSha } = shown.diff_refs;
const discussion = await robot.MergeRequestDiscussions.create(id, request.iid, 'Here', {
  position: { positionType: 'text', baseSha, startSha, headSha, newPath: 'fix.txt', newLine: '1' },
});
assert.equal(discussion.notes[0].type, 'DiffNote');
assert.equal(discussion.notes[0].position.new_line, 1);
await robot.MergeRequestDiscussions.resolve(id, request.iid, discussion.id, true);
await robot.MergeRequestApprovals.approve(id, request.iid);
assert.equal((await robot.MergeRequests.allDiffs(id, request.iid)).length, 1);
assert.equal((await robot.MergeRequests.allCommits(id, request.iid)).length, 1);
assert.equal((await robot.MergeRequests.allIssuesClosed(id, request.iid)).length, 1);
const merged = await robot.MergeRequests.merge(id, request.iid, { shouldRemoveSourceBranch: true });
assert.equal(merged.state, 'merged');
assert.equal((await robot.Issues.show(issue.iid, { projectId: id })).state, 'closed');
await refused(404, robot.Branches.show(id, 'fix'));

// With its token everything ends at once.
await root.ProjectAccessTokens.revoke(id, (await robot.PersonalAccessTokens.show()).id);
await refused(401, robot.Users.showCurrentUser());
