//! Every list, with every filter and every order, on both engines. What a filter leaves over must be what is left when
//! the whole list is filtered by hand; so the engines agree with each other, and with what the filter says.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test, with functions that serve the tests")]

use std::cmp::{Ordering, Reverse};
use std::fmt::Debug;

use portcullis_rules::access::{FeatureAccess, Role, ScopeSet, Visibility};
use portcullis_rules::id::{AuditEventId, IssueId, NamespaceId, ProjectId, TokenId, UserId};
use portcullis_rules::secret::TokenDigest;
use portcullis_store::access_tokens::{self, AccessToken, NewAccessToken, TokenFilter, TokenOrder, TokensOf};
use portcullis_store::audience::Audience;
use portcullis_store::audit_events::{self, AuditEntity, AuditEventFilter, AuditEventsOf, NewAuditEvent};
use portcullis_store::db::Tx;
use portcullis_store::events::{self, Event, EventFilter, NewEvent};
use portcullis_store::issues::{
    self, AssigneeFilter, Issue, IssueFilter, IssueOrder, IssueState, LabelFilter, NewIssue, Relation, Sight,
};
use portcullis_store::members::{self, MemberFilter, Place as MemberOf, Reach};
use portcullis_store::namespaces::{self, Namespace, NamespaceFilter, NewNamespace};
use portcullis_store::notes::{self, NewNote, NoteFilter, NoteOrder};
use portcullis_store::projects::{self, NewProject, Project, ProjectFilter, ProjectOrder};
use portcullis_store::select::{Listing, Window};
use portcullis_store::users::{self, NewUser, User, UserFilter, UserKind};
use portcullis_store::{migrate, protected_branches};

mod engines;
use engines::{Place, on_both_engines};

on_both_engines! {
    users_are_listed,
    namespaces_are_listed,
    projects_are_listed,
    members_are_listed,
    tokens_are_listed,
    issues_are_listed,
    notes_are_listed,
    events_are_listed,
    audit_events_are_listed,
    protected_branches_are_listed,
}

/// Now, in Unix microseconds; small, so that the times below are readable.
const NOW: i64 = 1_000;

const WHOLE: Window = Window { limit: 100, offset: 0 };

fn keys<T>(items: &[T], key: impl Fn(&T) -> i64) -> Vec<i64> {
    items.iter().map(key).collect()
}

/// Compares a narrowed list with what is left of the whole one by hand. A case that keeps everything or nothing would
/// prove nothing.
#[track_caller]
fn kept<T: Debug>(
    case: impl Debug,
    found: &Listing<T>,
    all: &[T],
    key: impl Fn(&T) -> i64,
    keep: impl Fn(&T) -> bool,
) {
    let expected: Vec<_> = all.iter().filter(|item| keep(item)).map(&key).collect();
    assert!(
        !expected.is_empty() && expected.len() < all.len(),
        "{case:?} keeps {} of {}",
        expected.len(),
        all.len()
    );
    assert_eq!(keys(&found.items, &key), expected, "{case:?}");
    assert_eq!(found.total, Some(expected.len() as i64), "{case:?}");
}

/// Compares an order with the one by hand.
#[track_caller]
fn sorted<T>(
    case: impl Debug,
    found: &Listing<T>,
    all: &[T],
    key: impl Fn(&T) -> i64,
    by: impl Fn(&T, &T) -> Ordering,
) {
    let mut expected: Vec<_> = all.iter().collect();
    expected.sort_by(|a, b| by(a, b));
    assert_eq!(keys(&found.items, &key), expected.into_iter().map(&key).collect::<Vec<_>>(), "{case:?}");
}

/// Compares a window with the same part of the whole list. The total stays that of the whole.
#[track_caller]
fn part_of<T>(found: &Listing<T>, all: &[T], key: impl Fn(&T) -> i64) {
    assert!(all.len() > 3, "a list too short to have parts");
    assert_eq!(keys(&found.items, &key), keys(&all[1..3], &key));
    assert_eq!(found.total, Some(all.len() as i64));
}

const PART: Window = Window { limit: 2, offset: 1 };

/// What is listed.
struct World {
    ana: UserId,
    ben: UserId,
    cyd: UserId,
    dee: UserId,
    bot: UserId,
    top: NamespaceId,
    sub: NamespaceId,
    deep: NamespaceId,
    own: NamespaceId,
    /// In `top`, public.
    open: ProjectId,
    /// In `sub`, internal.
    inner: ProjectId,
    /// In `deep`, private and archived.
    archived: ProjectId,
    /// In a private group, private; the bot's.
    hidden: ProjectId,
    /// In Ana's own namespace, public, without issues.
    personal: ProjectId,
}

async fn add_user(
    tx: &mut Tx,
    username: &str,
    name: &str,
    kind: UserKind,
    external: bool,
    home: Option<ProjectId>,
) -> UserId {
    let email = format!("{username}@example.com");
    let new = NewUser {
        username,
        name,
        email: &email,
        kind,
        password_hash: None,
        administrator: false,
        external,
        bot_project: home,
        created_by: None,
    };
    users::insert(tx, &new, NOW).await.unwrap()
}

async fn add_group(
    tx: &mut Tx,
    parent: Option<NamespaceId>,
    full_path: &str,
    name: &str,
    visibility: Visibility,
) -> NamespaceId {
    let path = full_path.rsplit('/').next().unwrap();
    let new = NewNamespace { owner: None, parent, name, path, full_path, description: "", visibility };
    namespaces::insert(tx, &new, NOW).await.unwrap()
}

async fn add_own(tx: &mut Tx, owner: UserId, path: &str) -> NamespaceId {
    let new = NewNamespace {
        owner: Some(owner),
        parent: None,
        name: path,
        path,
        full_path: path,
        description: "",
        visibility: Visibility::Public,
    };
    namespaces::insert(tx, &new, NOW).await.unwrap()
}

async fn add_project(
    tx: &mut Tx,
    namespace: NamespaceId,
    full_path: &str,
    name: &str,
    visibility: Visibility,
    issues_access: FeatureAccess,
    created_at: i64,
) -> ProjectId {
    let creator = UserId(1);
    let new = NewProject {
        namespace,
        creator,
        name,
        path: full_path.rsplit('/').next().unwrap(),
        full_path,
        description: if name == "Zebra" { "Striped, 100%_real!" } else { "" },
        visibility,
        default_branch: "main",
        object_format: "sha1",
        repository_access: FeatureAccess::Enabled,
        issues_access,
    };
    projects::insert(tx, &new, created_at).await.unwrap()
}

async fn add_member(tx: &mut Tx, place: MemberOf, user: UserId, role: Role, expires_at: Option<i64>) {
    members::insert(tx, place, user, role, expires_at, None, NOW).await.unwrap();
}

impl World {
    async fn new(place: &Place) -> World {
        migrate::migrate(&place.db, NOW).await.unwrap();
        let mut tx = place.db.begin().await.unwrap();
        let world = World::made_in(&mut tx).await;
        tx.commit().await.unwrap();
        world
    }

    async fn made_in(tx: &mut Tx) -> World {
        use FeatureAccess::{Disabled, Enabled};
        use UserKind::{Ghost, Person, ProjectBot};
        use Visibility::{Internal, Private, Public};
        let ana = add_user(tx, "ana", "Ana Ångström", Person, false, None).await;
        let ben = add_user(tx, "Ben", "Benjamin", Person, true, None).await;
        let cyd = add_user(tx, "cyd", "Cyd", Person, false, None).await;
        let dee = add_user(tx, "dee_x", "50%_off!", Person, false, None).await;
        add_user(tx, "ghost", "Ghost User", Ghost, false, None).await;
        users::block(tx, cyd, NOW).await.unwrap();

        let top = add_group(tx, None, "top", "Top", Public).await;
        let sub = add_group(tx, Some(top), "top/sub", "Sub", Internal).await;
        let deep = add_group(tx, Some(sub), "top/sub/deep", "Deep", Private).await;
        let other = add_group(tx, None, "other", "Other", Private).await;
        let gone = add_group(tx, None, "gone", "Gone", Public).await;
        namespaces::request_deletion(tx, gone, NOW).await.unwrap();
        let own = add_own(tx, ana, "ana").await;
        add_own(tx, ben, "ben").await;

        let open = add_project(tx, top, "top/open", "Zebra", Public, Enabled, 50).await;
        let inner = add_project(tx, sub, "top/sub/inner", "apple", Internal, Enabled, 10).await;
        let archived = add_project(tx, deep, "top/sub/deep/archived", "Mango", Private, Enabled, 30).await;
        let hidden =
            add_project(tx, other, "other/hidden", "kiwi", Private, FeatureAccess::Private, 30).await;
        let personal = add_project(tx, own, "ana/personal", "apple", Public, Disabled, 20).await;
        let deleted = add_project(tx, top, "top/deleted", "Deleted", Public, Enabled, 60).await;
        assert!(projects::request_deletion(tx, deleted, NOW).await.unwrap());
        projects::set_archived(tx, archived, true, 70).await.unwrap();
        projects::record_activity(tx, inner, 90).await.unwrap();
        projects::set_topics(tx, inner, &["fruit".to_owned(), "red".to_owned()]).await.unwrap();
        projects::set_topics(tx, archived, &["fruit".to_owned()]).await.unwrap();
        let bot = add_user(tx, "project_4_bot", "Deployer", ProjectBot, false, Some(hidden)).await;

        add_member(tx, MemberOf::Namespace(sub), ana, Role::Developer, None).await;
        add_member(tx, MemberOf::Project(inner), ana, Role::Guest, None).await;
        add_member(tx, MemberOf::Project(personal), ana, Role::Owner, None).await;
        add_member(tx, MemberOf::Project(hidden), ben, Role::Maintainer, None).await;
        add_member(tx, MemberOf::Project(open), ben, Role::Owner, Some(NOW)).await;
        add_member(tx, MemberOf::Namespace(top), cyd, Role::Owner, Some(NOW + 1)).await;
        add_member(tx, MemberOf::Project(inner), cyd, Role::Owner, None).await;
        add_member(tx, MemberOf::Project(inner), dee, Role::Planner, None).await;
        add_member(tx, MemberOf::Project(hidden), bot, Role::Reporter, None).await;
        World { ana, ben, cyd, dee, bot, top, sub, deep, own, open, inner, archived, hidden, personal }
    }

    fn insider(&self, user: UserId) -> Audience {
        Audience::Person { user, external: user == self.ben }
    }
}

async fn users_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.read().await.unwrap();
    let key = |user: &User| user.id.0;
    let list = async |tx: &mut Tx, filter: &UserFilter, window| {
        users::list(tx, Audience::Everything, filter, window, NOW).await.unwrap()
    };
    let all = list(&mut tx, &UserFilter::default(), WHOLE).await.items;
    assert_eq!(all.len(), 6);
    assert!(all.is_sorted_by_key(|user| Reverse(user.id)));
    part_of(&list(&mut tx, &UserFilter::default(), PART).await, &all, key);

    let none = UserFilter::default;
    let cases: [(UserFilter, fn(&User) -> bool); 9] = [
        (UserFilter { username: Some("BEN".to_owned()), ..none() }, |user| user.username == "Ben"),
        (UserFilter { search: Some("AN".to_owned()), ..none() }, |user| user.username == "ana"),
        (UserFilter { search: Some("Ångström".to_owned()), ..none() }, |user| user.username == "ana"),
        (UserFilter { search: Some("%_o".to_owned()), ..none() }, |user| user.name.contains("%_o")),
        (UserFilter { blocked: Some(true), ..none() }, |user| user.blocked),
        (UserFilter { blocked: Some(false), ..none() }, |user| !user.blocked),
        (UserFilter { external: Some(true), ..none() }, |user| user.external),
        (UserFilter { external: Some(false), ..none() }, |user| !user.external),
        (UserFilter { without_bots: true, ..none() }, |user| user.kind == UserKind::Person),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, &filter, WHOLE).await, &all, key, keep);
    }

    // A bot sees itself and the members of its own project.
    let found =
        users::list(&mut tx, Audience::Bot(world.bot, world.hidden), &none(), WHOLE, NOW).await.unwrap();
    assert_eq!(keys(&found.items, key), [world.bot.0, world.ben.0]);
    let found = users::list(&mut tx, Audience::Public, &none(), WHOLE, NOW).await.unwrap();
    assert_eq!((found.items.len(), found.total), (0, Some(0)));
    // A bot is called by its token's name only where its project is seen, and searched by what it is called.
    for (audience, name) in [
        (Audience::Everything, "Deployer"),
        (world.insider(world.ben), "Deployer"),
        (world.insider(world.ana), "****"),
    ] {
        let found = users::list(&mut tx, audience, &none(), WHOLE, NOW).await.unwrap();
        assert_eq!(found.items.iter().find(|user| user.id == world.bot).unwrap().name, name);
        let search = UserFilter { search: Some("deployer".to_owned()), ..none() };
        let found = users::list(&mut tx, audience, &search, WHOLE, NOW).await.unwrap();
        assert_eq!(found.items.len(), usize::from(name == "Deployer"));
    }
}

async fn namespaces_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.read().await.unwrap();
    let key = |namespace: &Namespace| namespace.id.0;
    let list = async |tx: &mut Tx, audience, filter: &NamespaceFilter, window| {
        namespaces::list(tx, audience, filter, window, NOW).await.unwrap()
    };
    let none = NamespaceFilter::default;
    let all = list(&mut tx, Audience::Everything, &none(), WHOLE).await.items;
    let paths: Vec<_> = all.iter().map(|namespace| namespace.full_path.as_str()).collect();
    assert_eq!(paths, ["ana", "ben", "other", "top", "top/sub", "top/sub/deep"]);
    part_of(&list(&mut tx, Audience::Everything, &none(), PART).await, &all, key);

    let World { ana, ben, cyd, dee, bot, top, sub, deep, own, hidden, .. } = world;
    let among = |ids: &[NamespaceId]| {
        let ids = ids.to_vec();
        Box::new(move |namespace: &Namespace| ids.contains(&namespace.id)) as Box<dyn Fn(&Namespace) -> bool>
    };
    let cases: Vec<(NamespaceFilter, Box<dyn Fn(&Namespace) -> bool>)> = vec![
        (NamespaceFilter { groups_only: true, ..none() }, Box::new(Namespace::is_group)),
        (NamespaceFilter { search: Some("SUB".to_owned()), ..none() }, among(&[sub, deep])),
        (NamespaceFilter { parent: Some(top), ..none() }, among(&[sub])),
        (NamespaceFilter { below: Some(top), ..none() }, among(&[sub, deep])),
        (
            NamespaceFilter { top_level_only: true, ..none() },
            Box::new(|namespace| namespace.parent.is_none()),
        ),
        (NamespaceFilter { member: Some((ana, Role::Developer)), ..none() }, among(&[sub, deep])),
        (NamespaceFilter { member: Some((cyd, Role::Owner)), ..none() }, among(&[top, sub, deep])),
        (
            NamespaceFilter { without: vec![top.0, own.0], ..none() },
            Box::new(move |one| one.id != top && one.id != own),
        ),
        (NamespaceFilter { usable_by: Some(ana), ..none() }, among(&[own, sub, deep])),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, Audience::Everything, &filter, WHOLE).await, &all, key, keep);
    }
    let nobody = NamespaceFilter { member: Some((ana, Role::Maintainer)), ..none() };
    assert_eq!(list(&mut tx, Audience::Everything, &nobody, WHOLE).await.total, Some(0));

    let ben_own = all[1].id;
    for (audience, seen) in [
        (Audience::Public, among(&[own, ben_own, top])),
        (Audience::Bot(bot, hidden), among(&[own, ben_own, top])),
        (world.insider(dee), among(&[own, ben_own, top, sub])),
        (world.insider(ana), among(&[own, ben_own, top, sub, deep])),
        (world.insider(ben), among(&[own, ben_own, top])),
    ] {
        kept(audience, &list(&mut tx, audience, &none(), WHOLE).await, &all, key, seen);
    }
}

async fn projects_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.read().await.unwrap();
    let key = |project: &Project| project.id.0;
    let list = async |tx: &mut Tx, audience, filter: &ProjectFilter, window| {
        projects::list(tx, audience, filter, window, NOW).await.unwrap()
    };
    let none = ProjectFilter::default;
    let all = list(&mut tx, Audience::Everything, &none(), WHOLE).await.items;
    assert_eq!(all.len(), 5);
    part_of(&list(&mut tx, Audience::Everything, &none(), PART).await, &all, key);

    let World { ana, ben, cyd, dee, bot, top, sub, open, inner, archived, hidden, personal, .. } = world;
    let among = |ids: &[ProjectId]| {
        let ids = ids.to_vec();
        Box::new(move |project: &Project| ids.contains(&project.id)) as Box<dyn Fn(&Project) -> bool>
    };
    let search = |text: &str| ProjectFilter { search: Some(text.to_owned()), ..none() };
    let cases: Vec<(ProjectFilter, Box<dyn Fn(&Project) -> bool>)> = vec![
        (ProjectFilter { archived: Some(true), ..none() }, Box::new(|project| project.archived)),
        (ProjectFilter { archived: Some(false), ..none() }, Box::new(|project| !project.archived)),
        (ProjectFilter { visibility: Some(Visibility::Private), ..none() }, among(&[archived, hidden])),
        (search("ZEB"), among(&[open])),
        (search("top/SUB"), among(&[inner, archived])),
        (search("0%_r"), among(&[open])),
        (ProjectFilter { topic: Some("fruit".to_owned()), ..none() }, among(&[inner, archived])),
        (ProjectFilter { topic: Some("red".to_owned()), ..none() }, among(&[inner])),
        (ProjectFilter { member: Some((ana, Role::Guest)), ..none() }, among(&[inner, archived, personal])),
        (ProjectFilter { member: Some((ana, Role::Maintainer)), ..none() }, among(&[personal])),
        (ProjectFilter { member: Some((ben, Role::Guest)), ..none() }, among(&[hidden])),
        (ProjectFilter { owned_by: Some(ana), ..none() }, among(&[personal])),
        (ProjectFilter { owned_by: Some(cyd), ..none() }, among(&[open, inner, archived])),
        (ProjectFilter { namespace: Some(sub), ..none() }, among(&[inner])),
        (ProjectFilter { below: Some(top), ..none() }, among(&[open, inner, archived])),
        (
            ProjectFilter { with_issues: true, ..none() },
            Box::new(|one| one.issues_access != FeatureAccess::Disabled),
        ),
        (ProjectFilter { id_after: Some(inner.0), ..none() }, Box::new(move |project| project.id > inner)),
        (ProjectFilter { id_before: Some(inner.0), ..none() }, Box::new(move |project| project.id < inner)),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, Audience::Everything, &filter, WHOLE).await, &all, key, keep);
    }
    for (audience, seen) in [
        (Audience::Public, among(&[open, personal])),
        (Audience::Bot(bot, hidden), among(&[open, personal, hidden])),
        (world.insider(dee), among(&[open, inner, personal])),
        (world.insider(ana), among(&[open, inner, archived, personal])),
        (world.insider(ben), among(&[open, hidden, personal])),
    ] {
        kept(audience, &list(&mut tx, audience, &none(), WHOLE).await, &all, key, seen);
    }

    type By = fn(&Project) -> (String, i64);
    let orders: [(ProjectOrder, By); 5] = [
        (ProjectOrder::Created, |project| (String::new(), project.created_at)),
        (ProjectOrder::Name, |project| (project.name.to_lowercase(), 0)),
        (ProjectOrder::Path, |project| (project.path.to_lowercase(), 0)),
        (ProjectOrder::Updated, |project| (String::new(), project.updated_at)),
        (ProjectOrder::LastActivity, |project| (String::new(), project.last_activity_at)),
    ];
    for (order, by) in orders {
        let filter = ProjectFilter { order, ascending: true, ..none() };
        let found = list(&mut tx, Audience::Everything, &filter, WHOLE).await;
        sorted(order, &found, &all, key, |a, b| (by(a), a.id).cmp(&(by(b), b.id)));
        let filter = ProjectFilter { order, ascending: false, ..none() };
        let found = list(&mut tx, Audience::Everything, &filter, WHOLE).await;
        sorted(order, &found, &all, key, |a, b| (by(b), b.id).cmp(&(by(a), a.id)));
    }

    // What is read beside a page of projects.
    let ids = [open.0, inner.0, archived.0];
    let topics = projects::topics_of(&mut tx, &ids).await.unwrap();
    let pair = |project: ProjectId, topic: &str| (project.0, topic.to_owned());
    assert_eq!(topics, [pair(inner, "fruit"), pair(inner, "red"), pair(archived, "fruit")]);
    let mut roles = projects::roles_of(&mut tx, ana, &ids, NOW).await.unwrap();
    roles.sort_by_key(|(id, _, _)| *id);
    let developer = Some(Role::Developer);
    assert_eq!(
        roles,
        [(open.0, None, None), (inner.0, Some(Role::Guest), developer), (archived.0, None, developer)]
    );
    assert_eq!(projects::roles_of(&mut tx, ana, &[], NOW).await.unwrap(), []);
}

async fn members_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.read().await.unwrap();
    let World { ana, ben, cyd, dee, bot, top, sub, deep, open, inner, hidden, .. } = world;
    let list = async |tx: &mut Tx, of, reach, filter: &MemberFilter, now| {
        let found = members::list(tx, of, reach, filter, WHOLE, now).await.unwrap();
        assert_eq!(found.total, Some(found.items.len() as i64));
        found.items.into_iter().map(|member| (member.user.id, member.role)).collect::<Vec<_>>()
    };
    let (project, group) = (MemberOf::Project, MemberOf::Namespace);
    let none = MemberFilter::default();
    let cases = [
        (project(inner), Reach::Direct, vec![(ana, Role::Guest), (cyd, Role::Owner), (dee, Role::Planner)]),
        // Of several memberships the highest counts, and of two as high only one.
        (
            project(inner),
            Reach::Inherited,
            vec![(ana, Role::Developer), (cyd, Role::Owner), (dee, Role::Planner)],
        ),
        (project(open), Reach::Direct, vec![]),
        (project(open), Reach::Inherited, vec![(cyd, Role::Owner)]),
        (project(hidden), Reach::Inherited, vec![(ben, Role::Maintainer), (bot, Role::Reporter)]),
        (group(top), Reach::Direct, vec![(cyd, Role::Owner)]),
        (group(sub), Reach::Direct, vec![(ana, Role::Developer)]),
        (group(deep), Reach::Direct, vec![]),
        (group(deep), Reach::Inherited, vec![(ana, Role::Developer), (cyd, Role::Owner)]),
    ];
    for (of, reach, expected) in cases {
        assert_eq!(list(&mut tx, of, reach, &none, NOW).await, expected, "{of:?} {reach:?}");
        for (user, role) in expected {
            let member = members::find(&mut tx, of, reach, user, NOW).await.unwrap().unwrap();
            assert_eq!((member.user.id, member.role), (user, role));
        }
    }
    // From its date on a membership is none.
    assert_eq!(list(&mut tx, group(deep), Reach::Inherited, &none, NOW + 1).await, [(ana, Role::Developer)]);
    assert_eq!(list(&mut tx, project(open), Reach::Direct, &none, NOW - 1).await, [(ben, Role::Owner)]);

    let query = MemberFilter { query: Some("50%_".to_owned()), users: Vec::new() };
    assert_eq!(list(&mut tx, project(inner), Reach::Inherited, &query, NOW).await, [(dee, Role::Planner)]);
    let some = MemberFilter { query: None, users: vec![ana.0, cyd.0, ben.0] };
    let found = list(&mut tx, project(inner), Reach::Inherited, &some, NOW).await;
    assert_eq!(found, [(ana, Role::Developer), (cyd, Role::Owner)]);
}

async fn tokens_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let (hidden, ben, bot) = (world.hidden, world.ben, world.bot);
    // Name, expiry, revocation, last use, creation.
    let tokens = [
        ("deploy", None, None, None, 10),
        ("Backup", Some(NOW + 500), None, Some(40), 30),
        ("archive", Some(NOW), None, Some(60), 20),
        ("50%_off!", None, Some(70), Some(40), 20),
        ("expired", Some(NOW - 500), Some(80), None, 50),
    ];
    for (number, (name, expires_at, revoked_at, last_used_at, created_at)) in (0..).zip(tokens) {
        for (user, project) in [(bot, Some(hidden)), (ben, None)] {
            let new = NewAccessToken {
                user,
                project,
                digest: TokenDigest([number * 2 + u8::from(project.is_some()); 32]),
                name,
                description: None,
                scopes: ScopeSet::API,
                expires_at,
                previous: None,
                created_by: None,
            };
            let id = access_tokens::insert(&mut tx, &new, created_at).await.unwrap();
            if let Some(at) = revoked_at {
                assert!(access_tokens::revoke(&mut tx, id, at).await.unwrap());
            }
            if let Some(at) = last_used_at {
                access_tokens::touch(&mut tx, id, at, at - 1).await.unwrap();
            }
        }
    }
    let key = |token: &AccessToken| token.id.0;
    let list = async |tx: &mut Tx, of, filter: &TokenFilter, window| {
        access_tokens::list(tx, of, filter, window, NOW).await.unwrap()
    };
    let none = TokenFilter::default;
    let of = TokensOf::Project(hidden);
    let everybodys = list(&mut tx, TokensOf::Everybody, &none(), WHOLE).await.items;
    assert_eq!(everybodys.len(), 10);
    kept(of, &list(&mut tx, of, &none(), WHOLE).await, &everybodys, key, |token| {
        token.project == Some(hidden)
    });
    let bens = TokensOf::User(ben);
    kept(bens, &list(&mut tx, bens, &none(), WHOLE).await, &everybodys, key, |token| token.user == ben);

    let all = list(&mut tx, of, &none(), WHOLE).await.items;
    assert!(all.iter().all(|token| token.role == Some(Role::Reporter)));
    part_of(&list(&mut tx, of, &none(), PART).await, &all, key);
    let alive = |token: &AccessToken| {
        token.lifetime.revoked_at.is_none() && token.lifetime.expires_at.is_none_or(|at| at > NOW)
    };
    let cases: Vec<(TokenFilter, Box<dyn Fn(&AccessToken) -> bool>)> = vec![
        (TokenFilter { active: Some(true), ..none() }, Box::new(alive)),
        (TokenFilter { active: Some(false), ..none() }, Box::new(move |token| !alive(token))),
        (
            TokenFilter { revoked: Some(true), ..none() },
            Box::new(|token| token.lifetime.revoked_at.is_some()),
        ),
        (
            TokenFilter { revoked: Some(false), ..none() },
            Box::new(|token| token.lifetime.revoked_at.is_none()),
        ),
        (TokenFilter { created_before: Some(20), ..none() }, Box::new(|token| token.created_at <= 20)),
        (TokenFilter { created_after: Some(20), ..none() }, Box::new(|token| token.created_at >= 20)),
        (
            TokenFilter { last_used_before: Some(40), ..none() },
            Box::new(|token| token.last_used_at.is_some_and(|at| at <= 40)),
        ),
        (
            TokenFilter { last_used_after: Some(41), ..none() },
            Box::new(|token| token.last_used_at.is_some_and(|at| at >= 41)),
        ),
        (
            TokenFilter { expires_before: Some(NOW), ..none() },
            Box::new(|token| token.lifetime.expires_at.is_some_and(|at| at < NOW)),
        ),
        (
            TokenFilter { expires_after: Some(NOW), ..none() },
            Box::new(|token| token.lifetime.expires_at.is_some_and(|at| at >= NOW)),
        ),
        (TokenFilter { search: Some("ACK".to_owned()), ..none() }, Box::new(|token| token.name == "Backup")),
        (TokenFilter { search: Some("%_".to_owned()), ..none() }, Box::new(|token| token.name == "50%_off!")),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, of, &filter, WHOLE).await, &all, key, keep);
    }

    // What has no time comes last among the times it lacks; only what never expires comes first when the last to expire does.
    let expires = |token: &AccessToken| token.lifetime.expires_at.unwrap_or(i64::MAX);
    let unused = |token: &AccessToken| token.last_used_at.is_none();
    let name = |token: &AccessToken| token.name.to_lowercase();
    type By = Box<dyn Fn(&AccessToken, &AccessToken) -> Ordering>;
    let newest_first = |a: &AccessToken, b: &AccessToken| b.id.cmp(&a.id);
    let orders: Vec<(&str, By)> = vec![
        ("created_asc", Box::new(|a, b| (a.created_at, a.id).cmp(&(b.created_at, b.id)))),
        ("created_desc", Box::new(|a, b| (b.created_at, b.id).cmp(&(a.created_at, a.id)))),
        ("expires_asc", Box::new(move |a, b| expires(a).cmp(&expires(b)).then(newest_first(a, b)))),
        ("expires_desc", Box::new(move |a, b| expires(b).cmp(&expires(a)).then(newest_first(a, b)))),
        (
            "last_used_asc",
            Box::new(move |a, b| {
                (unused(a), a.last_used_at).cmp(&(unused(b), b.last_used_at)).then(newest_first(a, b))
            }),
        ),
        (
            "last_used_desc",
            Box::new(move |a, b| {
                (unused(a), Reverse(a.last_used_at))
                    .cmp(&(unused(b), Reverse(b.last_used_at)))
                    .then(newest_first(a, b))
            }),
        ),
        ("name_asc", Box::new(move |a, b| (name(a), a.id).cmp(&(name(b), b.id)))),
        ("name_desc", Box::new(move |a, b| (name(b), b.id).cmp(&(name(a), a.id)))),
    ];
    for (word, by) in orders {
        let filter = TokenFilter { order: TokenOrder::from_name(word).unwrap(), ..none() };
        sorted(word, &list(&mut tx, of, &filter, WHOLE).await, &all, key, by);
    }

    // The tokens of a deleted user are in no list.
    access_tokens::retire_all_of(&mut tx, bot, NOW).await.unwrap();
    assert_eq!(list(&mut tx, of, &none(), WHOLE).await.total, Some(0));
    assert_eq!(list(&mut tx, TokensOf::Everybody, &none(), WHOLE).await.total, Some(5));
}

/// An issue with what is read beside it.
#[derive(Debug)]
struct Whole {
    issue: Issue,
    labels: Vec<String>,
    assignees: Vec<UserId>,
}

impl World {
    /// Opens some issues in the public project.
    async fn open_issues(&self, tx: &mut Tx) -> Vec<IssueId> {
        let (ana, ben, dee) = (self.ana, self.ben, self.dee);
        // Title, description, author, confidential, due, created, labels, assignees.
        type Row<'a> =
            (&'a str, Option<&'a str>, UserId, bool, Option<i64>, i64, &'a [&'a str], &'a [UserId]);
        let rows: [Row<'_>; 6] = [
            ("Zebra", Some("Striped"), ana, false, None, 10, &["bug", "ui"], &[]),
            ("apple", None, ben, false, Some(300), 40, &["bug"], &[dee]),
            ("Mango", Some("100%_ripe!"), ana, true, Some(100), 20, &[], &[dee, ben]),
            ("kiwi", Some("a zebra"), dee, false, Some(200), 40, &["ui"], &[]),
            ("fig", Some("Hidden"), ben, true, None, 30, &["bug", "ui", "x"], &[ana]),
            ("lime", None, dee, false, None, 50, &[], &[]),
        ];
        let mut ids = Vec::new();
        for (iid, (title, description, author, confidential, due_date, created_at, labels, assignees)) in
            (1..).zip(rows)
        {
            let new = NewIssue {
                project: self.open,
                iid,
                author,
                title,
                description,
                confidential,
                due_date,
                created_at,
            };
            let id = issues::insert(tx, &new, created_at).await.unwrap();
            let labels: Vec<_> = labels.iter().map(|label| (*label).to_owned()).collect();
            issues::set_labels(tx, id, &labels).await.unwrap();
            issues::set_assignees(tx, id, assignees).await.unwrap();
            ids.push(id);
        }
        issues::set_closed(tx, self.open, ids[1], Some((ana, 60))).await.unwrap();
        issues::set_closed(tx, self.open, ids[4], Some((ben, 70))).await.unwrap();
        issues::touch(tx, self.open, ids[0], 90).await.unwrap();
        // One in another project, which must be in no list.
        let elsewhere = NewIssue {
            project: self.inner,
            iid: 1,
            author: ana,
            title: "Zebra",
            description: None,
            confidential: false,
            due_date: None,
            created_at: 10,
        };
        issues::insert(tx, &elsewhere, 10).await.unwrap();
        ids
    }
}

async fn issues_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let ids = world.open_issues(&mut tx).await;
    let (project, ana, ben, dee) = (world.open, world.ana, world.ben, world.dee);
    let key = |whole: &Whole| whole.issue.id.0;
    let list = async |tx: &mut Tx, sight, filter: &IssueFilter, window| {
        let found = issues::list(tx, project, sight, filter, window).await.unwrap();
        let page: Vec<_> = found.items.iter().map(|issue| issue.id.0).collect();
        let labels = issues::labels_of(tx, &page).await.unwrap();
        let assignees = issues::assignees_of(tx, &page).await.unwrap();
        found.map(|issue| {
            let id = issue.id.0;
            Whole {
                issue,
                labels: labels.iter().filter(|(of, _)| *of == id).map(|(_, label)| label.clone()).collect(),
                assignees: assignees.iter().filter(|(of, _)| *of == id).map(|(_, user)| user.id).collect(),
            }
        })
    };
    let none = IssueFilter::default;
    let all = list(&mut tx, Sight::Everything, &none(), WHOLE).await.items;
    assert_eq!(all.len(), 6);
    part_of(&list(&mut tx, Sight::Everything, &none(), PART).await, &all, key);
    let found = all.iter().find(|whole| whole.issue.id == ids[4]).unwrap();
    assert_eq!(
        (found.labels.as_slice(), found.assignees.as_slice()),
        (&["bug", "ui", "x"].map(str::to_owned)[..], &[ana][..])
    );
    assert_eq!(found.issue.closed_by.as_ref().unwrap().id, ben);

    let search = |text: &str, title, description| IssueFilter {
        search: Some(text.to_owned()),
        search_title_only: title,
        search_description_only: description,
        ..none()
    };
    let labels = |labels: &[&str]| IssueFilter {
        labels: Some(LabelFilter::All(labels.iter().map(|label| (*label).to_owned()).collect())),
        ..none()
    };
    let zebra = |text: &str| text.to_lowercase().contains("zebra");
    type Keep = Box<dyn Fn(&Whole) -> bool>;
    let cases: Vec<(IssueFilter, Keep)> = vec![
        (
            IssueFilter { state: Some(IssueState::Opened), ..none() },
            Box::new(|one| one.issue.closed_at.is_none()),
        ),
        (
            IssueFilter { state: Some(IssueState::Closed), ..none() },
            Box::new(|one| one.issue.closed_at.is_some()),
        ),
        (
            IssueFilter { of: Some(Relation::Author(ana)), ..none() },
            Box::new(move |one| one.issue.author.id == ana),
        ),
        (
            IssueFilter { of: Some(Relation::Assignee(dee)), ..none() },
            Box::new(move |one| one.assignees.contains(&dee)),
        ),
        (
            search("ZEBRA", false, false),
            Box::new(move |one| {
                zebra(&one.issue.title) || one.issue.description.as_deref().is_some_and(zebra)
            }),
        ),
        (search("zebra", true, false), Box::new(move |one| zebra(&one.issue.title))),
        (
            search("zebra", false, true),
            Box::new(move |one| one.issue.description.as_deref().is_some_and(zebra)),
        ),
        (search("%_r", false, false), Box::new(|one| one.issue.title == "Mango")),
        (IssueFilter { labels: Some(LabelFilter::Without), ..none() }, Box::new(|one| one.labels.is_empty())),
        (IssueFilter { labels: Some(LabelFilter::Any), ..none() }, Box::new(|one| !one.labels.is_empty())),
        (labels(&["bug"]), Box::new(|one| one.labels.contains(&"bug".to_owned()))),
        (
            labels(&["ui", "bug"]),
            Box::new(|one| ["bug", "ui"].iter().all(|label| one.labels.iter().any(|own| own == label))),
        ),
        (
            IssueFilter { iids: Some(vec![2, 5, 99]), ..none() },
            Box::new(|one| [2, 5].contains(&one.issue.iid)),
        ),
        (IssueFilter { author: Some(ben), ..none() }, Box::new(move |one| one.issue.author.id == ben)),
        (
            IssueFilter { author_username: Some("BEN".to_owned()), ..none() },
            Box::new(move |one| one.issue.author.id == ben),
        ),
        (
            IssueFilter { assignee: Some(AssigneeFilter::Nobody), ..none() },
            Box::new(|one| one.assignees.is_empty()),
        ),
        (
            IssueFilter { assignee: Some(AssigneeFilter::Anybody), ..none() },
            Box::new(|one| !one.assignees.is_empty()),
        ),
        (
            IssueFilter { assignee: Some(AssigneeFilter::User(ben)), ..none() },
            Box::new(move |one| one.assignees.contains(&ben)),
        ),
        (
            IssueFilter { confidential: Some(true), ..none() },
            Box::new(|one| one.issue.confidential_at.is_some()),
        ),
        (
            IssueFilter { confidential: Some(false), ..none() },
            Box::new(|one| one.issue.confidential_at.is_none()),
        ),
        (IssueFilter { created_after: Some(30), ..none() }, Box::new(|one| one.issue.created_at >= 30)),
        (IssueFilter { created_before: Some(30), ..none() }, Box::new(|one| one.issue.created_at <= 30)),
        (IssueFilter { updated_after: Some(50), ..none() }, Box::new(|one| one.issue.updated_at >= 50)),
        (IssueFilter { updated_before: Some(50), ..none() }, Box::new(|one| one.issue.updated_at <= 50)),
        (
            IssueFilter {
                state: Some(IssueState::Opened),
                author: Some(ana),
                confidential: Some(false),
                ..labels(&["bug"])
            },
            Box::new(|one| one.issue.iid == 1),
        ),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, Sight::Everything, &filter, WHOLE).await, &all, key, keep);
    }

    // Sight is narrowed by the query itself, whatever else is asked.
    let open = |whole: &Whole| whole.issue.confidential_at.is_none();
    kept(Sight::Open, &list(&mut tx, Sight::Open, &none(), WHOLE).await, &all, key, open);
    for user in [ana, ben, dee] {
        let own =
            move |one: &Whole| open(one) || one.issue.author.id == user || one.assignees.contains(&user);
        let (sight, found) = (Sight::Own(user), list(&mut tx, Sight::Own(user), &none(), WHOLE).await);
        let expected: Vec<_> = all.iter().filter(|one| own(one)).map(key).collect();
        assert_eq!(keys(&found.items, key), expected, "{sight:?}");
    }
    let confidential = IssueFilter { confidential: Some(true), ..none() };
    assert_eq!(list(&mut tx, Sight::Open, &confidential, WHOLE).await.total, Some(0));

    type By = fn(&Whole) -> (String, i64);
    let orders: [(IssueOrder, By); 3] = [
        (IssueOrder::Created, |one| (String::new(), one.issue.created_at)),
        (IssueOrder::Updated, |one| (String::new(), one.issue.updated_at)),
        (IssueOrder::Title, |one| (one.issue.title.to_lowercase(), 0)),
    ];
    for (order, by) in orders {
        let found =
            list(&mut tx, Sight::Everything, &IssueFilter { order, ascending: true, ..none() }, WHOLE).await;
        sorted(order, &found, &all, key, |a, b| (by(a), a.issue.id).cmp(&(by(b), b.issue.id)));
        let found =
            list(&mut tx, Sight::Everything, &IssueFilter { order, ascending: false, ..none() }, WHOLE).await;
        sorted(order, &found, &all, key, |a, b| (by(b), b.issue.id).cmp(&(by(a), a.issue.id)));
    }
    // What is never due comes last, whichever way.
    for ascending in [true, false] {
        let filter = IssueFilter { order: IssueOrder::DueDate, ascending, ..none() };
        let due: Vec<_> = list(&mut tx, Sight::Everything, &filter, WHOLE)
            .await
            .items
            .iter()
            .map(|one| one.issue.due_date)
            .collect();
        let times =
            if ascending { [Some(100), Some(200), Some(300)] } else { [Some(300), Some(200), Some(100)] };
        assert_eq!((&due[..3], &due[3..]), (&times[..], &[None; 3][..]));
    }
}

async fn notes_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let issue = world.open_issues(&mut tx).await[0];
    let mut ids = Vec::new();
    for (at, internal) in [(30, false), (10, true), (20, false), (20, false)] {
        let new =
            NewNote { project: world.open, issue, author: world.ana, body: "text", system: false, internal };
        ids.push(notes::insert(&mut tx, &new, at).await.unwrap());
    }
    notes::update(&mut tx, world.open, ids[2], "other", "{}", world.ana, 40).await.unwrap();
    let list = async |tx: &mut Tx, sight, order, ascending, window| {
        let filter = NoteFilter { order, ascending };
        notes::list(tx, world.open, issue, sight, filter, window).await.unwrap()
    };
    let key = |note: &notes::Note| note.id.0;
    let all = list(&mut tx, Sight::Everything, NoteOrder::Created, false, WHOLE).await.items;
    part_of(&list(&mut tx, Sight::Everything, NoteOrder::Created, false, PART).await, &all, key);
    for sight in [Sight::Open, Sight::Own(world.ana)] {
        kept(sight, &list(&mut tx, sight, NoteOrder::Created, false, WHOLE).await, &all, key, |note| {
            !note.internal
        });
    }
    for (order, by) in [
        (NoteOrder::Created, (|note| note.created_at) as fn(&notes::Note) -> i64),
        (NoteOrder::Updated, |note| note.updated_at),
    ] {
        let found = list(&mut tx, Sight::Everything, order, true, WHOLE).await;
        sorted(order, &found, &all, key, |a, b| (by(a), a.id).cmp(&(by(b), b.id)));
        let found = list(&mut tx, Sight::Everything, order, false, WHOLE).await;
        sorted(order, &found, &all, key, |a, b| (by(b), b.id).cmp(&(by(a), a.id)));
    }
}

async fn events_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let issues = world.open_issues(&mut tx).await;
    let mut notes = Vec::new();
    for (issue, internal) in [(issues[0], false), (issues[0], true), (issues[2], false)] {
        let new =
            NewNote { project: world.open, issue, author: world.ana, body: "text", system: false, internal };
        notes.push(notes::insert(&mut tx, &new, 10).await.unwrap().0);
    }
    let targets = [
        ("joined", None, None, 10),
        ("opened", Some("Issue"), Some(issues[0].0), 20),
        ("opened", Some("Issue"), Some(issues[2].0), 30),
        ("commented on", Some("Note"), Some(notes[0]), 40),
        ("commented on", Some("Note"), Some(notes[1]), 40),
        ("commented on", Some("Note"), Some(notes[2]), 50),
        ("pushed to", None, None, 60),
    ];
    for (action, target_type, target_id, at) in targets {
        for project in [world.open, world.inner] {
            let new = NewEvent {
                project,
                author: world.ana,
                token: None,
                action,
                target_type,
                target_id,
                target_iid: None,
                target_title: None,
                details: None,
            };
            events::insert(&mut tx, &new, at).await.unwrap();
        }
    }
    let list = async |tx: &mut Tx, filter: &EventFilter, window| {
        events::list(tx, world.open, filter, window).await.unwrap()
    };
    let key = |event: &Event| event.id.0;
    let everything = || EventFilter { confidential: true, ..EventFilter::default() };
    let all = list(&mut tx, &everything(), WHOLE).await.items;
    assert_eq!(all.len(), targets.len());
    part_of(&list(&mut tx, &everything(), PART).await, &all, key);
    let secret = [issues[2].0];
    let cases: Vec<(EventFilter, Box<dyn Fn(&Event) -> bool>)> = vec![
        (
            EventFilter { action: Some("opened".to_owned()), ..everything() },
            Box::new(|event| event.action == "opened"),
        ),
        (
            EventFilter { target_type: Some("NOTE".to_owned()), ..everything() },
            Box::new(|event| event.target_type.as_deref() == Some("Note")),
        ),
        (EventFilter { before: Some(40), ..everything() }, Box::new(|event| event.created_at < 40)),
        (EventFilter { after: Some(40), ..everything() }, Box::new(|event| event.created_at > 40)),
        (
            EventFilter::default(),
            Box::new(move |event| match event.target_type.as_deref() {
                Some("Issue") => !secret.contains(&event.target_id.unwrap()),
                Some(_) => event.target_id == Some(notes[0]),
                None => true,
            }),
        ),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, &filter, WHOLE).await, &all, key, keep);
    }
    let upwards = list(&mut tx, &EventFilter { ascending: true, ..everything() }, WHOLE).await;
    sorted("ascending", &upwards, &all, key, |a, b| a.id.cmp(&b.id));
    sorted("descending", &list(&mut tx, &everything(), WHOLE).await, &all, key, |a, b| b.id.cmp(&a.id));
}

async fn audit_events_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let entries = [
        ("Project", world.open.0, Some(1), 10),
        ("Project", world.inner.0, Some(2), 20),
        ("Group", world.open.0, Some(1), 30),
        ("User", world.ana.0, None, 40),
        ("Project", world.open.0, Some(2), 50),
    ];
    for (kind, id, token, at) in entries {
        let new = NewAuditEvent {
            author: Some(world.ana),
            author_name: "Ana",
            token: token.map(TokenId),
            address: None,
            entity: AuditEntity { kind, id: Some(id), path: None },
            event_name: "something",
            target_type: kind,
            target_id: Some(id),
            details: "{}",
        };
        audit_events::insert(&mut tx, &new, at).await.unwrap();
    }
    let list = async |tx: &mut Tx, of, filter: &AuditEventFilter, window| {
        audit_events::list(tx, of, filter, window).await.unwrap()
    };
    let key = |event: &audit_events::AuditEvent| event.id.0;
    let none = AuditEventFilter::default;
    let all = list(&mut tx, AuditEventsOf::Instance, &none(), WHOLE).await.items;
    assert!(all.is_sorted_by_key(|event| Reverse(event.id)));
    part_of(&list(&mut tx, AuditEventsOf::Instance, &none(), PART).await, &all, key);
    // A group with the same number is another entity.
    let (of, open) = (AuditEventsOf::Project(world.open), world.open.0);
    kept(of, &list(&mut tx, of, &none(), WHOLE).await, &all, key, |event| {
        event.entity_type == "Project" && event.entity_id == Some(open)
    });
    let second = all[1].id;
    let cases: Vec<(AuditEventFilter, Box<dyn Fn(&audit_events::AuditEvent) -> bool>)> = vec![
        (
            AuditEventFilter { id: Some(AuditEventId(second.0)), ..none() },
            Box::new(move |event| event.id == second),
        ),
        (AuditEventFilter { created_after: Some(30), ..none() }, Box::new(|event| event.created_at >= 30)),
        (AuditEventFilter { created_before: Some(30), ..none() }, Box::new(|event| event.created_at <= 30)),
        (
            AuditEventFilter { entity_type: Some("Project".to_owned()), ..none() },
            Box::new(|event| event.entity_type == "Project"),
        ),
        (
            AuditEventFilter { entity_id: Some(open), ..none() },
            Box::new(move |event| event.entity_id == Some(open)),
        ),
        (
            AuditEventFilter { token: Some(TokenId(1)), ..none() },
            Box::new(|event| event.token == Some(TokenId(1))),
        ),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, AuditEventsOf::Instance, &filter, WHOLE).await, &all, key, keep);
    }
}

async fn protected_branches_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let role = Some(Role::Maintainer);
    for name in ["main", "release/*", "Release_1", "50%"] {
        protected_branches::insert(&mut tx, world.open, name, role, None, false, NOW).await.unwrap();
        protected_branches::insert(&mut tx, world.inner, name, role, role, true, NOW).await.unwrap();
    }
    let list = async |tx: &mut Tx, search, window| {
        protected_branches::list(tx, world.open, search, window).await.unwrap()
    };
    let key = |branch: &protected_branches::ProtectedBranch| branch.id.0;
    let all = list(&mut tx, None, WHOLE).await.items;
    assert_eq!(all, protected_branches::of_project(&mut tx, world.open).await.unwrap());
    part_of(&list(&mut tx, None, PART).await, &all, key);
    for (search, names) in
        [("RELEASE", &["release/*", "Release_1"][..]), ("%", &["50%"]), ("_", &["Release_1"])]
    {
        let found = list(&mut tx, Some(search), WHOLE).await;
        kept(search, &found, &all, key, |branch| names.contains(&branch.name.as_str()));
    }
}
