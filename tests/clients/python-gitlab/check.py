"""Goes through every endpoint that python-gitlab and the automation around it cannot do without, with a project access
token where one suffices, and looks at what comes back."""

import os

import gitlab

URL, PROJECT = os.environ["FORGE"], int(os.environ["PROJECT"])
root = gitlab.Gitlab(URL, private_token=os.environ["ROOT_TOKEN"])
robot = gitlab.Gitlab(URL, private_token=os.environ["TOKEN"])


def fails(status, ask, *arguments, **named):
    """Expects that a request is refused with a status, and returns the refusal."""
    try:
        ask(*arguments, **named)
    except gitlab.GitlabError as refusal:
        assert refusal.response_code == status, refusal
        return refusal
    raise AssertionError(f"expected {status} from {ask}")


def identity():
    robot.auth()
    assert robot.user.bot and robot.user.username == f"project_{PROJECT}_bot", robot.user
    assert robot.user.email and robot.user.commit_email and robot.user.web_url
    version, revision = robot.version()
    assert version.split(".")[0].isdigit() and revision
    assert robot.users.list(username=robot.user.username)[0].id == robot.user.id
    assert robot.users.list(username="nobody-is-called-so") == []
    assert robot.users.get(robot.user.id).name == "robot"
    token = robot.personal_access_tokens.get("self")
    assert token.active and not token.revoked and token.scopes == ["api"]
    fails(401, gitlab.Gitlab(URL, private_token="pcp_wrong").auth)
    fails(403, robot.projects.list, sudo="root")
    # The command line of this client sends texts for everything.
    assert robot.http_get("/projects", query_data={"membership": "True", "per_page": "1"})[0]["id"] == PROJECT


def tokens(project):
    owned = root.projects.get(PROJECT).access_tokens
    made = owned.create({"name": "second", "scopes": ["read_api"], "access_level": "20", "expires_at": "2099-01-01"})
    assert made.token and made.access_level == 20 and made.expires_at == "2099-01-01"
    assert {token.name for token in project.access_tokens.list(get_all=True)} == {"robot", "second"}
    assert project.access_tokens.get(made.id).user_id == made.user_id
    rotated = owned.rotate(made.id)
    assert rotated["user_id"] == made.user_id and rotated["token"] != made.token
    fails(401, gitlab.Gitlab(URL, private_token=made.token).auth)
    fails(400, project.access_tokens.create, {"name": "x", "scopes": ["api"], "expires_at": "2099-01-01"})
    project.access_tokens.delete(rotated["id"])
    fails(401, gitlab.Gitlab(URL, private_token=rotated["token"]).auth)
    # A token replaces itself.
    alone = owned.create({"name": "third", "scopes": ["api"], "access_level": 30, "expires_at": "2099-01-01"})
    caller = gitlab.Gitlab(URL, private_token=alone.token)
    again = caller.personal_access_tokens.get("self")
    again.rotate(self_rotate=True)
    assert again.token != alone.token
    fails(401, caller.auth)


def projects_and_people():
    group = root.groups.create({"name": "team", "path": "team"})
    assert root.groups.get("team").full_path == "team"
    new = root.projects.create({"name": "tool", "namespace_id": group.id, "visibility": "private"})
    assert new.import_status == "none" and new.default_branch is None and new.permissions is not None
    new.description = "What it is for"
    new.save()
    assert root.projects.get("team/tool").description == "What it is for"
    assert "tool" in [project.name for project in root.projects.list(iterator=True, per_page=1)]
    walked = root.projects.list(iterator=True, pagination="keyset", order_by="id", per_page=1)
    assert {"app", "tool"} <= {project.name for project in walked}
    fails(404, robot.projects.get, "team/tool")

    ana = root.users.create({"username": "ana", "name": "Ana", "email": "ana@example.com", "reset_password": True})
    member = new.members.create({"user_id": ana.id, "access_level": "30"})
    assert member.access_level == 30
    fails(409, new.members.create, {"user_id": ana.id, "access_level": 30})
    member.access_level = 40
    member.save()
    assert new.members.get(ana.id).access_level == 40
    assert [found.username for found in new.members.list()] == ["ana"]
    assert {found.username for found in new.members_all.list(get_all=True)} == {"ana", "root"}
    assert new.members_all.get(ana.id).username == "ana"
    new.members.delete(ana.id)
    fails(404, new.members.get, ana.id)
    new.delete()
    fails(404, root.projects.get, new.id)
    group.delete()
    fails(404, root.groups.get, group.id)


def repository(project):
    start = project.branches.get("main")
    actions = [
        {"action": "create", "file_path": "src/a b#1.txt", "content": "one\ntwo\n"},
        {"action": "create", "file_path": "bin.dat", "content": "AAEC", "encoding": "base64"},
    ]
    commit = project.commits.create({"branch": "main", "commit_message": "feat: two files", "actions": actions})
    assert commit.author_name == "robot" and commit.stats["additions"] == 2, commit
    assert commit.parent_ids == [start.commit["id"]]
    assert project.commits.get("main").id == commit.id
    assert [found.id for found in project.commits.list(per_page=1, iterator=True)][0] == commit.id
    assert project.commits.get(commit.id).diff()[0]["new_file"]

    branch = project.branches.create({"branch": "topic/one.x", "ref": "main"})
    assert not branch.protected and project.branches.get("topic/one.x").commit["id"] == commit.id
    fails(400, project.branches.create, {"branch": "topic/one.x", "ref": "main"})
    file = project.files.create(
        {"file_path": "docs/r%20.md", "branch": "topic/one.x", "content": "text", "commit_message": "add"})
    assert file.file_path == "docs/r%20.md" and file.branch == "topic/one.x"
    file = project.files.get(file_path="docs/r%20.md", ref="topic/one.x")
    assert file.decode() == b"text"
    head = project.files.head(file_path="docs/r%20.md", ref="topic/one.x")
    assert head["X-Gitlab-Blob-Id"] == file.blob_id and head["X-Gitlab-File-Path"] == "docs/r%20.md"
    file.content = "other"
    file.save(branch="topic/one.x", commit_message="change")
    assert project.files.raw(file_path="docs/r%20.md", ref="topic/one.x") == b"other"
    assert [part["lines"] for part in project.files.blame("docs/r%20.md", "topic/one.x")] == [["other"]]
    file.delete(branch="topic/one.x", commit_message="remove")
    fails(404, project.files.get, file_path="docs/r%20.md", ref="topic/one.x")
    paths = {entry["path"] for entry in project.repository_tree(recursive=True, get_all=True)}
    assert paths == {"README.md", "bin.dat", "src", "src/a b#1.txt"}, paths
    fails(404, project.repository_tree, path="nowhere")
    assert len(project.repository_compare("main", "topic/one.x")["commits"]) == 3
    assert project.repository_archive()[:2] == b"\x1f\x8b"
    branch.delete()
    fails(404, project.branches.get, "topic/one.x")

    assert commit.statuses.list() == []
    for state in ("pending", "running", "success"):
        status = commit.statuses.create({"state": state, "name": "build", "target_url": "https://example.com/1"})
    assert [(found.name, found.status) for found in commit.statuses.list()] == [("build", "success")], status
    assert commit.merge_requests() == []

    tag = project.tags.create({"tag_name": "v0.1.0", "ref": "main", "message": "First"})
    assert tag.commit["id"] == commit.id and tag.message == "First"
    assert [found.name for found in project.tags.list()] == ["v0.1.0"]
    fails(400, project.tags.create, {"tag_name": "v0.1.0", "ref": "main"})
    project.tags.get("v0.1.0").delete()
    fails(404, project.tags.get, "v0.1.0")


def releases(project):
    upload = project.upload("a note.txt", filedata=b"a note")
    assert upload["full_path"].startswith(f"/-/project/{PROJECT}/uploads/") and upload["markdown"] and upload["alt"]
    package = project.generic_packages.upload(
        package_name="tool", package_version="1.0.0", file_name="tool.bin", data=b"x" * 1000)
    assert package.message == "201 Created"
    assert project.generic_packages.download("tool", "1.0.0", "tool.bin") == b"x" * 1000
    assert [(found.name, found.version) for found in project.packages.list()] == [("tool", "1.0.0")]
    links = [{"name": "tool", "url": f"{URL}{upload['full_path']}", "direct_asset_path": "/bin/tool"}]
    new = {"tag_name": "v1.0.0", "ref": "main", "name": "One", "description": "New", "assets": {"links": links}}
    release = project.releases.create(new)
    assert release._links["self"] and release.assets["links"][0]["direct_asset_url"].endswith("/bin/tool")
    fails(409, project.releases.create, new)
    release.description = "Newer"
    release.save()
    assert project.releases.get("v1.0.0").description == "Newer"
    link = release.links.create({"name": "more", "url": "https://example.com/more"})
    assert {found.name for found in release.links.list()} == {"tool", "more"}
    link.delete()
    assert [found.tag_name for found in project.releases.list()] == ["v1.0.0"]
    project.releases.delete("v1.0.0")
    fails(404, project.releases.get, "v1.0.0")


def planning(project):
    label = project.labels.create({"name": "bug", "color": "#ff0000"})
    assert label.color == "#ff0000" and not label.subscribed
    fails(409, project.labels.create, {"name": "bug", "color": "#ff0000"})
    label.description = "Something is wrong"
    label.save()
    assert project.labels.list()[0].description == "Something is wrong"
    milestone = project.milestones.create({"title": "1.0", "due_date": "2099-02-01"})
    issue = project.issues.create({"title": "It fails", "labels": "bug,new", "milestone_id": milestone.id})
    assert issue.labels == ["bug", "new"] and issue.milestone["title"] == "1.0"
    assert [found.iid for found in project.issues.list(state="opened", scope="created_by_me")] == [issue.iid]
    issue.labels = []
    issue.description = "More"
    issue.save()
    assert project.issues.get(issue.iid).description == "More"
    note = issue.notes.create({"body": "Seen"})
    assert [found.body for found in issue.notes.list()] == ["Seen"] and note.author["id"] == robot.user.id
    note.body = "Seen again"
    note.save()
    note.delete()
    return issue


def merge_requests(project, issue):
    actions = [{"action": "create", "file_path": "fix.txt", "content": "fixed\n"}]
    head = project.commits.create(
        {"branch": "fix", "start_branch": "main", "commit_message": "fix: it", "actions": actions})
    new = {
        "source_branch": "fix", "target_branch": "main", "title": "Fix it", "labels": "",
        "description": f"Closes #{issue.iid}", "remove_source_branch": True,
    }
    request = project.mergerequests.create(new)
    assert request.state == "opened" and request.sha == head.id and request.author["id"] == robot.user.id
    assert request.pipeline is None and request.head_pipeline is None and request.user["can_merge"]
    assert request.diff_refs["head_sha"] == head.id
    fails(409, project.mergerequests.create, new)
    assert [found.iid for found in project.mergerequests.list(state="opened", scope="created_by_me")] == [request.iid]
    assert project.mergerequests.list(page=2, get_all=False) == []
    # This is how a list of nobody arrives from some clients: in the query, with an empty body.
    robot.http_put(f"/projects/{PROJECT}/merge_requests/{request.iid}", query_data={"assignee_ids[]": ""})
    request.title = "Fix it well"
    request.save()
    request = project.mergerequests.get(request.iid)
    assert request.title == "Fix it well" and request.detailed_merge_status == "mergeable", request
    note = request.notes.create({"body": "Looks good"})
    note.body = "Looks very good"
    note.save()
    assert "Looks very good" in [found.body for found in request.notes.list()]
    note.delete()
    request.approve(sha=head.id)
    assert [by["user"]["id"] for by in request.approvals.get().approved_by] == [robot.user.id]
    assert [closed.iid for closed in request.closes_issues()] == [issue.iid]
    assert [commit.id for commit in request.commits()] == [head.id]
    assert request.changes()["changes"][0]["new_path"] == "fix.txt"
    assert len(request.diffs.list()) == 1
    discussion = request.discussions.create({"body": "One more thing"})
    discussion.notes.create({"body": "Done"})
    discussion.resolved = True
    discussion.save()
    fails(409, request.merge, sha="0" * 40)
    merged = request.merge(should_remove_source_branch=True, merge_commit_message="Merge the fix")
    assert merged["state"] == "merged" and merged["merged_by"]["id"] == robot.user.id
    assert project.branches.get("main").commit["id"] == merged["merge_commit_sha"]
    fails(404, project.branches.get, "fix")
    assert project.issues.get(issue.iid).state == "closed"
    assert [found["iid"] for found in project.commits.get(head.id).merge_requests()] == [request.iid]
    fails(405, request.merge)


def the_end(project):
    hook = project.hooks.create({"url": "https://example.com/hook", "push_events": True, "token": "secret"})
    assert not hasattr(hook, "token")
    hook.delete()
    protected = project.protectedbranches.create({"name": "release/*", "push_access_level": 40})
    assert protected.push_access_levels[0]["access_level"] == 40
    protected.delete()
    assert {event.author["id"] for event in project.events.list(get_all=True)} >= {robot.user.id}
    # With its token everything ends at once, and what it wrote is nobody's.
    token = robot.personal_access_tokens.get("self")
    root.projects.get(PROJECT).access_tokens.delete(token.id)
    fails(401, robot.auth)


identity()
project = robot.projects.get("acme/app")
assert project.id == PROJECT and project.permissions["project_access"]["access_level"] == 40
tokens(project)
projects_and_people()
repository(project)
releases(project)
merge_requests(project, planning(project))
the_end(project)
