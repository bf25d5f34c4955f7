//! Who may do what with images: every scope, role, visibility and setting, against a running server.
//!
//! What must come back is computed from the table of rules, and nothing here knows it better. Each state of the project is
//! asked about by every token: first the token endpoint, what it grants, then the registry, by pulling, pushing and
//! deleting with the bearer that was given.

use std::collections::HashSet;

use portcullis_rules::access::{
    Action, Caller, CallerKind, Denial, Facts, FeatureAccess, Known, RULES, ResourceFacts, Role, ScopeSet,
    Visibility, decide,
};
use portcullis_testkit::registry::{
    Algorithm, Body, ImageRepository, RegistryAnswer, RegistryClient, actions_in, bearer_in, claims,
};
use portcullis_testkit::{Connection, Project, TestForge, forge};
use serde_json::json;

/// What the protocol calls an action, with the action of the rules.
const ACTIONS: [(&str, Action); 3] =
    [("pull", Action::PullImage), ("push", Action::PushImage), ("delete", Action::DeleteImage)];

const ACCESS: [FeatureAccess; 3] = [FeatureAccess::Enabled, FeatureAccess::Private, FeatureAccess::Disabled];

/// Somebody who asks, with what is true of them.
struct Asker {
    name: String,
    client: RegistryClient,
    caller: Caller,
    role: Option<Role>,
}

/// What is true of the project at the moment.
#[derive(Clone, Copy, Debug)]
struct State {
    visibility: Visibility,
    registry: FeatureAccess,
    archived: bool,
}

impl State {
    fn facts(self, role: Option<Role>) -> Facts {
        Facts::Resource(Some(ResourceFacts {
            visibility: self.visibility,
            role,
            archived: self.archived,
            repository: FeatureAccess::Enabled,
            issues: FeatureAccess::Enabled,
            merge_requests: FeatureAccess::Enabled,
            container_registry: self.registry,
            packages: FeatureAccess::Enabled,
        }))
    }

    /// Brings the project into this state.
    fn enter(self, forge: &TestForge, project: &Project<'_>) {
        let root = forge.root();
        root.post(&project.path("/unarchive"), json!({})).expect(201);
        let body = json!({
            "visibility": self.visibility.name(), "container_registry_access_level": self.registry.name(),
        });
        let shown = root.put(&project.path(""), body).expect(200).json();
        assert_eq!(shown["container_registry_access_level"], self.registry.name());
        if self.archived {
            root.post(&project.path("/archive"), json!({})).expect(201);
        }
    }
}

impl Asker {
    fn may(&self, state: State, action: Action) -> Result<(), Denial> {
        decide(&self.caller, &state.facts(self.role), action)
    }

    /// Whether the credential has any right to images at all, whatever they are.
    fn has_a_right_to_images(&self) -> bool {
        let Caller::Known(known) = self.caller else { return true };
        let rights = RULES.iter().filter(|row| ACTIONS.iter().any(|(_, action)| row.action == *action));
        rights.fold(ScopeSet::empty(), |all, row| all | row.scopes).intersects(known.scopes)
    }

    /// Asks for everything and tries everything, and returns what is not as the rules say.
    fn check(&self, state: State, name: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut complain = |what: &str, answer: &RegistryAnswer, expected: &str| {
            wrong.push(format!("{} in {state:?}: {what}: {expected} expected, got {answer:?}", self.name));
        };
        let allowed = ACTIONS.iter().filter(|(_, action)| self.may(state, *action).is_ok());
        let allowed: Vec<&str> = allowed.map(|(word, _)| *word).collect();
        let answer = self.client.token_answer(&[&format!("repository:{name}:pull,push,delete")]);
        let anonymous = matches!(self.caller, Caller::Anonymous);
        let forbidden = !self.has_a_right_to_images() || (anonymous && allowed.is_empty());
        let client = if forbidden {
            if answer.status != 403 || answer.json()["errors"][0]["code"] != "DENIED" {
                complain("the token endpoint", &answer, "403 DENIED");
            }
            self.client.clone()
        } else {
            if answer.status != 200 {
                complain("the token endpoint", &answer, "200");
                return wrong;
            }
            let bearer = bearer_in(&answer);
            let granted = actions_in(&claims(&bearer));
            if granted != allowed {
                complain("the grant", &answer, &format!("{allowed:?} instead of {granted:?}"));
            }
            self.client.with_bearer(&bearer)
        };
        for (word, method, rest, let_in) in [
            ("pull", "GET", "/manifests/missing", (404, "MANIFEST_UNKNOWN")),
            ("push", "PUT", "/manifests/new", (400, "MANIFEST_INVALID")),
            ("delete", "DELETE", "/manifests/missing", (404, "MANIFEST_UNKNOWN")),
        ] {
            let path = format!("/v2/{name}{rest}");
            let answer = if forbidden {
                client.send(method, &path, &[], Body::Bytes(b""))
            } else {
                client.ask(method, &path, &[], Body::Bytes(b""))
            };
            let (status, code) = if allowed.contains(&word) { let_in } else { (401, "UNAUTHORIZED") };
            let fits = answer.status == status && answer.json()["errors"][0]["code"] == code;
            if !fits {
                complain(word, &answer, &format!("{status} {code}"));
            } else if status == 401 {
                let error = (!forbidden).then_some("insufficient_scope");
                if answer.challenge().error.as_deref() != error {
                    complain(word, &answer, "another challenge");
                }
            }
        }
        wrong
    }
}

fn known(kind: CallerKind, external: bool, scopes: ScopeSet) -> Caller {
    Caller::Known(Known { kind, administrator: false, external, scopes })
}

fn bot(forge: &TestForge, project: &Project<'_>, scopes: ScopeSet, role: Role) -> Asker {
    let names: Vec<_> = scopes.names().collect();
    let secret = project.token(&names, role.level()).secret;
    Asker {
        name: format!("a bot with {} as {}", scopes.to_text(), role.name()),
        client: forge.registry(&secret),
        caller: known(CallerKind::Bot, true, scopes),
        role: Some(role),
    }
}

/// Every scope alone, all together, and the two that are needed to push with Docker.
fn sets_of_scopes() -> Vec<ScopeSet> {
    let mut sets: Vec<_> = ScopeSet::FOR_PROJECT_TOKENS.iter().collect();
    sets.push(ScopeSet::FOR_PROJECT_TOKENS);
    sets.push(ScopeSet::READ_REGISTRY | ScopeSet::WRITE_REGISTRY);
    sets
}

/// Everybody who asks about a project: its bots, people with and without a role, and the bot of another project.
fn askers(forge: &TestForge, project: &Project<'_>) -> Vec<Asker> {
    let mut askers = Vec::new();
    for scopes in sets_of_scopes() {
        for role in Role::ALL {
            askers.push(bot(forge, project, scopes, role));
        }
    }
    let elsewhere = forge.project("private");
    let away = bot(forge, &elsewhere, ScopeSet::FOR_PROJECT_TOKENS, Role::Owner);
    askers.push(Asker { name: "the bot of another project".to_owned(), role: None, ..away });
    let people = [
        (forge.person(&forge.word("stranger")), None, false),
        (forge.external_person(&forge.word("external")), None, true),
        (project.member(20), Some(Role::Reporter), false),
        (project.member(30), Some(Role::Developer), false),
    ];
    for (person, role, external) in people {
        for scopes in [ScopeSet::API, ScopeSet::READ_REGISTRY | ScopeSet::WRITE_REGISTRY, ScopeSet::READ_USER]
        {
            let names: Vec<_> = scopes.names().collect();
            askers.push(Asker {
                name: format!("{} with {}", person.username, scopes.to_text()),
                client: forge.registry(&forge.personal_token(&person.username, &names)),
                caller: known(CallerKind::Person, external, scopes),
                role,
            });
        }
    }
    let anyone = forge.anonymous_registry();
    askers.push(Asker { name: "nobody".to_owned(), client: anyone, caller: Caller::Anonymous, role: None });
    askers
}

/// The table for projects of one visibility.
fn the_rules_decide(visibility: Visibility) {
    let forge = forge!();
    let project = forge.project("private");
    let askers = askers(&forge, &project);
    let name = format!("{}/img", project.full_path);
    // So that what is missing is a manifest and not the repository.
    let maintainer = forge.registry(&project.token(&["api"], 40).secret);
    maintainer.repository(&name).push_image("there", "image");
    let (mut cases, mut answers) = (0, HashSet::new());
    let mut wrong = Vec::new();
    for registry in ACCESS {
        for archived in [false, true] {
            let state = State { visibility, registry, archived };
            state.enter(&forge, &project);
            for asker in &askers {
                cases += ACTIONS.len();
                answers.extend(ACTIONS.map(|(word, action)| (word, asker.may(state, action).is_ok())));
                wrong.extend(asker.check(state, &name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {cases} are wrong:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    // The rules say yes and no to each, or nothing was tested.
    assert_eq!((cases, answers.len()), (askers.len() * 18, 6));
}

#[test]
fn the_rules_decide_about_images_of_private_projects() {
    the_rules_decide(Visibility::Private);
}

#[test]
fn the_rules_decide_about_images_of_internal_projects() {
    the_rules_decide(Visibility::Internal);
}

#[test]
fn the_rules_decide_about_images_of_public_projects() {
    the_rules_decide(Visibility::Public);
}

/// Some rows of the table in words, so that a change of the rules is seen here as well.
#[test]
fn the_table_of_the_contract_holds() {
    let forge = forge!();
    let project = forge.project("private");
    let name = format!("{}/img", project.full_path);
    let granted = |scopes: &[&str], level| {
        forge
            .registry(&project.token(scopes, level).secret)
            .granted(&format!("repository:{name}:pull,push,delete"))
    };
    let none: [&str; 0] = [];
    assert_eq!(granted(&["api"], 10), none);
    assert_eq!(granted(&["api"], 15), none);
    assert_eq!(granted(&["api"], 20), ["pull"]);
    assert_eq!(granted(&["api"], 30), ["pull", "push"]);
    assert_eq!(granted(&["api"], 40), ["pull", "push", "delete"]);
    assert_eq!(granted(&["read_api"], 50), ["pull"]);
    assert_eq!(granted(&["read_registry"], 50), ["pull"]);
    assert_eq!(granted(&["write_registry"], 50), ["push"]);
    assert_eq!(granted(&["read_registry"], 10), none);
    assert_eq!(granted(&["write_registry"], 20), none);

    let anyone = forge.anonymous_registry();
    let anyone_pulls = |access: FeatureAccess| {
        State { visibility: Visibility::Public, registry: access, archived: false }.enter(&forge, &project);
        anyone.token_answer(&[&format!("repository:{name}:pull")]).status == 200
    };
    assert!(anyone_pulls(FeatureAccess::Enabled));
    assert!(!anyone_pulls(FeatureAccess::Private));
    assert_eq!(granted(&["read_registry"], 10), none);
    assert_eq!(granted(&["read_registry"], 20), ["pull"]);
    assert!(!anyone_pulls(FeatureAccess::Disabled));
    assert_eq!(granted(&["api"], 50), none);
}

/// Pulls and pushes for real, as far as each may.
#[test]
fn what_is_granted_is_enough_for_the_whole_way() {
    let forge = forge!();
    let project = forge.project("private");
    let name = format!("{}/img", project.full_path);
    let both = ["read_registry", "write_registry"];
    let developer = forge.registry(&project.token(&both, 30).secret).repository(&name);
    let image = developer.push_image("v1", "image");
    assert!(developer.get_manifest("v1").expect(200).body == image.manifest);
    assert_eq!(developer.tags(), ["v1"]);
    let reader = developer.seen_by(&forge.registry(&project.token(&["read_registry"], 20).secret));
    assert!(reader.get_manifest(&image.digest).expect(200).body == image.manifest);
    assert!(reader.get_blob(&Algorithm::Sha256.digest(&image.layer)).expect(200).body == image.layer);
    assert_eq!(reader.referrers(&image.digest, "").expect(200).json()["manifests"], json!([]));
    for answer in [
        reader.post_upload("", &[], b""),
        reader.put_manifest("v2", portcullis_testkit::registry::OCI_IMAGE, &image.manifest),
        reader.delete_manifest("v1"),
        developer.delete_manifest("v1"),
        developer.delete_blob(&Algorithm::Sha256.digest(&image.layer)),
    ] {
        assert_eq!(answer.challenge().error.as_deref(), Some("insufficient_scope"), "{answer:?}");
    }
    // One that may only push does not even see whether a layer is there.
    let writer = developer.seen_by(&forge.registry(&project.token(&["write_registry"], 30).secret));
    let other = writer.push_image("v2", "other");
    for answer in [writer.head_blob(&Algorithm::Sha256.digest(&other.layer)), writer.get_manifest("v2")] {
        assert_eq!(answer.challenge().error.as_deref(), Some("insufficient_scope"), "{answer:?}");
    }
    assert_eq!(reader.tags(), ["v1", "v2"]);
}

/// Who may not know of a project is told the same as if there were none.
#[test]
fn a_hidden_project_looks_like_one_that_is_missing() {
    let forge = forge!();
    let hidden = forge.project("private");
    let there = forge.image_in(&hidden);
    let image = there.push_image("v1", "image");
    let stranger = forge.registry(&forge.project("private").token(&["api"], 50).secret);
    let missing = there.name.replace("img", "xyz");
    let elsewhere = format!("{}/nothing/at-all", hidden.group.full_path);
    let digest = Algorithm::Sha256.digest(&image.layer);
    for client in [&stranger, &forge.anonymous_registry()] {
        let seen = |name: &str| -> Vec<_> {
            let scope = format!("repository:{name}:pull,push,delete");
            let token = client.token_answer(&[&scope]);
            let rights = if token.status == 200 { actions_in(&claims(&bearer_in(&token))) } else { vec![] };
            let bearer =
                (token.status == 200).then(|| format!("Authorization: Bearer {}", bearer_in(&token)));
            let headers: Vec<_> = bearer.iter().map(String::as_str).collect();
            let mut answers = vec![(token.status, format!("{rights:?}"))];
            for line in [
                format!("GET /v2/{name}/tags/list"),
                format!("GET /v2/{name}/manifests/v1"),
                format!("GET /v2/{name}/manifests/{}", image.digest),
                format!("GET /v2/{name}/blobs/{digest}"),
                format!("GET /v2/{name}/referrers/{}", image.digest),
                format!("POST /v2/{name}/blobs/uploads/"),
                format!("DELETE /v2/{name}/manifests/v1"),
            ] {
                let reply = Connection::ask(&forge, &line, &headers, b"").lasting();
                // The name that was asked for is repeated, and is no news.
                let text = format!("{:?} {}", reply.headers, reply.body).replace(name, "NAME");
                let length = text.find("content-length").map_or(text.clone(), |_| {
                    text.split("\"content-length\", \"")
                        .map(|part| part.trim_start_matches(char::is_numeric))
                        .collect()
                });
                answers.push((reply.status, length));
            }
            answers
        };
        let expected = seen(&elsewhere);
        assert_eq!(seen(&there.name), expected);
        assert_eq!(seen(&missing), expected);
        assert!(expected[1..].iter().all(|(status, _)| *status == 401), "{expected:?}");
    }
}

/// A bearer is for what it names, and for nothing beside it.
#[test]
fn a_bearer_for_one_repository_opens_no_other() {
    let forge = forge!();
    let project = forge.project("private");
    let one = forge.image_in(&project);
    one.push_image("v1", "one");
    let two = one.client.repository(&format!("{}-too", one.name));
    two.push_image("v1", "two");
    let bearer = one.client.bearer(&[&format!("repository:{}:pull,push,delete", one.name)]);
    let narrow = one.client.with_bearer(&bearer);
    assert_eq!(one.seen_by(&narrow).tags(), ["v1"]);
    let others =
        [two.name.clone(), project.full_path.clone(), format!("{}/sub", one.name), format!("x{}", one.name)];
    for name in others {
        let other: ImageRepository = narrow.repository(&name);
        for answer in [other.get("/tags/list"), other.post_upload("", &[], b""), other.delete_manifest("v1")]
        {
            assert_eq!(answer.challenge().error.as_deref(), Some("insufficient_scope"), "{name}: {answer:?}");
        }
    }
    // Nor does one action include another.
    for (action, allowed) in [("pull", 200), ("push", 401), ("delete", 401)] {
        let bearer = one.client.bearer(&[&format!("repository:{}:{action}", one.name)]);
        let answer = one.seen_by(&one.client.with_bearer(&bearer)).get("/tags/list");
        assert_eq!(answer.status, allowed, "{action}");
    }
}
