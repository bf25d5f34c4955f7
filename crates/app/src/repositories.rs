//! Git repositories: clone, fetch and push.
//!
//! The door has authorized the request before it comes here. A push is asked about again at the moment its refs would
//! change; what it may do and what it leaves behind is the same for everything that changes refs (`ref_changes.rs`).

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use portcullis_git::{CompletedPush, JudgeFuture, ProposedPush, PushJudge, Verdict};
pub use portcullis_git::{Exchange, GitProtocol, Service};
use portcullis_rules::access::{Denial, act};
use portcullis_rules::lfs::Oid;

use crate::Error;
use crate::access::Authorized;
use crate::forge::Forge;
use crate::lfs;
use crate::ref_changes::{Change, Decision, decide, intend, settle};

/// Answers what a fetch may begin from.
///
/// # Errors
/// [`Error::NotFound`] when the repository is not there; [`Error::Overloaded`].
pub async fn advertise_fetch(
    forge: &Forge,
    access: &Authorized<act::DownloadCode>,
    protocol: Option<&GitProtocol>,
) -> Result<Exchange, Error> {
    Ok(forge.git().advertise(access.project().0, Service::UploadPack, protocol).await?)
}

/// Answers what a push may begin from.
///
/// # Errors
/// [`Error::NotFound`] when the repository is not there; [`Error::Overloaded`].
pub async fn advertise_push(
    forge: &Forge,
    access: &Authorized<act::PushCode>,
    protocol: Option<&GitProtocol>,
) -> Result<Exchange, Error> {
    Ok(forge.git().advertise(access.project().0, Service::ReceivePack, protocol).await?)
}

/// Runs a fetch.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Overloaded`], or [`Error::BadRequest`] for what Git does not understand.
pub async fn fetch(
    forge: &Forge,
    access: &Authorized<act::DownloadCode>,
    protocol: Option<&GitProtocol>,
    body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<Exchange, Error> {
    Ok(forge.git().upload_pack(access.project().0, protocol, body).await?)
}

/// Runs a push.
///
/// # Errors
/// As [`fetch`]; what is refused for a ref is told inside Git's own answer.
pub async fn push(
    forge: &Arc<Forge>,
    access: &Authorized<act::PushCode>,
    protocol: Option<&GitProtocol>,
    body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<Exchange, Error> {
    let judge = Arc::new(Judge {
        forge: Arc::clone(forge),
        access: access.clone(),
        pending: parking_lot::Mutex::new(None),
    });
    Ok(forge.git().receive_pack(access.project().0, protocol, body, judge).await?)
}

/// Decides about one push, and records it.
struct Judge {
    forge: Arc<Forge>,
    access: Authorized<act::PushCode>,
    /// The row that says the push was accepted.
    pending: parking_lot::Mutex<Option<i64>>,
}

const CREDENTIAL_DIED: &str = "The credential of this push is no longer valid.";
const MAY_NOT_PUSH: &str = "You are not allowed to push code to this project.";
const ARCHIVED: &str = "You can't push code to an archived project.";
const LFS_MISSING: &str =
    "LFS objects are missing. Ensure LFS is properly set up or try a manual \"git lfs push --all\".";

impl PushJudge for Judge {
    fn before<'a>(&'a self, push: &'a ProposedPush) -> JudgeFuture<'a, Verdict> {
        Box::pin(async move {
            match self.decide(push).await {
                Ok(verdict) => verdict,
                Err(error) => {
                    tracing::error!(project.id = self.access.project().0, %error, "a push could not be decided, so it was refused");
                    Verdict::Refuse(vec!["The push could not be checked. Please try again later.".to_owned()])
                }
            }
        })
    }

    fn after<'a>(&'a self, push: &'a CompletedPush) -> JudgeFuture<'a, Vec<String>> {
        Box::pin(async move {
            let pending = self.pending.lock().take();
            let Some(pending) = pending else { return Vec::new() };
            if let Err(error) = settle(&self.forge, pending, push.updates()).await {
                // The refs have moved and the push counts; its record is settled later from the repository.
                tracing::error!(project.id = self.access.project().0, %error, "a push could not be recorded yet");
            }
            Vec::new()
        })
    }
}

impl Judge {
    /// Says whether the project has every large file that the push has brought a pointer to. Where there are no large files
    /// a pointer is a file like others.
    async fn has_large_files(
        &self,
        access: &Authorized<act::PushCode>,
        push: &ProposedPush,
    ) -> Result<bool, Error> {
        if !lfs::are_on(&self.forge, access).await? {
            return Ok(true);
        }
        let pointers = push.lfs_pointers().await?;
        let oids: Vec<Oid> = pointers.iter().filter_map(|pointer| Oid::parse(&pointer.oid)).collect();
        if oids.is_empty() {
            return Ok(true);
        }
        lfs::objects::has_all(&self.forge, access, &oids).await
    }

    async fn decide(&self, push: &ProposedPush) -> Result<Verdict, Error> {
        let refuse = |text: &str| Ok(Verdict::Refuse(vec![text.to_owned()]));
        let access = match decide(&self.forge, &self.access, &Change::Push(push)).await {
            Ok(Decision::Accept(access)) => access,
            Ok(Decision::Refuse(refusals)) => {
                let mut lines: Vec<_> = refusals.into_iter().map(|refusal| refusal.text).collect();
                lines.dedup();
                lines.truncate(20);
                return Ok(Verdict::Refuse(lines));
            }
            Err(Error::Unauthorized) => return refuse(CREDENTIAL_DIED),
            Err(Error::Refused(Denial::Archived)) => return refuse(ARCHIVED),
            Err(Error::Refused(_)) => return refuse(MAY_NOT_PUSH),
            Err(error) => return Err(error),
        };
        if !self.has_large_files(&access, push).await? {
            return refuse(LFS_MISSING);
        }
        let pending = intend(&self.forge, &access, push.updates()).await?;
        *self.pending.lock() = Some(pending);
        Ok(Verdict::Accept)
    }
}
