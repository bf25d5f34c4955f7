//! The access rule of large files: the right to fetch or to push, in a project that has them switched on.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use portcullis_app::Error;
use portcullis_app::access::Reading;
use portcullis_app::lfs::{self, LargeFiles};
use portcullis_rules::access::{Act, on};

use crate::AppState;
use crate::door::Door;
use crate::error::{LfsError, Refusal};
use crate::guard::{self, Access, Guard};

/// The large files of the project that the path names, with the permission for `A`.
#[derive(Debug)]
pub struct OnLargeFiles<A: Act<On = on::Project>> {
    /// The large files.
    pub files: LargeFiles<A>,
    realm: String,
}

impl<A: Act<On = on::Project>> Guard for OnLargeFiles<A> {
    const ACCESS: Access = Access::Action(A::ACTION);
}

impl<A: Act<On = on::Project> + Clone> FromRequestParts<AppState> for OnLargeFiles<A> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let realm = state.forge.settings().git_realm.clone();
        let mut reading = Reading::default();
        let viewer = guard::viewer(parts, state, &mut reading, Door::Lfs).await?;
        let asked = guard::ask::<A>(parts, state, &mut reading, viewer, Door::Lfs).await?;
        let access = asked.map_err(|refused| Refusal::refused(Door::Lfs, &refused, &realm))?;
        // No transaction is held while a file is sent or taken in.
        let files = lfs::open(&state.forge, &mut reading, &access).await;
        let files = files.map_err(|error| Refusal::Lfs(LfsError::of(error, &realm)))?;
        Ok(OnLargeFiles { files, realm })
    }
}

impl<A: Act<On = on::Project>> OnLargeFiles<A> {
    /// Turns an error of a use case into an answer.
    pub fn error(&self, error: Error) -> LfsError {
        LfsError::of(error, &self.realm)
    }
}
