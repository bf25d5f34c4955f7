//! Blobs on their way in: sessions, the pieces they take, and how they end.
//!
//! The row of a session says what was acknowledged; what it has beyond that is cut off by the next piece. One request at a
//! time has a session, by a claim in its row that it prolongs while it works. The work is done in a task of its own: when a
//! client goes away, what has arrived is written down all the same, so that it can go on from there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use portcullis_registry::{
    Algorithm, Digest, Error as EngineError, ErrorCode, PieceRefusal, Progress, SessionId, piece_length,
};
use portcullis_rules::access::act;
use portcullis_rules::id::BlobId;
use portcullis_rules::token::MICROSECONDS;
use portcullis_store::container_uploads::{self as table, Upload, UploadKey};
use portcullis_store::db::Tx;
use portcullis_store::{blobs, container_repositories};

use super::{Image, ImageError, actor, quotas};
use crate::Error;
use crate::access::Authorized;
use crate::forge::Forge;

/// For how long a claim holds without being prolonged, in microseconds.
const CLAIM: i64 = 30 * MICROSECONDS;

/// How often a claim is prolonged.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// How long a request waits for another one that is at work on the same session.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often it looks whether that one is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long an upload must have been idle to be removed when its token has too many, in microseconds.
const ABANDONED_AFTER: i64 = 3600 * MICROSECONDS;

/// Up to which length a closing piece arrives soon enough to rely on its blob from the beginning.
const EARLY_BYTES: u64 = 64 * 1024 * 1024;

/// How many pieces an upload may come in. What a bucket keeps of each piece is an object of its own.
const MAX_PIECES: i64 = 10_000;

/// What the headers of a piece announce.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    /// `Content-Range`: the first and the last position.
    pub range: Option<String>,
    /// `Content-Length`.
    pub length: Option<u64>,
}

/// Opens a session for a blob of the image. `algorithm` is the one whose digest is expected at the end. A token that has
/// too many open loses those that were idle for an hour.
///
/// # Errors
/// `TOOMANYREQUESTS` when the token has too many open, `DENIED` when the quota is exhausted.
pub async fn open(
    forge: &Forge,
    image: &Image<act::PushImage>,
    algorithm: Algorithm,
) -> Result<SessionId, ImageError> {
    Ok(open_claimed(forge, image, algorithm, None).await?.0)
}

/// Opens a session, which this request has for itself if it claims it until a time. Then it may also say which blob it will
/// be.
async fn open_claimed(
    forge: &Forge,
    image: &Image<act::PushImage>,
    algorithm: Algorithm,
    claim: Option<(i64, Option<&Digest>)>,
) -> Result<(SessionId, Option<Reliance>), ImageError> {
    let (_, user, token) = actor(&image.access)?;
    let mut random = [0; 16];
    forge.random().fill(&mut random);
    let session = SessionId::from_random(random);
    let id = session.to_string();
    let now = forge.now();
    let limit = forge.settings().registry_open_uploads;
    let mut tx = forge.db().begin().await?;
    if table::open_of_token(&mut tx, token).await? >= i64::from(limit) {
        // Clients that were killed leave uploads behind, and nobody can cancel what nobody knows of.
        table::delete_idle_of_token(&mut tx, token, now - ABANDONED_AFTER, now).await?;
        if table::open_of_token(&mut tx, token).await? >= i64::from(limit) {
            let text = format!("the token has {limit} uploads open; complete or cancel some");
            return Err(ImageError::said(ErrorCode::TooManyRequests, text));
        }
    }
    if quotas::room(&mut tx, image.project()).await? == Some(0) {
        return Err(quotas::exceeded());
    }
    let key = UploadKey { id: &id, project: image.project(), image: &image.suffix, user };
    let claimed_until = claim.as_ref().map(|(until, _)| *until);
    table::insert(&mut tx, &key, token, algorithm.name(), claimed_until, now).await?;
    let reliance = match claim.and_then(|(_, digest)| digest) {
        Some(digest) => Reliance::on(&mut tx, &digest.to_string(), 0, now).await?,
        None => None,
    };
    tx.commit().await?;
    Ok((session, reliance))
}

/// That a blob is not deleted while it is being made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reliance {
    /// The blob.
    pub(crate) blob: BlobId,
    /// Since when, in Unix microseconds.
    pub(crate) since: i64,
}

impl Reliance {
    /// Touches the blob's row, or makes it. `None` when the blob is being deleted right now.
    async fn on(tx: &mut Tx, name: &str, size: i64, now: i64) -> Result<Option<Reliance>, ImageError> {
        Ok(blobs::rely_on(tx, name, size, now).await?.map(|blob| Reliance { blob, since: now }))
    }

    /// Makes sure that a blob will not be deleted while it is made. If it is being deleted right now, waits.
    pub(crate) async fn wait(forge: &Forge, name: &str, size: i64) -> Result<Reliance, ImageError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut tx = forge.db().begin().await?;
            let now = forge.now();
            if let Some(reliance) = Reliance::on(&mut tx, name, size, now).await? {
                tx.commit().await?;
                return Ok(reliance);
            }
            drop(tx);
            if tokio::time::Instant::now() >= deadline {
                return Err(ImageError::unavailable("the same content is being deleted"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Returns which blob a closing piece can rely on from the beginning, in the transaction that it takes its claim in: not
/// one that takes so long to arrive that the blob might be deleted meanwhile.
fn early<'a>(digest: &'a Digest, piece: &Piece) -> Option<&'a Digest> {
    piece.length.is_some_and(|length| length <= EARLY_BYTES).then_some(digest)
}

/// Returns how many bytes a session has.
///
/// # Errors
/// `BLOB_UPLOAD_UNKNOWN` when the caller has no such session for this image.
pub async fn size(
    forge: &Forge,
    image: &Image<act::PushImage>,
    session: SessionId,
) -> Result<u64, ImageError> {
    let (_, user, _) = actor(&image.access)?;
    let id = session.to_string();
    let mut tx = forge.db().read().await?;
    let key = UploadKey { id: &id, project: image.project(), image: &image.suffix, user };
    let upload = table::find(&mut tx, &key).await?.ok_or_else(unknown)?;
    Ok(progress_of(&upload).size)
}

/// Adds a piece to a session, and returns how many bytes it has then.
///
/// # Errors
/// [`ImageError::Piece`] when it does not fit, `BLOB_UPLOAD_UNKNOWN`, `SIZE_INVALID` when it is not as long as it announced,
/// `DENIED` when the quota is exhausted.
pub async fn append(
    forge: &Arc<Forge>,
    image: &Image<act::PushImage>,
    session: SessionId,
    piece: Piece,
    content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<u64, ImageError> {
    let (forge, image) = (Arc::clone(forge), image.clone());
    in_own_task(async move {
        let mut claim = Claim::take(&forge, &image.access, &image.suffix, session, None).await?;
        match claim.add(piece, content, None).await {
            Ok(()) => claim.end().await?,
            Err(error) => return Err(claim.give_up(error).await),
        }
        Ok(claim.progress.size)
    })
    .await
}

/// Ends a session: what it has, and what comes with the request, becomes the blob `digest` of the image.
///
/// # Errors
/// As [`append`]; `DIGEST_INVALID` when the content is another one: then the session is gone.
pub async fn finish(
    forge: &Arc<Forge>,
    image: &Image<act::PushImage>,
    session: SessionId,
    digest: &Digest,
    piece: Piece,
    content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<(), ImageError> {
    let (forge, image, digest) = (Arc::clone(forge), image.clone(), digest.clone());
    in_own_task(async move {
        let relying = early(&digest, &piece);
        let mut claim = Claim::take(&forge, &image.access, &image.suffix, session, relying).await?;
        claim.add_and_finish(&digest, piece, content).await
    })
    .await
}

/// Takes a whole blob in one request.
///
/// # Errors
/// As [`open`] and [`finish`].
pub async fn push(
    forge: &Arc<Forge>,
    image: &Image<act::PushImage>,
    digest: &Digest,
    piece: Piece,
    content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<(), ImageError> {
    let until = forge.now() + CLAIM;
    let claim = Some((until, early(digest, &piece)));
    let (session, reliance) = open_claimed(forge, image, digest.algorithm(), claim).await?;
    let (forge, image, digest) = (Arc::clone(forge), image.clone(), digest.clone());
    in_own_task(async move {
        let upload =
            Upload { algorithm: digest.algorithm().name().to_owned(), size: 0, digest: None, pieces: 0 };
        let mut claim = Claim::of(&forge, &image.access, &image.suffix, session, &upload, reliance);
        let pushed = claim.add_and_finish(&digest, piece, content).await;
        if pushed.is_err() {
            // Nobody was told of the session.
            claim.discard().await?;
        }
        pushed
    })
    .await
}

/// Ends a session without a blob.
///
/// # Errors
/// `BLOB_UPLOAD_UNKNOWN`.
pub async fn cancel(
    forge: &Arc<Forge>,
    image: &Image<act::PushImage>,
    session: SessionId,
) -> Result<(), ImageError> {
    let mut claim = Claim::take(forge, &image.access, &image.suffix, session, None).await?;
    claim.discard().await
}

/// Links a blob of another image, or of any image of the same project, to this one. Returns false when it is not there: a
/// digest is not a permission, so nothing else is looked at.
///
/// # Errors
/// `DENIED` when the quota is exhausted.
pub async fn mount(
    forge: &Forge,
    image: &Image<act::PushImage>,
    digest: &Digest,
    source: Option<&Image<act::PullImage>>,
) -> Result<bool, ImageError> {
    let name = digest.to_string();
    let now = forge.now();
    let mut tx = forge.db().read().await?;
    let found = match source {
        Some(source) => blobs::find_in_image(&mut tx, source.project(), &source.suffix, &name).await?,
        None => blobs::find_in_project(&mut tx, image.project(), &name).await?,
    };
    drop(tx);
    let Some(blob) = found else { return Ok(false) };
    let mut tx = forge.db().begin().await?;
    let access = image.access.again(forge, &mut tx).await?;
    // It may have gone since, and its source may not be the caller's to read any more.
    let found = match source {
        Some(source) => {
            source.access.again(forge, &mut tx).await?;
            blobs::find_in_image(&mut tx, source.project(), &source.suffix, &name).await?
        }
        None => blobs::find_in_project(&mut tx, image.project(), &name).await?,
    };
    if found.is_none() {
        return Ok(false);
    }
    let project = access.project();
    let size = u64::try_from(blob.size).unwrap_or(u64::MAX);
    let counted_already = blobs::is_counted(&mut tx, project, &name).await?;
    if !counted_already && quotas::room(&mut tx, project).await?.is_some_and(|room| room < size) {
        return Err(quotas::exceeded());
    }
    let repository = container_repositories::ensure(&mut tx, project, &image.suffix, now).await?;
    if !blobs::link(&mut tx, repository, blob.id, now).await? {
        return Ok(false);
    }
    tx.commit().await?;
    Ok(true)
}

fn unknown() -> ImageError {
    ImageError::code(ErrorCode::BlobUploadUnknown)
}

fn progress_of(upload: &Upload) -> Progress {
    Progress {
        size: u64::try_from(upload.size).unwrap_or(0),
        digest: upload.digest.as_deref().and_then(|digest| Digest::parse(digest).ok()),
    }
}

async fn in_own_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, ImageError>> + Send + 'static,
) -> Result<T, ImageError> {
    tokio::spawn(work).await.map_err(|error| Error::Internal(error.into()))?
}

/// A session that this request has for itself.
struct Claim<'a> {
    forge: &'a Forge,
    access: &'a Authorized<act::PushImage>,
    image: &'a str,
    session: SessionId,
    id: String,
    algorithm: Algorithm,
    progress: Progress,
    pieces: i64,
    /// The blob that it will be, if that was known from the beginning.
    reliance: Option<Reliance>,
}

impl<'a> Claim<'a> {
    fn of(
        forge: &'a Forge,
        access: &'a Authorized<act::PushImage>,
        image: &'a str,
        session: SessionId,
        upload: &Upload,
        reliance: Option<Reliance>,
    ) -> Claim<'a> {
        let known = Algorithm::ALL.into_iter().find(|known| known.name() == upload.algorithm);
        Claim {
            forge,
            access,
            image,
            session,
            id: session.to_string(),
            algorithm: known.unwrap_or(Algorithm::Sha256),
            progress: progress_of(upload),
            pieces: upload.pieces,
            reliance,
        }
    }

    /// Waits a little for another request that is at work on the session.
    async fn take(
        forge: &'a Forge,
        access: &'a Authorized<act::PushImage>,
        image: &'a str,
        session: SessionId,
        relying: Option<&Digest>,
    ) -> Result<Claim<'a>, ImageError> {
        let (_, user, _) = actor(access)?;
        let id = session.to_string();
        let key = UploadKey { id: &id, project: access.project(), image, user };
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let now = forge.now();
            let mut tx = forge.db().begin().await?;
            if let Some(upload) = table::claim(&mut tx, &key, now, now + CLAIM).await? {
                let reliance = match relying {
                    Some(digest) => Reliance::on(&mut tx, &digest.to_string(), upload.size, now).await?,
                    None => None,
                };
                tx.commit().await?;
                return Ok(Claim::of(forge, access, image, session, &upload, reliance));
            }
            let upload = table::find(&mut tx, &key).await?.ok_or_else(unknown)?;
            drop(tx);
            if tokio::time::Instant::now() >= deadline {
                let size = progress_of(&upload).size;
                return Err(ImageError::Piece { refusal: PieceRefusal::OutOfOrder { expected: size }, size });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Takes a piece in. What has arrived of one that breaks off is kept.
    async fn add(
        &mut self,
        piece: Piece,
        content: impl Stream<Item = io::Result<Bytes>> + Send,
        algorithm: Option<Algorithm>,
    ) -> Result<(), ImageError> {
        let before = self.progress.size;
        let announced = piece_length(piece.range.as_deref(), piece.length, before)
            .map_err(|refusal| ImageError::Piece { refusal, size: before })?;
        if self.pieces >= MAX_PIECES {
            let text = format!("the upload has {MAX_PIECES} pieces; complete it");
            return Err(ImageError::said(ErrorCode::BlobUploadInvalid, text));
        }
        let mut tx = self.forge.db().read().await?;
        let room = quotas::room(&mut tx, self.access.project()).await?;
        drop(tx);
        let largest = self.forge.settings().max_blob_bytes;
        // What is announced is refused before it is sent.
        let to_come = before.saturating_add(announced.unwrap_or(0));
        if room.is_some_and(|room| to_come > room) {
            return Err(quotas::exceeded());
        }
        if let Some(limit) = largest.filter(|largest| to_come > *largest) {
            return Err(ImageError::TooLarge { what: "the blob", limit });
        }
        let end = piece.range.as_ref().and(announced).map(|length| before.saturating_add(length));
        let limit = [room, largest, end].into_iter().flatten().min();
        self.pieces += 1;
        let algorithm = algorithm.unwrap_or(self.algorithm);
        let (session, progress) = (self.session, self.progress.clone());
        let appending = self.forge.uploads().append(session, &progress, limit, algorithm, content);
        let appended = self.while_renewing(appending).await?;
        match appended {
            Ok(progress) => self.progress = progress,
            Err(EngineError::Interrupted { progress, source }) => {
                self.progress = progress.clone();
                return Err(EngineError::Interrupted { progress, source }.into());
            }
            Err(EngineError::TooLarge { limit }) if room == Some(limit) && largest != room => {
                return Err(quotas::exceeded());
            }
            Err(EngineError::TooLarge { limit }) if end == Some(limit) => {
                let text = "the body is longer than Content-Range announces";
                return Err(ImageError::said(ErrorCode::SizeInvalid, text));
            }
            Err(error) => return Err(error.into()),
        }
        match end {
            Some(end) if self.progress.size < end => Err(ImageError::said(
                ErrorCode::SizeInvalid,
                "the body is shorter than Content-Range announces",
            )),
            _ => Ok(()),
        }
    }

    async fn add_and_finish(
        &mut self,
        digest: &Digest,
        piece: Piece,
        content: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<(), ImageError> {
        let finished = async {
            self.add(piece, content, Some(digest.algorithm())).await?;
            self.publish(digest).await
        };
        match finished.await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.give_up(error).await),
        }
    }

    /// Ends the claim after something went wrong. The session goes on, unless what it has is lost or is another content
    /// than was announced.
    async fn give_up(&mut self, error: ImageError) -> ImageError {
        let gone = matches!(&error, ImageError::Protocol(entries) if entries.iter().any(|entry| {
            matches!(entry.code, ErrorCode::DigestInvalid | ErrorCode::BlobUploadUnknown)
        }));
        let ended = if gone { self.discard().await } else { self.end().await };
        if let Err(failed) = ended {
            tracing::warn!(session = %self.session, error = %failed, "a claim could not be ended; it will run out");
        }
        error
    }

    /// Makes the blob, and links it.
    async fn publish(&self, digest: &Digest) -> Result<(), ImageError> {
        let name = digest.to_string();
        let size = i64::try_from(self.progress.size).map_err(|error| Error::Internal(error.into()))?;
        let reliance = match self.reliance {
            Some(reliance) => reliance,
            None => Reliance::wait(self.forge, &name, size).await?,
        };
        let finishing = self.forge.uploads().finish(self.session, &self.progress, digest);
        self.while_renewing(finishing).await??;
        let now = self.forge.now();
        let mut tx = self.forge.db().begin().await?;
        // The upload may have taken hours: the credential and the role are looked at as they are now.
        let access = self.access.again(self.forge, &mut tx).await?;
        let project = access.project();
        let counted_already = blobs::is_counted(&mut tx, project, &name).await?;
        let room = quotas::room(&mut tx, project).await?;
        if !counted_already && room.is_some_and(|room| room < self.progress.size) {
            return Err(quotas::exceeded());
        }
        let repository = container_repositories::ensure(&mut tx, project, self.image, now).await?;
        if !blobs::stored(&mut tx, reliance.blob, size, reliance.since, now).await?
            || !blobs::link(&mut tx, repository, reliance.blob, now).await?
        {
            return Err(ImageError::unavailable("the blob was removed while it was uploaded"));
        }
        table::delete(&mut tx, &self.id).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Writes down what the session has, and lets others have it.
    async fn end(&self) -> Result<(), ImageError> {
        let size = i64::try_from(self.progress.size).map_err(|error| Error::Internal(error.into()))?;
        let upload = Upload {
            algorithm: self.algorithm.name().to_owned(),
            size,
            digest: self.progress.digest.as_ref().map(Digest::to_string),
            pieces: self.pieces,
        };
        let mut tx = self.forge.db().begin().await?;
        table::release(&mut tx, &self.id, &upload, self.forge.now()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Removes the session and what it has.
    async fn discard(&mut self) -> Result<(), ImageError> {
        let mut tx = self.forge.db().begin().await?;
        table::delete(&mut tx, &self.id).await?;
        tx.commit().await?;
        // What cannot be removed now is swept one day.
        if let Err(error) = self.forge.uploads().cancel(self.session).await {
            tracing::warn!(session = %self.session, %error, "what a session had is still there");
        }
        Ok(())
    }

    /// Works while it prolongs the claim.
    async fn while_renewing<T>(&self, work: impl Future<Output = T>) -> Result<T, ImageError> {
        let renewing = async {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                let renewed = async {
                    let mut tx = self.forge.db().begin().await?;
                    table::renew(&mut tx, &self.id, self.forge.now() + CLAIM).await?;
                    tx.commit().await
                };
                if let Err(error) = renewed.await {
                    tracing::warn!(session = %self.session, %error, "a claim could not be prolonged");
                }
            }
        };
        tokio::select! {
            done = work => Ok(done),
            () = renewing => Err(Error::Internal("a claim ended by itself".into()).into()),
        }
    }
}
