//! Large files of Git (LFS): their content, their locks, and how they go.
//!
//! They are read and written by the right to fetch and to push ([`act::DownloadCode`], [`act::PushCode`]), in projects that
//! have them switched on. Whoever may is given [`LargeFiles`], which every use case here takes. There are no side-tokens: each
//! transfer is a request of its own, with the token, which is looked at again.

pub mod garbage;
pub mod locks;
pub mod objects;

use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::ProjectId;
use portcullis_store::db::Tx;
use portcullis_store::lfs_objects;

use crate::Error;
use crate::access::{Authorized, Reading};
use crate::forge::Forge;

/// The large files of a project that has them switched on, with the proof that a caller may do `A` there.
#[derive(Clone, Debug)]
pub struct LargeFiles<A: Act<On = on::Project>> {
    access: Authorized<A>,
}

/// What is answered where there are no large files, which is what a project that is hidden answers.
const SWITCHED_OFF: Error = Error::NotFound("Large file");

/// Returns the large files of a project.
///
/// # Errors
/// [`Error::NotFound`] when they are switched off for the project or its top-level group.
pub async fn open<A: Act<On = on::Project> + Clone>(
    forge: &Forge,
    reading: &mut Reading,
    access: &Authorized<A>,
) -> Result<LargeFiles<A>, Error> {
    of(reading.tx(forge).await?, access.clone()).await
}

/// Returns whether a project has large files switched on, and the instance too.
pub(crate) async fn are_on<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
) -> Result<bool, Error> {
    Ok(forge.settings().lfs && lfs_objects::is_on(&mut forge.db().read().await?, access.project()).await?)
}

async fn of<A: Act<On = on::Project>>(tx: &mut Tx, access: Authorized<A>) -> Result<LargeFiles<A>, Error> {
    match lfs_objects::is_on(tx, access.project()).await? {
        true => Ok(LargeFiles { access }),
        false => Err(SWITCHED_OFF),
    }
}

impl<A: Act<On = on::Project>> LargeFiles<A> {
    /// Returns the proof.
    pub fn access(&self) -> &Authorized<A> {
        &self.access
    }

    /// Asks for a further permission at the same place, from the same facts.
    ///
    /// # Errors
    /// [`Error::Refused`] with what is missing.
    pub fn also<B: Act<On = on::Project>>(&self) -> Result<LargeFiles<B>, Error> {
        Ok(LargeFiles { access: self.access.also()? })
    }

    fn project(&self) -> ProjectId {
        self.access.project()
    }

    /// Asks again inside the transaction that will act, also whether they are still switched on.
    async fn again(&self, forge: &Forge, tx: &mut Tx) -> Result<LargeFiles<A>, Error> {
        let access = self.access.again(forge, tx).await?;
        of(tx, access).await
    }
}

/// The proof that large files may be read.
pub type Readable = LargeFiles<act::DownloadCode>;

/// The proof that large files may be written, and files locked.
pub type Writable = LargeFiles<act::PushCode>;
