//! Which tags a cleanup deletes: a project's policy from time to time, or a person who asks for many at once.
//!
//! The order of the steps is GitLab's ("How the cleanup policy works"): what matches, without what is to be kept; of that
//! the newest stay, and what is too young, and what a rule protects. `latest` always stays.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use portcullis_rules::id::ProjectId;
use portcullis_rules::token::MICROSECONDS;
use portcullis_store::container_cleanup_policies::{self as policies, CleanupPolicy};
use portcullis_store::container_repositories::{self, ContainerRepository};
use portcullis_store::container_rules::{self, TagRule};
use portcullis_store::container_tags::{self, AgedTag};
use portcullis_store::db::Tx;
use portcullis_store::events::{self, NewEvent};
use portcullis_store::{projects, users};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::patterns::TagPattern;
use super::{image_name, tag_rules};
use crate::Error;
use crate::access::{Origin, Viewer};
use crate::audit::{self, Entry};
use crate::forge::Forge;
use crate::jobs::{self, DeleteTags, Job};

const HOUR: i64 = 3600 * MICROSECONDS;
const DAY: i64 = 24 * HOUR;

/// How many tags are deleted in one transaction, and named in one entry of the feed.
const BATCH: usize = 100;

/// How many policies are begun at a time.
const POLICIES_AT_ONCE: i64 = 100;

/// How often a policy runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence(&'static str);

impl Cadence {
    /// What there is.
    pub const ALL: [&'static str; 5] = ["1d", "7d", "14d", "1month", "3month"];

    /// Returns the cadence with this name.
    pub fn from_name(name: &str) -> Option<Cadence> {
        Cadence::ALL.into_iter().find(|known| *known == name).map(Cadence)
    }

    /// Returns when a policy that ran at `now` runs again.
    fn after(self, now: i64) -> i64 {
        let span = match self.0 {
            "7d" => Span::new().days(7),
            "14d" => Span::new().days(14),
            "1month" => Span::new().months(1),
            "3month" => Span::new().months(3),
            _ => Span::new().days(1),
        };
        let next = Timestamp::from_microsecond(now)
            .and_then(|now| now.to_zoned(TimeZone::UTC).checked_add(span))
            .map(|next| next.timestamp().as_microsecond());
        next.unwrap_or(now.saturating_add(DAY))
    }
}

/// How many of the newest tags a policy may keep.
pub const KEEP_N: [&str; 6] = ["1", "5", "10", "25", "50", "100"];

/// How old tags must be for a policy.
pub const OLDER_THAN: [&str; 4] = ["7d", "14d", "30d", "90d"];

/// What is to change about a policy; what is absent stays. The words are those of [`Cadence::ALL`], [`KEEP_N`] and
/// [`OLDER_THAN`].
#[derive(Clone, Debug, Default)]
pub struct CleanupChanges {
    /// Whether it runs.
    pub enabled: Option<bool>,
    /// How often.
    pub cadence: Option<Cadence>,
    /// How many of the newest stay.
    pub keep_n: Option<Option<i64>>,
    /// How old a tag must be.
    pub older_than: Option<Option<String>>,
    /// Which tags go.
    pub name_regex: Option<Option<TagPattern>>,
    /// Which of them stay all the same.
    pub name_regex_keep: Option<Option<TagPattern>>,
}

/// Returns the policy of a project that never had one: it does nothing.
pub fn default_policy() -> CleanupPolicy {
    CleanupPolicy {
        enabled: false,
        cadence: "1d".to_owned(),
        keep_n: Some(10),
        older_than: Some("90d".to_owned()),
        name_regex: Some(".*".to_owned()),
        name_regex_keep: None,
        next_run_at: 0,
    }
}

/// Returns what becomes of a policy. A change begins its interval anew.
pub(crate) fn changed(before: Option<&CleanupPolicy>, changes: CleanupChanges, now: i64) -> CleanupPolicy {
    let mut policy = before.cloned().unwrap_or_else(default_policy);
    policy.enabled = changes.enabled.unwrap_or(policy.enabled);
    if let Some(Cadence(name)) = changes.cadence {
        name.clone_into(&mut policy.cadence);
    }
    policy.keep_n = changes.keep_n.unwrap_or(policy.keep_n);
    policy.older_than = changes.older_than.unwrap_or(policy.older_than);
    let text = |pattern: Option<TagPattern>| pattern.map(|pattern| pattern.as_str().to_owned());
    policy.name_regex = changes.name_regex.map_or(policy.name_regex, text);
    policy.name_regex_keep = changes.name_regex_keep.map_or(policy.name_regex_keep, text);
    policy.next_run_at = next_run(&policy.cadence, now);
    policy
}

fn next_run(cadence: &str, now: i64) -> i64 {
    Cadence::from_name(cadence).unwrap_or(Cadence("1d")).after(now)
}

/// Returns a policy as the audit log keeps it.
pub(crate) fn in_words(policy: &CleanupPolicy) -> Value {
    json!({
        "enabled": policy.enabled,
        "cadence": policy.cadence,
        "keep_n": policy.keep_n,
        "older_than": policy.older_than,
        "name_regex": policy.name_regex,
        "name_regex_keep": policy.name_regex_keep,
    })
}

/// Which tags are to be deleted.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Those that match.
    pub delete: TagPattern,
    /// Those of them that stay all the same.
    pub keep: Option<TagPattern>,
    /// How many of the newest that are left stay.
    pub keep_n: Option<u32>,
    /// How old the others must be, in microseconds.
    pub older_than: Option<i64>,
}

/// A [`Selection`] as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SelectionWords {
    name_regex_delete: String,
    name_regex_keep: Option<String>,
    keep_n: Option<u32>,
    older_than_seconds: Option<i64>,
}

impl SelectionWords {
    fn read(&self) -> Result<Selection, Error> {
        let pattern = |text: &str| TagPattern::parse(text).map_err(|why| Error::Internal(why.into()));
        Ok(Selection {
            delete: pattern(&self.name_regex_delete)?,
            keep: self.name_regex_keep.as_deref().map(pattern).transpose()?,
            keep_n: self.keep_n,
            older_than: self.older_than_seconds.map(|seconds| seconds.saturating_mul(MICROSECONDS)),
        })
    }
}

impl Selection {
    pub(crate) fn to_words(&self) -> SelectionWords {
        SelectionWords {
            name_regex_delete: self.delete.as_str().to_owned(),
            name_regex_keep: self.keep.as_ref().map(|keep| keep.as_str().to_owned()),
            keep_n: self.keep_n,
            older_than_seconds: self.older_than.map(|age| age / MICROSECONDS),
        }
    }

    /// Returns what a policy selects; one that names no tags selects none.
    fn of_policy(policy: &CleanupPolicy) -> Result<Option<Selection>, Error> {
        let Some(delete) = policy.name_regex.as_deref() else { return Ok(None) };
        let older_than = policy.older_than.as_deref().and_then(parse_age);
        let words = SelectionWords {
            name_regex_delete: delete.to_owned(),
            name_regex_keep: policy.name_regex_keep.clone(),
            keep_n: policy.keep_n.and_then(|keep| u32::try_from(keep).ok()),
            older_than_seconds: older_than.map(|age| age / MICROSECONDS),
        };
        words.read().map(Some)
    }

    /// Returns which of all tags of a repository go. A tag is as old as the push that put it where it is: images that are
    /// built to be the same whenever they are built say that they are decades old.
    fn select(&self, mut tags: Vec<AgedTag>, rules: &[TagRule], now: i64) -> Vec<AgedTag> {
        tags.retain(|tag| {
            tag.name != "latest"
                && self.delete.matches(&tag.name)
                && !self.keep.as_ref().is_some_and(|keep| keep.matches(&tag.name))
        });
        tags.sort_by(|a, b| (Reverse(a.pushed_at), &a.name).cmp(&(Reverse(b.pushed_at), &b.name)));
        let kept = usize::try_from(self.keep_n.unwrap_or(0)).unwrap_or(usize::MAX).min(tags.len());
        tags.drain(..kept);
        if let Some(age) = self.older_than {
            tags.retain(|tag| tag.pushed_at < now.saturating_sub(age));
        }
        tags.retain(|tag| !tag_rules::mentions(rules, &tag.name));
        tags
    }
}

/// The units of an age: `1h`, `1d`, `1w`, `1month`, `1y`.
pub const AGE_UNITS: &str = "a number and h, d, w, month or y";

/// Reads an age, in microseconds.
pub fn parse_age(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().ok().filter(|number| (1..=10_000).contains(number))?;
    let unit = match unit.trim() {
        "h" | "hour" | "hours" => HOUR,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => 7 * DAY,
        "mo" | "month" | "months" => 30 * DAY,
        "y" | "year" | "years" => 365 * DAY,
        _ => return None,
    };
    Some(number * unit)
}

/// In whose name tags are deleted.
enum InNameOf<'a> {
    /// Who asked for it.
    User(&'a DeleteTags),
    /// The project's policy; the feed shows the Ghost User, because nobody did it.
    Policy,
}

/// Begins the policies that are due: each is a job of its own.
pub(crate) async fn begin_due(forge: &Forge) -> Result<(), Error> {
    if !forge.settings().container_registry || forge.settings().registry_read_only {
        return Ok(());
    }
    loop {
        let now = forge.now();
        let mut tx = forge.db().begin().await?;
        let due = policies::due(&mut tx, now, POLICIES_AT_ONCE).await?;
        for (project, cadence) in &due {
            policies::set_next_run(&mut tx, *project, next_run(cadence, now)).await?;
            jobs::ask(&mut tx, &Job::CleanUpImages { project: *project }, now).await?;
        }
        tx.commit().await?;
        if due.is_empty() {
            return Ok(());
        }
    }
}

/// Runs the policy of a project, if it is in force.
pub(crate) async fn run_policy(forge: &Arc<Forge>, project: ProjectId) -> Result<(), Error> {
    let mut tx = forge.db().read().await?;
    let policy = policies::find_in_force(&mut tx, project).await?;
    let repositories = container_repositories::all_of_project(&mut tx, project).await?;
    drop(tx);
    let Some(policy) = policy else { return Ok(()) };
    let Some(selection) = Selection::of_policy(&policy)? else { return Ok(()) };
    for repository in repositories {
        let mut tx = forge.db().begin().await?;
        container_repositories::set_cleanup_started(&mut tx, repository.id, forge.now()).await?;
        tx.commit().await?;
        delete_selected(forge, &repository, &selection, &InNameOf::Policy).await?;
    }
    Ok(())
}

/// Deletes the tags that somebody asked to have deleted.
pub(crate) async fn run_asked(forge: &Arc<Forge>, asked: &DeleteTags) -> Result<(), Error> {
    let mut tx = forge.db().read().await?;
    let found = container_repositories::find_in_project(&mut tx, asked.project, asked.repository).await?;
    drop(tx);
    let Some(repository) = found else { return Ok(()) };
    delete_selected(forge, &repository, &asked.selection.read()?, &InNameOf::User(asked)).await
}

async fn delete_selected(
    forge: &Forge,
    repository: &ContainerRepository,
    selection: &Selection,
    by: &InNameOf<'_>,
) -> Result<(), Error> {
    let mut tx = forge.db().read().await?;
    let tags = container_tags::all_with_age(&mut tx, repository.id).await?;
    let rules = container_rules::of_project(&mut tx, repository.project).await?;
    drop(tx);
    let doomed = selection.select(tags, &rules, forge.now());
    for batch in doomed.chunks(BATCH) {
        if !delete_batch(forge, repository, batch, by).await? {
            break;
        }
    }
    Ok(())
}

/// Deletes some tags. Returns whether there is anything to go on with.
async fn delete_batch(
    forge: &Forge,
    repository: &ContainerRepository,
    tags: &[AgedTag],
    by: &InNameOf<'_>,
) -> Result<bool, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    container_repositories::lock(&mut tx, repository.id).await?;
    if container_repositories::find_in_project(&mut tx, repository.project, repository.id).await?.is_none() {
        return Ok(false);
    }
    // The rules may have changed since the tags were selected, and a tag may be on a newer image.
    let rules = container_rules::of_project(&mut tx, repository.project).await?;
    let mut deleted = Vec::new();
    for tag in tags.iter().filter(|tag| !tag_rules::mentions(&rules, &tag.name)) {
        let still = container_tags::find(&mut tx, repository.id, &tag.name).await?;
        if still.is_some_and(|still| still.manifest == tag.manifest) {
            container_tags::delete(&mut tx, repository.id, &tag.name, now).await?;
            deleted.push(tag.name.as_str());
        }
    }
    if !deleted.is_empty() {
        record(forge, &mut tx, repository, &deleted, by, now).await?;
        projects::record_activity(&mut tx, repository.project, now).await?;
    }
    tx.commit().await?;
    Ok(true)
}

async fn record(
    forge: &Forge,
    tx: &mut Tx,
    repository: &ContainerRepository,
    deleted: &[&str],
    by: &InNameOf<'_>,
    now: i64,
) -> Result<(), Error> {
    let image = image_name(&repository.project_path, &repository.name);
    let title = match deleted {
        [tag] => format!("{image}:{tag}"),
        tags => format!("{image} ({} tags)", tags.len()),
    };
    let reason = match by {
        InNameOf::User(_) => "bulk deletion",
        InNameOf::Policy => "cleanup policy",
    };
    let about = json!({ "image": image, "tags": deleted, "reason": reason });
    let entry = Entry::project(repository.project, &repository.project_path, "container_tags_deleted");
    let entry = entry.details(about.clone());
    let (author, token) = match by {
        InNameOf::User(asked) => {
            // Who asked may have been deleted since; what they did then belongs to the Ghost User.
            let user = users::find(tx, asked.user).await?;
            let (author, name) =
                user.map_or((forge.ghost(), "Ghost User".to_owned()), |user| (user.id, user.name));
            let address = asked.address.as_deref();
            audit::record_as(tx, author, &name, Some(asked.token), address, entry, now).await?;
            (author, Some(asked.token))
        }
        InNameOf::Policy => {
            audit::record(tx, &Viewer::anonymous(Origin::default()), entry, now).await?;
            (forge.ghost(), None)
        }
    };
    let details = json!({ "container_image": about }).to_string();
    let event = NewEvent {
        project: repository.project,
        author,
        token,
        action: "deleted",
        target_type: Some("ContainerImage"),
        target_id: None,
        target_iid: None,
        target_title: Some(&title),
        details: Some(&details),
    };
    events::insert(tx, &event, now).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use portcullis_rules::id::{ContainerManifestId, ContainerTagRuleId};

    use super::*;

    const NOW: i64 = 1_772_452_800_000_000;

    fn selection(
        delete: &str,
        keep: Option<&str>,
        keep_n: Option<u32>,
        older_than: Option<&str>,
    ) -> Selection {
        Selection {
            delete: TagPattern::parse(delete).unwrap(),
            keep: keep.map(|keep| TagPattern::parse(keep).unwrap()),
            keep_n,
            older_than: older_than.map(|age| parse_age(age).unwrap()),
        }
    }

    fn tags(ages: &[(&str, i64)]) -> Vec<AgedTag> {
        let tag = |(name, hours): &(&str, i64)| AgedTag {
            name: (*name).to_owned(),
            manifest: ContainerManifestId(1),
            pushed_at: NOW - hours * HOUR,
        };
        ages.iter().map(tag).collect()
    }

    fn gone(selection: &Selection, ages: &[(&str, i64)], rules: &[TagRule]) -> Vec<String> {
        let mut names: Vec<_> =
            selection.select(tags(ages), rules, NOW).into_iter().map(|tag| tag.name).collect();
        names.sort();
        names
    }

    /// The example of GitLab's documentation, "Example cleanup policy workflow".
    #[test]
    fn the_worked_example() {
        let ages = [
            ("latest", 2),
            ("production-v44", 3 * 24),
            ("production-v43", 6 * 24),
            ("production-v42", 11 * 24),
            ("dev-v44", 2 * 24),
            ("dev-v43", 5 * 24),
            ("dev-v42", 10 * 24),
            ("v44", 24),
            ("v43", 12 * 24),
            ("v42", 20 * 24),
        ];
        let selection = selection(".*", Some("production-.*"), Some(1), Some("7d"));
        assert_eq!(gone(&selection, &ages, &[]), ["dev-v42", "v42", "v43"]);
    }

    #[test]
    fn the_newest_stay_before_the_age_is_asked() {
        let ages = [("a", 1), ("b", 2), ("c", 100), ("d", 200)];
        // Both that are kept are young already, so all old ones go.
        assert_eq!(gone(&selection(".*", None, Some(2), Some("1d")), &ages, &[]), ["c", "d"]);
        assert_eq!(gone(&selection(".*", None, Some(3), Some("1d")), &ages, &[]), ["d"]);
        assert_eq!(gone(&selection(".*", None, Some(100), None), &ages, &[]), [""; 0]);
        assert_eq!(gone(&selection("[ab]", None, Some(1), None), &ages, &[]), ["b"]);
    }

    #[test]
    fn latest_stays_whatever_matches_and_is_none_of_those_that_are_kept() {
        let ages = [("latest", 1), ("a", 2), ("b", 3)];
        assert_eq!(gone(&selection("latest|a|b", None, Some(1), None), &ages, &[]), ["b"]);
        assert_eq!(gone(&selection("latest", None, None, None), &ages, &[]), [""; 0]);
    }

    #[test]
    fn protected_and_immutable_tags_stay() {
        let rule = |pattern: &str, level| TagRule {
            id: ContainerTagRuleId(1),
            pattern: pattern.to_owned(),
            push: level,
            delete: level,
        };
        let ages = [("v1", 1), ("v2-release", 2), ("dev", 3)];
        let rules = [rule("*-release", Some(40)), rule("v1", None)];
        assert_eq!(gone(&selection(".*", None, None, None), &ages, &rules), ["dev"]);
        // They are protected after the newest were counted, so one of these two slots is theirs.
        assert_eq!(gone(&selection(".*", None, Some(2), None), &ages, &rules), ["dev"]);
    }

    #[test]
    fn ages_are_read_as_people_write_them() {
        assert_eq!(parse_age("1h"), Some(HOUR));
        assert_eq!(parse_age("2d"), Some(2 * DAY));
        assert_eq!(parse_age("1month"), Some(30 * DAY));
        assert_eq!(parse_age("3 months"), Some(90 * DAY));
        for wrong in ["", "d", "1", "0d", "-1d", "1x", "1.5d", "99999d", "9999999999999999999999d"] {
            assert_eq!(parse_age(wrong), None, "{wrong}");
        }
        for known in OLDER_THAN {
            assert!(parse_age(known).is_some());
        }
    }

    #[test]
    fn a_policy_runs_again_when_its_cadence_says() {
        let day = |cadence: &str| (Cadence::from_name(cadence).unwrap().after(NOW) - NOW) / DAY;
        assert_eq!(["1d", "7d", "14d", "1month", "3month"].map(day), [1, 7, 14, 31, 92]);
        assert_eq!(Cadence::from_name("2d"), None);
    }
}
