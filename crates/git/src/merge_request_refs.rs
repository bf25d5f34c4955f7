//! The refs of merge requests: `refs/merge-requests/<number>/head`, which anybody who fetches can ask for and no push can
//! write. They keep the commits of a merge request when its source branch is gone.

use std::time::Duration;

use crate::disk::blocking;
use crate::{Engine, Error, ObjectId, process, refs};

/// How long moving the ref may take.
const MOVE_LIMIT: Duration = Duration::from_secs(30);

fn name(number: i64) -> String {
    format!("refs/merge-requests/{number}/head")
}

impl Engine {
    /// Returns the commit that the ref of a merge request points at, if there is one.
    pub async fn merge_request_head(&self, id: i64, number: i64) -> Result<Option<ObjectId>, Error> {
        let repository = self.existing(id)?;
        blocking(move || refs::find_any(&repository, &name(number))).await
    }

    /// Points the ref of a merge request at a commit, or with nothing takes it away. Returns whether that was done: not
    /// when the ref is no longer what `old` says.
    pub async fn set_merge_request_head(
        &self,
        id: i64,
        number: i64,
        old: Option<&ObjectId>,
        new: Option<&ObjectId>,
    ) -> Result<bool, Error> {
        let name = name(number);
        let script = match (old, new) {
            (None, None) => return Ok(true),
            (Some(old), Some(new)) if old == new => return Ok(true),
            (None, Some(new)) => format!("create {name} {new}\n"),
            (Some(old), Some(new)) => format!("update {name} {new} {old}\n"),
            (Some(old), None) => format!("delete {name} {old}\n"),
        };
        let repository = self.existing(id)?;
        let place = self.place(id).await?;
        let call = self.git().inside("update-ref", &repository).args(["--no-deref", "--stdin"]);
        let work = process::run(call, Some(script.into_bytes()), 64 * 1024, MOVE_LIMIT);
        let finished = tokio::select! {
            finished = work => finished,
            () = place.removed().cancelled_owned() => Err(Error::NotFound),
        };
        self.forget_answers(id);
        let finished = finished?;
        if !finished.status.success() && finished.errors.contains("cannot lock ref") {
            return Ok(false);
        }
        finished.expect_success("moving the ref of a merge request").map(|_| true)
    }
}
