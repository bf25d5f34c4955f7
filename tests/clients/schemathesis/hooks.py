"""What requests are about: most go to things that are there, and what is destroyed was made to be destroyed.

Who asks changes too: an administrator, the bot of a project access token, somebody without a token."""

import hashlib
import itertools
import json
import os
import random

import requests
import schemathesis

FORGE = os.environ["FORGE"]
ROOT = {"PRIVATE-TOKEN": os.environ["ROOT_TOKEN"]}
BOT = {"PRIVATE-TOKEN": os.environ["TOKEN"]}

numbers = itertools.count(1)
chance = random.Random(int(os.environ["SEED"]))
session = requests.Session()


def make(method, path, **options):
    answer = session.request(method, f"{FORGE}/api/v4{path}", headers=ROOT, timeout=20, **options)
    if not answer.ok:
        raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text}")
    return answer.json() if answer.content else None


def word(start):
    return f"{start}{next(numbers)}"


def project(group=None):
    name = word("project")
    body = {"name": name, "path": name, "namespace_id": group or GROUP, "initialize_with_readme": True}
    return make("POST", "/projects", json=body)["id"]


def group():
    name = word("group")
    return make("POST", "/groups", json={"name": name, "path": name})["id"]


def person():
    name = word("person")
    body = {"username": name, "name": name, "email": f"{name}@example.com"}
    return make("POST", "/users", json=body)["id"]


GROUP = group()
PROJECT = int(os.environ["PROJECT"])
AT = f"/projects/{PROJECT}"


def release():
    tag = word("r")
    make("POST", f"{AT}/releases", json={"tag_name": tag, "ref": "main", "description": "d"})
    return tag


def link():
    made = make("POST", f"{AT}/releases/{RELEASE}/assets/links", json={"name": word("l"), "url": f"https://e.org/{word('l')}"})
    return made["id"]


def branch():
    return make("POST", f"{AT}/repository/branches", json={"branch": word("b"), "ref": "main"})["name"]


def tag():
    return make("POST", f"{AT}/repository/tags", json={"tag_name": word("t"), "ref": "main"})["name"]


def protection(kind):
    return make("POST", f"{AT}/protected_{kind}", json={"name": word("p")})["name"]


def file():
    path = word("file")
    make("POST", f"{AT}/repository/files/{path}", json={"branch": "main", "commit_message": "m", "content": "c"})
    return path


def upload():
    return make("POST", f"{AT}/uploads", files={"file": ("a.txt", b"text")})


def package(version="1.0"):
    published = make("PUT", f"{AT}/packages/generic/tool/{version}/{word('f')}?select=package_file", data=b"bytes")
    return published["package_id"], published["id"]


def membership():
    user = person()
    make("POST", f"{AT}/members", json={"user_id": user, "access_level": 30})
    make("POST", f"/groups/{GROUP}/members", json={"user_id": user, "access_level": 30})
    return user


RULES = f"{AT}/registry/protection/tag/rules"


def make_room_for_a_rule():
    for old in make("GET", RULES)[3:]:
        make("DELETE", f"{RULES}/{old['id']}")


def rule():
    make_room_for_a_rule()
    body = {
        "tag_name_pattern": word("v"),
        "minimum_access_level_for_push": "maintainer",
        "minimum_access_level_for_delete": "owner",
    }
    return make("POST", RULES, json=body)["id"]


def image():
    """Pushes an image with one layer, and returns the number of its repository."""
    name = f"{make('GET', AT)['path_with_namespace']}/{word('image')}"
    asked = {"service": "container_registry", "scope": f"repository:{name}:pull,push"}
    secret = ("x", os.environ["ROOT_TOKEN"])
    bearer = session.get(f"{FORGE}/jwt/auth", params=asked, auth=secret, timeout=20).json()["token"]
    headers = {"Authorization": f"Bearer {bearer}"}

    def push(content):
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        uploads = f"{FORGE}/v2/{name}/blobs/uploads/"
        kind = {"Content-Type": "application/octet-stream", **headers}
        session.post(uploads, params={"digest": digest}, data=content, headers=kind, timeout=20).raise_for_status()
        return {"digest": digest, "size": len(content)}

    oci = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{oci}.manifest.v1+json",
        "config": {"mediaType": f"{oci}.config.v1+json", **push(b'{"created":"2026-01-01T00:00:00Z"}')},
        "layers": [{"mediaType": f"{oci}.layer.v1.tar+gzip", **push(b"layer")}],
    }
    kind = {"Content-Type": manifest["mediaType"], **headers}
    to = f"{FORGE}/v2/{name}/manifests/latest"
    session.put(to, data=json.dumps(manifest), headers=kind, timeout=20).raise_for_status()
    found = make("GET", f"{AT}/registry/repositories?per_page=100")
    return next(repository["id"] for repository in found if repository["path"] == name)


def token():
    return make("POST", f"{AT}/access_tokens", json={"name": word("t"), "scopes": ["api"]})


def personal_token():
    return make("POST", f"/users/{ME}/personal_access_tokens", json={"name": word("t"), "scopes": ["api"]})


ME = make("GET", "/user")["id"]
RELEASE = release()
ISSUE = make("POST", f"{AT}/issues", json={"title": "one", "description": "- [ ] a"})["iid"]

# How something is made that a part of a path names.
MADE = {
    "iid": lambda: make("POST", f"{AT}/issues", json={"title": word("i")})["iid"],
    "note_id": lambda: make("POST", f"{AT}/issues/{ISSUE}/notes", json={"body": word("n")})["id"],
    "label": lambda: make("POST", f"{AT}/labels", json={"name": word("l"), "color": "red"})["id"],
    "milestone_id": lambda: make("POST", f"{AT}/milestones", json={"title": word("m")})["id"],
    "hook_id": lambda: make("POST", f"{AT}/hooks", json={"url": "https://example.invalid/h"})["id"],
    "rule_id": rule,
    "repository_id": image,
    "token_id": lambda: token()["id"],
    "user_id": membership,
    "branch": branch,
    "tag": tag,
    "link_id": link,
    "file_path": file,
    "upload_id": lambda: upload()["id"],
    "package_id": lambda: package(word("1."))[0],
    "package_file_id": lambda: package()[1],
}

UPLOAD = upload()
make("POST", f"{AT}/statuses/main", json={"state": "success"})
BLOB = make("GET", f"{AT}/repository/tree")[0]["id"]
CONSTANT = {
    "id": PROJECT,
    "sha": "main",
    "name": "main",
    "namespace_id": GROUP,
    "secret": UPLOAD["url"].split("/")[2],
    "file_name": "a.txt",
    "package_name": "tool",
    "package_version": "1.0",
    "tag_name": "latest",
}
KNOWN = {name: make_one() for name, make_one in MADE.items()}
KNOWN["iid"] = ISSUE
KNOWN["package_id"] = package()[0]
KNOWN["file_path"] = "README.md"
KNOWN["branch"] = "main"
# Some of what the rest is for is kept from changes.
KEPT = {"id": project(), "group": group()}
STAYS = {str(value) for value in [ME, GROUP, RELEASE, "main", *CONSTANT.values(), *KNOWN.values(), *KEPT.values()]}


def value(method, path, name):
    """Returns something that is there, for a part of a path."""
    alone = path.endswith(f"{{{name}}}")
    if name == "id":
        changes = method in ("put", "delete") and alone or method == "post" and path.endswith("archive")
        if "/groups/" in path:
            return group() if method == "delete" and alone else KEPT["group"] if changes else GROUP
        return project() if method == "delete" and alone else KEPT["id"] if changes else PROJECT
    if name == "name" and "/protected_" in path:
        return protection("tags" if "protected_tags" in path else "branches")
    if name == "tag" and "/releases" in path:
        return release() if method == "delete" and alone else RELEASE
    if name == "token_id" and "/personal_access_tokens/" in path:
        return personal_token()["id"]
    if name == "sha" and "/blobs/" in path:
        return BLOB
    if name == "audit_event_id":
        return make("GET", f"{AT}/audit_events")[0]["id"]
    if name in MADE:
        if name == "file_path" and method == "post":
            return word("file")
        # With the last thing in a path its parents stay.
        return MADE[name]() if method == "delete" and alone else KNOWN[name]
    return CONSTANT.get(name)


# What a parameter may be that is more than any text or number.
SENSIBLE = {
    "access_level": lambda: 30,
    "branch": lambda: chance.choice(["main", word("b")]),
    "actions": lambda: [{"action": "create", "file_path": word("file"), "content": "c"}],
    "commit_message": lambda: word("m"),
    "color": lambda: "#00ff00",
    "content": lambda: word("c"),
    "direct_asset_path": lambda: f"/{word('d')}",
    "email": lambda: f"{word('e')}@example.com",
    "encoding": lambda: "text",
    "expires_at": lambda: "2030-01-01",
    "from": lambda: "main",
    "keep_n": lambda: 5,
    "label_id": lambda: MADE["label"](),
    "milestone_id": lambda: KNOWN["milestone_id"],
    "name": lambda: word("n"),
    "name_regex_delete": lambda: "nothing-.*",
    "namespace_id": lambda: GROUP,
    "new_name": lambda: word("n"),
    "path": lambda: word("p"),
    "ref": lambda: "main",
    "refs": lambda: f"main,{RELEASE}",
    "scopes": lambda: ["read_api", "read_repository"],
    "state": lambda: "success",
    "tag_name": lambda: word("t"),
    "tag_name_pattern": lambda: word("v"),
    "title": lambda: word("t"),
    "to": lambda: "main",
    "url": lambda: f"https://example.invalid/{word('u')}",
    "user_id": lambda: person(),
    "username": lambda: word("u"),
}


def make_sensible(values):
    """Keeps of what was made up what is of a few words or numbers, and gives the rest another value or none."""
    for name in list(values):
        if name in SENSIBLE:
            values[name] = SENSIBLE[name]()
        elif not isinstance(values[name], bool):
            del values[name]


@schemathesis.hook
def before_call(context, case, kwargs):
    method, path = case.method.lower(), case.path
    if isinstance(case.body, dict) and case.body and chance.random() < 0.4:
        make_sensible(case.body)
    if isinstance(case.query, dict) and "state" not in case.query and chance.random() < 0.4:
        make_sensible(case.query)
    if method == "post" and path.endswith("/tag/rules"):
        make_room_for_a_rule()
    for name, made_up in list((case.path_parameters or {}).items()):
        # What the other requests are about must stay.
        hit = method != "get" and str(made_up) in STAYS
        if hit or chance.random() < 0.8:
            found = value(method, path, name)
            if found is not None:
                case.path_parameters[name] = found
    who = chance.choices([ROOT, BOT, {}], [6, 3, 1])[0]
    if "/self" in path and who:
        # Such a token may be gone afterwards.
        who = {"PRIVATE-TOKEN": token()["token"] if "/projects/" in path else personal_token()["token"]}
    for name, secret in who.items():
        case.headers[name] = secret
