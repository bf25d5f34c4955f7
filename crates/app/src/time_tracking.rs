//! How long issues and merge requests are thought to take, and how long was worked on them.

use portcullis_rules::access::{Act, on};
use portcullis_rules::working_time::{self, MAX_SECONDS};
use portcullis_store::db::Tx;
use portcullis_store::notes::{self, NewNote};
use portcullis_store::timelogs::{self, Times};

use crate::Error;
use crate::access::Authorized;
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::issues::check_text;
use crate::noteables::{CommentedOn, CountsById, Subject, get_locked};

/// The longest text about work that was done, in characters.
const MAX_SUMMARY_CHARACTERS: usize = 255;

/// How often time is recorded on one thing.
const MAX_TIMELOGS: i64 = 10_000;

/// What is to be recorded.
#[derive(Clone, Debug)]
pub enum TimeChange {
    /// How long it is thought to take, as people write it.
    Estimate(String),
    /// That nobody says how long it takes.
    ResetEstimate,
    /// That somebody worked on it, how long, as people write it, and what they did; less than nothing takes back.
    Add(String, Option<String>),
    /// That nobody worked on it.
    ResetSpent,
}

/// Returns the time of something.
///
/// # Errors
/// [`Error::NotFound`] when there is no such thing for this viewer.
pub async fn get<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Read>,
    iid: i64,
) -> Result<Times, Error> {
    let mut tx = forge.db().read().await?;
    let subject = S::get(&mut tx, access, iid).await?;
    times_of(&mut tx, &subject).await
}

async fn times_of(tx: &mut Tx, subject: &Subject) -> Result<Times, Error> {
    let id = subject.id();
    let counts = match subject {
        Subject::Issue(_) => CountsById::of_issues(tx, &[id]).await?,
        Subject::MergeRequest(_) => CountsById::of_merge_requests(tx, &[id]).await?,
    };
    Ok(counts.of(id).times)
}

fn seconds_of(text: &str) -> Result<i64, Error> {
    let problem = "is no time; write it as in 1mo 2w 3d 4h 5m";
    working_time::parse(text).ok_or_else(|| Error::invalid("duration", problem))
}

fn words(seconds: i64) -> String {
    working_time::written(seconds.abs()).unwrap_or_else(|| "0h".to_owned())
}

/// Records time on something, and says so among its comments.
///
/// # Errors
/// [`Error::NotFound`] when there is no such thing for this caller; [`Error::Invalid`] for a time that is none, is too
/// long, or takes back more than was recorded; [`Error::Unprocessable`] when it was recorded too often.
pub async fn change<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Update>,
    iid: i64,
    change: TimeChange,
) -> Result<Times, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let subject = get_locked::<S, _>(&mut tx, &access, iid).await?;
    let (project, on, user) = (access.project(), subject.on(), access.identity()?.user);
    let before = times_of(&mut tx, &subject).await?;
    let said = match change {
        TimeChange::Estimate(text) => {
            let seconds = seconds_of(&text)?;
            if seconds < 0 {
                return Err(Error::invalid("time_estimate", "must be greater than or equal to 0"));
            }
            timelogs::set_estimate(&mut tx, project, on, seconds).await?;
            (seconds != before.estimate).then(|| format!("changed time estimate to {}", words(seconds)))
        }
        TimeChange::ResetEstimate => {
            timelogs::set_estimate(&mut tx, project, on, 0).await?;
            (before.estimate != 0).then(|| "removed time estimate".to_owned())
        }
        TimeChange::Add(text, summary) => {
            let seconds = seconds_of(&text)?;
            let mut fields = FieldErrors::default();
            check_text(
                &mut fields,
                "summary",
                summary.as_deref().unwrap_or_default(),
                MAX_SUMMARY_CHARACTERS,
            );
            let after = before.spent.saturating_add(seconds);
            if seconds == 0 {
                fields.add("duration", "must be other than 0");
            } else if after < 0 {
                fields.add("base", "Time to subtract exceeds the total time spent");
            } else if after > MAX_SECONDS {
                fields
                    .add("base", format!("Total time spent is too long (maximum is {})", words(MAX_SECONDS)));
            }
            fields.finish()?;
            if timelogs::count(&mut tx, project, on).await? >= MAX_TIMELOGS {
                let problem = format!("Time was recorded too often (maximum is {MAX_TIMELOGS} times)");
                return Err(Error::Unprocessable(problem));
            }
            timelogs::insert(&mut tx, project, on, user, (seconds, summary.as_deref()), now).await?;
            let word = if seconds < 0 { "subtracted" } else { "added" };
            Some(format!("{word} {} of time spent", words(seconds)))
        }
        TimeChange::ResetSpent => match before.spent {
            0 => None,
            spent => {
                timelogs::insert(&mut tx, project, on, user, (-spent, None), now).await?;
                Some("removed time spent".to_owned())
            }
        },
    };
    if let Some(said) = said {
        say(&mut tx, &access, &subject, &said, now).await?;
    }
    let times = times_of(&mut tx, &subject).await?;
    tx.commit().await?;
    Ok(times)
}

/// Says among the comments on something what changed.
async fn say<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    subject: &Subject,
    body: &str,
    now: i64,
) -> Result<(), Error> {
    let note = NewNote {
        project: access.project(),
        on: subject.on(),
        author: access.identity()?.user,
        body,
        system: true,
        internal: false,
    };
    notes::insert(tx, &note, now).await?;
    subject.touch(tx, now).await?;
    Ok(())
}
