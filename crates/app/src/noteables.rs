//! What comments, reactions, time, subscriptions and to-dos are on: issues and merge requests.
//!
//! Both are commented on in the same way; this says once what differs: the rules that decide, what is hidden from whom,
//! and how the thing is found inside its project.

use std::collections::BTreeMap;

use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::{ProjectId, UserId};
use portcullis_store::award_emoji::{self, Votes};
use portcullis_store::db::{self, Tx};
use portcullis_store::issues::{self, Issue, Sight};
use portcullis_store::merge_requests::{self, MergeRequest};
use portcullis_store::notes::Noteable;
use portcullis_store::timelogs::{self, Times};

use crate::Error;
use crate::access::Authorized;
use crate::issues::{get_visible, sight};
use crate::merge_requests::get_in;

/// A kind of thing that is commented on: the rules about it, and how one is found.
pub trait CommentedOn: Send + Sync + 'static {
    /// Reading it and its comments.
    type Read: Act<On = on::Project>;
    /// Commenting on it, and reacting to it.
    type Comment: Act<On = on::Project>;
    /// Changing or deleting what one wrote on it.
    type ChangeOwn: Act<On = on::Project>;
    /// Changing or deleting what others wrote on it.
    type Administer: Act<On = on::Project>;
    /// Changing it, whoever opened it.
    type Update: Act<On = on::Project>;
    /// Asking to be told of it, and keeping it for later.
    type Follow: Act<On = on::Project>;

    /// What it is called where there is none.
    const NAME: &'static str;

    /// Whether discussions on it can be settled and be about places in a difference.
    const HAS_DIFFERENCE: bool;

    /// Asks whether the holder of `access` may read internal comments of others on it.
    ///
    /// # Errors
    /// [`Error::Refused`] when they may not.
    fn may_read_internal<A: Act<On = on::Project>>(access: &Authorized<A>) -> Result<(), Error>;

    /// Returns which of the comments on it the holder of `access` is shown.
    fn note_sight<A: Act<On = on::Project>>(access: &Authorized<A>) -> Sight;

    /// Locks its row until the transaction ends.
    fn lock(tx: &mut Tx, project: ProjectId, iid: i64) -> impl Future<Output = Result<(), db::Error>> + Send;

    /// Returns the one with this number, if the holder of `access` is shown it: what is missing and what is hidden are
    /// not told apart.
    fn get<A: Act<On = on::Project>>(
        tx: &mut Tx,
        access: &Authorized<A>,
        iid: i64,
    ) -> impl Future<Output = Result<Subject, Error>> + Send;
}

/// What is commented on.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An issue.
    Issue(Box<Issue>),
    /// A merge request.
    MergeRequest(Box<MergeRequest>),
}

impl Subject {
    pub(crate) fn on(&self) -> Noteable {
        match self {
            Subject::Issue(issue) => Noteable::Issue(issue.id),
            Subject::MergeRequest(merge_request) => Noteable::MergeRequest(merge_request.id),
        }
    }

    /// Returns its id, of those of its kind.
    pub(crate) fn id(&self) -> i64 {
        match self {
            Subject::Issue(issue) => issue.id.0,
            Subject::MergeRequest(merge_request) => merge_request.id.0,
        }
    }

    /// Returns what it is called in records and answers.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Subject::Issue(_) => "Issue",
            Subject::MergeRequest(_) => "MergeRequest",
        }
    }

    /// Returns the name of its number in the audit log.
    pub(crate) fn iid_name(&self) -> &'static str {
        match self {
            Subject::Issue(_) => "issue_iid",
            Subject::MergeRequest(_) => "merge_request_iid",
        }
    }

    pub(crate) fn iid(&self) -> i64 {
        match self {
            Subject::Issue(issue) => issue.iid,
            Subject::MergeRequest(merge_request) => merge_request.iid,
        }
    }

    pub(crate) fn title(&self) -> &str {
        match self {
            Subject::Issue(issue) => &issue.title,
            Subject::MergeRequest(merge_request) => &merge_request.title,
        }
    }

    pub(crate) fn author(&self) -> UserId {
        match self {
            Subject::Issue(issue) => issue.author.id,
            Subject::MergeRequest(merge_request) => merge_request.author.id,
        }
    }

    /// Returns whether only members go on with the discussion.
    pub(crate) fn is_locked(&self) -> bool {
        match self {
            Subject::Issue(issue) => issue.discussion_locked_at.is_some(),
            Subject::MergeRequest(merge_request) => merge_request.discussion_locked_at.is_some(),
        }
    }

    /// Records that something about it changed.
    pub(crate) async fn touch(&self, tx: &mut Tx, now: i64) -> Result<(), db::Error> {
        match self {
            Subject::Issue(issue) => issues::touch(tx, issue.project, issue.id, now).await,
            Subject::MergeRequest(merge_request) => {
                merge_requests::touch(tx, merge_request.project, merge_request.id, now).await
            }
        }
    }
}

/// Issues. A confidential one does not exist for those who may not see it.
#[derive(Clone, Copy, Debug)]
pub struct OnIssue;

impl CommentedOn for OnIssue {
    type Read = act::ReadIssues;
    type Comment = act::CreateNote;
    type ChangeOwn = act::UpdateOwnNote;
    type Administer = act::AdministerNotes;
    type Update = act::UpdateIssue;
    type Follow = act::FollowIssue;

    const NAME: &'static str = "Issue";
    const HAS_DIFFERENCE: bool = false;

    fn may_read_internal<A: Act<On = on::Project>>(access: &Authorized<A>) -> Result<(), Error> {
        access.also::<act::ReadConfidentialIssues>().map(drop)
    }

    fn note_sight<A: Act<On = on::Project>>(access: &Authorized<A>) -> Sight {
        sight(access)
    }

    async fn lock(tx: &mut Tx, project: ProjectId, iid: i64) -> Result<(), db::Error> {
        issues::lock(tx, project, iid).await
    }

    async fn get<A: Act<On = on::Project>>(
        tx: &mut Tx,
        access: &Authorized<A>,
        iid: i64,
    ) -> Result<Subject, Error> {
        Ok(Subject::Issue(Box::new(get_visible(tx, access, iid).await?)))
    }
}

/// Merge requests.
#[derive(Clone, Copy, Debug)]
pub struct OnMergeRequest;

impl CommentedOn for OnMergeRequest {
    type Read = act::ReadMergeRequests;
    type Comment = act::CreateMergeRequestNote;
    type ChangeOwn = act::UpdateOwnMergeRequestNote;
    type Administer = act::AdministerMergeRequestNotes;
    type Update = act::UpdateMergeRequest;
    type Follow = act::FollowMergeRequest;

    const NAME: &'static str = "Merge Request";
    const HAS_DIFFERENCE: bool = true;

    fn may_read_internal<A: Act<On = on::Project>>(access: &Authorized<A>) -> Result<(), Error> {
        access.also::<act::ReadInternalMergeRequestNotes>().map(drop)
    }

    fn note_sight<A: Act<On = on::Project>>(access: &Authorized<A>) -> Sight {
        match Self::may_read_internal(access) {
            Ok(_) => Sight::Everything,
            Err(_) => Sight::Open,
        }
    }

    async fn lock(tx: &mut Tx, project: ProjectId, iid: i64) -> Result<(), db::Error> {
        merge_requests::lock(tx, project, iid).await
    }

    async fn get<A: Act<On = on::Project>>(
        tx: &mut Tx,
        access: &Authorized<A>,
        iid: i64,
    ) -> Result<Subject, Error> {
        Ok(Subject::MergeRequest(Box::new(get_in(tx, access, iid).await?)))
    }
}

/// Finds the thing with this number for somebody who changes something about it: its row stays locked.
pub(crate) async fn get_locked<S: CommentedOn, A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    iid: i64,
) -> Result<Subject, Error> {
    S::lock(tx, access.project(), iid).await?;
    S::get(tx, access, iid).await
}

/// What is counted beside an issue or a merge request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many thumbs it got.
    pub votes: Votes,
    /// How long it is thought to take, and how long was worked on it.
    pub times: Times,
}

/// The counts of several issues or merge requests, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct CountsById(BTreeMap<i64, Counts>);

impl CountsById {
    /// Reads those of several issues, in two questions.
    pub(crate) async fn of_issues(tx: &mut Tx, ids: &[i64]) -> Result<CountsById, db::Error> {
        let votes = award_emoji::votes_of_issues(tx, ids).await?;
        Ok(CountsById::joined(votes, timelogs::times_of_issues(tx, ids).await?))
    }

    /// Reads those of several merge requests, in two questions.
    pub(crate) async fn of_merge_requests(tx: &mut Tx, ids: &[i64]) -> Result<CountsById, db::Error> {
        let votes = award_emoji::votes_of_merge_requests(tx, ids).await?;
        Ok(CountsById::joined(votes, timelogs::times_of_merge_requests(tx, ids).await?))
    }

    fn joined(votes: Vec<(i64, Votes)>, times: Vec<(i64, Times)>) -> CountsById {
        let mut all = BTreeMap::<i64, Counts>::new();
        for (id, votes) in votes {
            all.entry(id).or_default().votes = votes;
        }
        for (id, times) in times {
            all.entry(id).or_default().times = times;
        }
        CountsById(all)
    }

    /// Returns the counts of one of them.
    pub(crate) fn of(&self, id: i64) -> Counts {
        self.0.get(&id).copied().unwrap_or_default()
    }
}
