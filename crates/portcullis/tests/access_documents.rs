//! What is written down about access is what is enforced: the list of routes, the list of those that are open to
//! everybody, and `docs/access.md`, all made from the route table and the rules.

use std::fmt::Write as _;
use std::path::PathBuf;

use portcullis_rules::access::{Action, ArchivedProject, BotUse, Needs, On, Openness, Rule, ScopeSet, rule};
use portcullis_web::door::Door;
use portcullis_web::guard::Access;
use portcullis_web::routes::{Route, table};

fn actions(route: &Route) -> &'static [Action] {
    match &route.access {
        Access::Public(_) => &[],
        Access::Action(action) => &Action::ALL[*action as usize..=*action as usize],
        Access::OneOf(actions) => actions,
    }
}

/// A route that comes, goes, or is given another access rule is a line of this snapshot.
#[test]
fn the_list_of_routes() {
    let lines = table().iter().fold(String::new(), |mut lines, route| {
        let access = match route.access {
            Access::Public(_) => "public".to_owned(),
            _ => actions(route).iter().map(|action| action.name()).collect::<Vec<_>>().join(" or "),
        };
        writeln!(lines, "{:10} {:6} {} → {access}", route.door.name(), route.method, route.path)
            .expect("a string grows");
        lines
    });
    insta::assert_snapshot!(lines);
}

/// It cannot grow unseen.
#[test]
fn the_list_of_public_routes() {
    let lines = table().iter().fold(String::new(), |mut lines, route| {
        if let Access::Public(reason) = route.access {
            writeln!(lines, "{} {}: {reason}", route.method, route.path).expect("a string grows");
        }
        lines
    });
    insta::assert_snapshot!(lines);
}

#[test]
fn no_two_routes_are_the_same() {
    let mut routes: Vec<_> = table().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let count = routes.len();
    routes.sort();
    routes.dedup();
    assert_eq!(routes.len(), count);
}

/// `docs/access.md` is committed, so that a change of policy is read by people who do not build the forge.
#[test]
fn the_access_documentation_is_up_to_date() {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/access.md"));
    let now = access_documentation();
    if std::env::var("PORTCULLIS_REFRESH").as_deref() == Ok("1") {
        std::fs::write(&file, &now).expect("docs/access.md is written");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == now,
        "docs/access.md is stale: a route or a rule has changed. Make it again with\n  \
         PORTCULLIS_REFRESH=1 cargo test -p portcullis --test access_documents\nand read the difference before you commit it."
    );
}

const INTRODUCTION: &str = "\
# Who may do what

This page is made from the code: every route's first argument is its access rule, and every rule is a row of one table
(`crates/rules/src/access/rule.rs`). A test sends each request below as every kind of caller and compares the answer with
the rules, and another one fails when this page is stale. To make it again:
`PORTCULLIS_REFRESH=1 cargo test -p portcullis --test access_documents`.

How to read a row:

- **Scopes**: the token must hold *one* of these. It is asked first, before anything is looked up.
- **Needs**: who the token's user must be. A role counts on the project or group in the path, inherited ones included.
  An administrator needs no role.
- **Open to**: who needs no role, once they can see the place. Public places are seen by everybody, internal ones by
  people who are not external, private ones by members. A bot counts as external away from its own project. A part of a
  project that is kept for its members is open to nobody else.
- **Bots**: whether the bot of a project access token may do it at all.
- **Archived**: whether it is still done once the project is archived.

What a caller cannot see is answered exactly like what does not exist.
";

fn access_documentation() -> String {
    let mut page = INTRODUCTION.to_owned();
    let routes = table();
    for (door, title) in [
        (Door::Api, "REST API"),
        (Door::Git, "Git over HTTP"),
        (Door::Lfs, "Large files of Git (LFS)"),
        (Door::Pages, "Web pages"),
        (Door::Files, "Uploaded files"),
        (Door::Operations, "Operations"),
    ] {
        write!(page, "\n## {title}\n\n").expect("a string grows");
        heading(&mut page, &["Route", "What it does", "Action"]);
        for route in routes.iter().filter(|route| route.door == door) {
            let request = format!("`{} {}`", route.method, shown_path(route));
            if let Access::Public(reason) = route.access {
                let needs = format!("nothing: {reason}");
                line(&mut page, &[&request, route.about, "–", "none", &needs, "everybody", "yes", "–"]);
            }
            for action in actions(route) {
                let request = format!("{request}{}", question(route, *action));
                rule_line(&mut page, &[&request, route.about, &format!("`{}`", action.name())], *action);
            }
        }
    }
    page.push_str(
        "\n## Asked in addition\n\nSome requests turn out to need a further permission, once their body or what they are about \
         is known.\n\n",
    );
    heading(&mut page, &["Action", "About"]);
    for action in
        Action::ALL.iter().filter(|action| !routes.iter().any(|route| actions(route).contains(action)))
    {
        let about = match action.on() {
            On::Instance => "the instance",
            On::Group => "a group",
            On::Namespace => "a group, or a person's own namespace",
            On::Project => "a project",
        };
        rule_line(&mut page, &[&format!("`{}`", action.name()), about], *action);
    }
    page
}

/// Git's paths are folded into one segment before they are routed; people know them as they were.
fn shown_path(route: &Route) -> String {
    route
        .path
        .replace("/-/git-redirect/{id}", "/{project}")
        .replace("/-/git/{id}", "/{project}.git")
        .replace("/-/lfs/{id}", "/{project}.git")
        .replace("/-/pages/projects/{id}/", "/{project}/-/")
        .replace("/-/pages/projects/{id}", "/{project}")
        .replace("/-/pages/namespaces/{id}", "/{name}")
        .replace("/-/pages/groups/{id}/", "/groups/{group}/-/")
        .replace("/-/pages/groups/{id}", "/groups/{group}")
}

/// What distinguishes the requests of a route that may be about several actions.
fn question(route: &Route, action: Action) -> &'static str {
    match (&route.access, action) {
        (Access::OneOf(_), Action::DownloadCode) => " with `service=git-upload-pack`",
        (Access::OneOf(_), Action::PushCode) => " with `service=git-receive-pack`",
        (Access::OneOf(_), Action::ReadGroup) => " of a group",
        (Access::OneOf(_), Action::ReadUsers) => " of anything else",
        (Access::OneOf(_), Action::UpdateProject) => "",
        (Access::OneOf(_), Action::ArchiveProject) => " of an archived project",
        (Access::OneOf(_), other) => panic!("{route:?}: say how {} is asked for", other.name()),
        _ => "",
    }
}

fn heading(page: &mut String, first: &[&str]) {
    let cells = [first, &["Scopes", "Needs", "Open to", "Bots", "Archived"]].concat();
    line(page, &cells);
    line(page, &vec!["---"; cells.len()]);
}

fn rule_line(page: &mut String, first: &[&str], action: Action) {
    let rule = rule(action);
    line(page, &[first, &[&scopes(rule), &needs(rule), open_to(rule), bots(rule), archived(rule)]].concat());
}

fn line(page: &mut String, cells: &[&str]) {
    writeln!(page, "| {} |", cells.join(" | ")).expect("a string grows");
}

fn scopes(rule: &Rule) -> String {
    if rule.scopes == ScopeSet::ANY {
        return "any".to_owned();
    }
    rule.scopes.names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ")
}

fn needs(rule: &Rule) -> String {
    match rule.needs {
        Needs::Nothing => "nothing".to_owned(),
        Needs::SignIn => "a credential".to_owned(),
        Needs::InsidePerson => "a person who is not external".to_owned(),
        Needs::Administrator => "an administrator".to_owned(),
        Needs::Role(role) => role.name().to_owned(),
    }
}

fn open_to(rule: &Rule) -> &'static str {
    match (rule.needs, rule.open_to) {
        (Needs::Nothing, _) => "everybody",
        (Needs::Role(_), Openness::Members) => "nobody else",
        (Needs::Role(_), Openness::SignedIn) => "people who see it",
        (Needs::Role(_), Openness::Anyone) => "anyone who sees it, where it is not private",
        _ => "–",
    }
}

fn bots(rule: &Rule) -> &'static str {
    match rule.bots {
        BotUse::Allowed => "yes",
        BotUse::Never => "never",
    }
}

fn archived(rule: &Rule) -> &'static str {
    match (rule.action.on(), rule.archived) {
        (On::Project, ArchivedProject::Allows) => "yes",
        (On::Project, ArchivedProject::Refuses) => "refused",
        _ => "–",
    }
}
