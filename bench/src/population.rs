//! A table of a million tokens, filled through the store's own functions, a few seconds for what would take an hour
//! through the API. Every token has a bot with a membership, as a real one has.
//!
//! The rows go in by the order of their digests, which changes nothing about the finished table but its size and how
//! long it takes: every index grows at its end.

use std::path::Path;

use anyhow::Context;
use portcullis_app::forge::SQLITE_FILE;
use portcullis_app::records::access_tokens::{self, NewAccessToken};
use portcullis_app::records::db::{Db, Target, Tx};
use portcullis_app::records::members::{self, Place};
use portcullis_app::records::projects::{self, NewProject};
use portcullis_app::records::users::{self, NewUser, UserKind};
use portcullis_rules::access::{FeatureAccess, Role, ScopeSet, Visibility};
use portcullis_rules::bot::{self, Home};
use portcullis_rules::id::{ProjectId, UserId};
use portcullis_rules::secret::{TokenDigest, TokenSecret};

use crate::git::Random;

/// How many tokens each project has.
const TOKENS_PER_PROJECT: u32 = 100;

/// How many tokens go into one transaction.
const BATCH: usize = 20_000;

/// When the rows were made: any moment in the past.
const MADE_AT: i64 = 1_700_000_000_000_000;

/// A filled table.
#[derive(Debug)]
pub struct Population {
    /// For each token that was added, by its number: the project it opens.
    projects: Vec<ProjectId>,
}

/// Returns the secret of the token with this number.
pub fn secret(number: u32) -> TokenSecret {
    secret_of(&mut Random(u64::from(number) << 20))
}

/// Returns the next secret of a series.
pub fn secret_of(random: &mut Random) -> TokenSecret {
    TokenSecret::generate("pcp_", |bytes| random.fill(bytes))
}

impl Population {
    /// Returns a token: its secret and the project it opens.
    pub fn token(&self, number: u32) -> (String, ProjectId) {
        (secret(number).reveal().to_owned(), self.projects[number as usize])
    }

    /// Adds `count` tokens to the database in `data`, which has the project `model`.
    pub async fn fill(data: &Path, model: ProjectId, count: u32) -> anyhow::Result<Population> {
        let mut order: Vec<(TokenDigest, u32)> =
            (0..count).map(|number| (secret(number).digest(), number)).collect();
        order.sort_unstable_by_key(|(digest, _)| digest.0);
        let db = Db::open(&Target::Sqlite(data.join(SQLITE_FILE))).await?;
        let mut tx = db.begin().await?;
        let model = projects::find(&mut tx, model).await?.context("the model project is gone")?;
        let mut homes = Vec::new();
        for number in 0..count.div_ceil(TOKENS_PER_PROJECT) {
            let path = format!("filled-{number}");
            let project = NewProject {
                namespace: model.namespace,
                creator: model.creator,
                name: &path,
                path: &path,
                full_path: &format!("{}/{path}", model.namespace_full_path),
                description: "",
                visibility: Visibility::Private,
                default_branch: "main",
                object_format: "sha1",
                repository_access: FeatureAccess::Enabled,
                issues_access: FeatureAccess::Enabled,
                container_registry_access: FeatureAccess::Enabled,
            };
            homes.push(projects::insert(&mut tx, &project, MADE_AT).await?);
        }
        tx.commit().await?;

        let mut population = Population { projects: vec![ProjectId(0); count as usize] };
        for (batch, tokens) in order.chunks(BATCH).enumerate() {
            let mut tx = db.begin().await?;
            for (at, (digest, number)) in tokens.iter().enumerate() {
                let place = (batch * BATCH + at) as u32;
                let project = homes[(place / TOKENS_PER_PROJECT) as usize];
                add(&mut tx, project, place % TOKENS_PER_PROJECT, *digest, model.creator).await?;
                population.projects[*number as usize] = project;
            }
            tx.commit().await?;
        }
        Ok(population)
    }
}

/// Adds a token with a bot of its own; `number` is in the bot's name.
pub async fn add(
    tx: &mut Tx,
    project: ProjectId,
    number: u32,
    digest: TokenDigest,
    creator: UserId,
) -> anyhow::Result<()> {
    let username = bot::username(Home::Project(project), number);
    let new_bot = NewUser {
        username: &username,
        name: "deploy",
        email: &bot::email(&username, "localhost"),
        kind: UserKind::ProjectBot,
        password_hash: None,
        administrator: false,
        external: false,
        bot_home: Some(Home::Project(project)),
        created_by: Some(creator),
    };
    let user = users::insert(tx, &new_bot, MADE_AT).await?;
    members::insert(tx, Place::Project(project), user, Role::Developer, None, Some(creator), MADE_AT).await?;
    let token = NewAccessToken {
        user,
        home: Some(Home::Project(project)),
        digest,
        name: "deploy",
        description: None,
        scopes: ScopeSet::READ_API | ScopeSet::READ_REPOSITORY,
        expires_at: None,
        previous: None,
        created_by: Some(creator),
    };
    access_tokens::insert(tx, &token, MADE_AT).await?;
    Ok(())
}
