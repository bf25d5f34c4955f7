//! What is listed: a few people, groups and projects of every visibility, and a bot.

use portcullis_rules::access::{FeatureAccess, Role, Visibility};
use portcullis_rules::bot::Home;
use portcullis_rules::id::{IssueId, NamespaceId, ProjectId, UserId};
use portcullis_store::audience::Audience;
use portcullis_store::db::Tx;
use portcullis_store::issues::{self, NewIssue};
use portcullis_store::labels;
use portcullis_store::members::{self, Place as MemberOf};
use portcullis_store::migrate;
use portcullis_store::namespaces::{self, NewNamespace};
use portcullis_store::projects::{self, NewProject};
use portcullis_store::users::{self, NewUser, UserKind};

use crate::NOW;
use crate::engines::Place;

/// What is listed.
pub struct World {
    pub ana: UserId,
    pub ben: UserId,
    pub cyd: UserId,
    pub dee: UserId,
    pub bot: UserId,
    pub top: NamespaceId,
    pub sub: NamespaceId,
    pub deep: NamespaceId,
    pub own: NamespaceId,
    /// In `top`, public.
    pub open: ProjectId,
    /// In `sub`, internal.
    pub inner: ProjectId,
    /// In `deep`, private and archived.
    pub archived: ProjectId,
    /// In a private group, private; the bot's.
    pub hidden: ProjectId,
    /// In Ana's own namespace, public, without issues.
    pub personal: ProjectId,
}

async fn add_user(
    tx: &mut Tx,
    username: &str,
    name: &str,
    kind: UserKind,
    external: bool,
    home: Option<Home>,
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
        bot_home: home,
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
        container_registry_access: FeatureAccess::Enabled,
    };
    projects::insert(tx, &new, created_at).await.unwrap()
}

async fn add_member(tx: &mut Tx, place: MemberOf, user: UserId, role: Role, expires_at: Option<i64>) {
    members::insert(tx, place, user, role, expires_at, None, NOW).await.unwrap();
}

impl World {
    pub async fn new(place: &Place) -> World {
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
        let bot =
            add_user(tx, "project_4_bot", "Deployer", ProjectBot, false, Some(Home::Project(hidden))).await;

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

    /// Makes the bot of a group, and returns it with what lists are made for it.
    pub async fn add_group_bot(&self, tx: &mut Tx, group: NamespaceId, role: Role) -> (UserId, Audience) {
        let home = Some(Home::Group(group));
        let bot = add_user(tx, "group_bot", "Robot", UserKind::ProjectBot, false, home).await;
        add_member(tx, MemberOf::Namespace(group), bot, role, None).await;
        (bot, Audience::GroupBot(bot, group))
    }

    pub fn insider(&self, user: UserId) -> Audience {
        Audience::Person { user, external: user == self.ben }
    }

    /// Opens some issues in the public project.
    pub async fn open_issues(&self, tx: &mut Tx) -> Vec<IssueId> {
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
            for label in &labels {
                labels::ensure(tx, self.open, label, "#6699cc", NOW).await.unwrap();
            }
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
