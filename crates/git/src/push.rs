//! A push as the judge sees it: what it wants to change, and afterwards what it really changed.
//!
//! The engine calls a [`PushJudge`] twice. First while `git receive-pack` waits in its hook: the objects are already on
//! disk, in a quarantine that only this push can see, and questions about them are answered inside it. Whatever cannot
//! be understood is refused before the judge hears of it. And then when git has reported which refs have moved, before
//! the client sees the end of the answer.

use std::collections::HashSet;
use std::ffi::OsString;
use std::future::Future;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tracing::{error, warn};

use crate::command::Git;
use crate::process;
use crate::report::Report;
use crate::wire::{self, Answer, Question};
use crate::{
    Error, LfsPointer, ObjectFormat, ObjectId, RefName, RefNameError, ancestry, disk, lfs_pointer, refs,
};

/// A boxed future, so that [`PushJudge`] can be a trait object.
pub type JudgeFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Decides about pushes. Implemented by whoever knows users, tokens and protected branches.
pub trait PushJudge: Send + Sync + 'static {
    /// Decides whether the whole push may happen. Called once for each push, with at least one update. A refusal
    /// refuses every update: git offers nothing finer at this point. If the future panics, or takes longer than
    /// 50 s, the push is refused.
    fn before<'a>(&'a self, push: &'a ProposedPush) -> JudgeFuture<'a, Verdict>;

    /// Hears which refs have changed, if any. The push can no longer fail; the returned lines are shown to the person. The
    /// future runs to its end even when the client has gone away. It is not called for a client that wants no report
    /// of what became of its push, which no Git does, nor when git dies between the two: so what `before` wrote down
    /// must be enough to find out later.
    fn after<'a>(&'a self, push: &'a CompletedPush) -> JudgeFuture<'a, Vec<String>>;
}

/// The judge's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The push may happen.
    Accept,
    /// Nothing may change. The lines are shown to the person who pushes, each behind the engine's prefix.
    Refuse(Vec<String>),
}

/// One ref that a push wants to change, or has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUpdate {
    /// The ref.
    pub name: RefName,
    /// What it pointed at before; the zero id when it did not exist.
    pub old: ObjectId,
    /// What it shall point at; the zero id when it shall be deleted.
    pub new: ObjectId,
    /// Whether this creates, moves or deletes the ref.
    pub kind: UpdateKind,
}

impl RefUpdate {
    /// Returns the update of a ref from what it is, or nothing, to what it shall be, or nothing.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when it is nothing and shall be nothing.
    pub fn new(name: RefName, old: Option<ObjectId>, new: Option<ObjectId>) -> Result<RefUpdate, Error> {
        let zero = |other: &ObjectId| ObjectId::zero(other.format());
        let (old, new, kind) = match (old, new) {
            (Some(old), Some(new)) => (old, new, UpdateKind::Update),
            (None, Some(new)) => (zero(&new), new, UpdateKind::Create),
            (Some(old), None) => (old.clone(), zero(&old), UpdateKind::Delete),
            (None, None) => return Err(Error::BadRequest("nothing shall become nothing".into())),
        };
        Ok(RefUpdate { name, old, new, kind })
    }
}

/// What an update does to its ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateKind {
    /// The ref did not exist.
    Create,
    /// The ref moves from one object to another.
    Update,
    /// The ref goes away.
    Delete,
}

/// A push whose objects have arrived in quarantine and whose refs have not moved yet.
///
/// The old ids are what the client believes. They need no further check here: git moves a ref only if it still points
/// at the old id, so a push that was judged by a wrong one fails.
pub struct ProposedPush {
    updates: Vec<RefUpdate>,
    options: Vec<String>,
    git: Arc<Git>,
    repository: PathBuf,
    quarantine: Option<Quarantine>,
}

/// Where the objects of a push wait until it is accepted.
struct Quarantine {
    path: PathBuf,
    alternates: OsString,
}

/// How long the judge may think before a push is refused.
const JUDGE_LIMIT: Duration = Duration::from_secs(50);

/// How long a question about the history of a push may take.
const ANCESTRY_LIMIT: Duration = Duration::from_secs(40);

impl ProposedPush {
    /// Returns what the push wants to change, in the order in which the client asked. Never empty.
    pub fn updates(&self) -> &[RefUpdate] {
        &self.updates
    }

    /// Returns the push options (`git push -o`), in order.
    pub fn options(&self) -> &[String] {
        &self.options
    }

    /// Says whether an update throws history away: whether the old tip is not an ancestor of the new one. Creating or
    /// deleting a ref is not forced. May cost a process, so ask only where the answer matters. When this fails, the push
    /// must be refused.
    pub async fn is_forced(&self, update: &RefUpdate) -> Result<bool, Error> {
        if update.kind != UpdateKind::Update {
            return Ok(false);
        }
        if let Some(quarantine) = &self.quarantine {
            let (folder, old, new) = (quarantine.path.clone(), update.old.clone(), update.new.clone());
            if disk::blocking(move || Ok(ancestry::is_shown_by(&folder, old.format(), &old, &new))).await? {
                return Ok(false);
            }
        }
        let arguments = ["--is-ancestor", "--end-of-options", update.old.as_str(), update.new.as_str()];
        let mut call = self.git.inside("merge-base", &self.repository).args(arguments);
        if let Some(quarantine) = &self.quarantine {
            call.env("GIT_QUARANTINE_PATH", &quarantine.path);
            call.env("GIT_OBJECT_DIRECTORY", &quarantine.path);
            call.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &quarantine.alternates);
        }
        let finished = process::run(call, None, 1024, ANCESTRY_LIMIT).await?;
        match finished.status.code() {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => Err(Error::internal(format!("comparing two commits: {}", finished.errors.trim()))),
        }
    }

    /// Returns the pointers of Git LFS among the files that the push has brought, each once. It is read from the pack that
    /// has arrived, and costs no process.
    ///
    /// # Errors
    /// When the work was interrupted.
    pub async fn lfs_pointers(&self) -> Result<Vec<LfsPointer>, Error> {
        let (Some(quarantine), Some(update)) = (&self.quarantine, self.updates.first()) else {
            return Ok(Vec::new());
        };
        let (folder, format) = (quarantine.path.clone(), update.new.format());
        disk::blocking(move || Ok(lfs_pointer::arrived(&folder, format))).await
    }

    /// Returns how many bytes the push adds to the repository on disk.
    pub async fn size_bytes(&self) -> Result<u64, Error> {
        match &self.quarantine {
            Some(quarantine) => disk::size_bytes(quarantine.path.clone()).await,
            None => Ok(0),
        }
    }
}

/// A push that has happened.
#[derive(Clone, Debug)]
pub struct CompletedPush {
    updates: Vec<RefUpdate>,
    options: Vec<String>,
}

impl CompletedPush {
    /// Returns the refs that really changed. Without `--atomic`, that can be fewer than were proposed.
    pub fn updates(&self) -> &[RefUpdate] {
        &self.updates
    }

    /// Returns the push options (`git push -o`), in order.
    pub fn options(&self) -> &[String] {
        &self.options
    }
}

/// The engine's half of the conversation with the hook of one push, and what came of it.
pub(crate) struct Conversation {
    pub(crate) git: Arc<Git>,
    pub(crate) repository: PathBuf,
    pub(crate) format: ObjectFormat,
    pub(crate) judge: Arc<dyn PushJudge>,
    pub(crate) prefix: String,
    /// What has been accepted.
    pub(crate) accepted: OnceLock<CompletedPush>,
}

impl Conversation {
    /// Answers the hook, if git starts it. `commit_to` is asked once the judge has accepted: it says whether anybody
    /// still wants the push, and from then on the push is allowed to end properly.
    pub(crate) async fn hold(&self, mut socket: UnixStream, commit_to: impl Fn() -> bool) {
        let question = match Question::read(&mut socket).await {
            Ok(question) => question,
            Err(error) => {
                if error.kind() != std::io::ErrorKind::UnexpectedEof {
                    warn!(%error, "a hook could not be understood");
                }
                // Closing the socket tells the hook, if there is one, that it has no answer.
                return;
            }
        };
        let answer = match self.before(question).await {
            Ok(push) if commit_to() => {
                // Git is told afterwards, so that this is known before a ref moves.
                let _ = self.accepted.set(push);
                Answer { accept: true, text: String::new() }
            }
            Ok(_) => Answer { accept: false, text: String::new() },
            Err(lines) => Answer { accept: false, text: self.text(&lines) },
        };
        if let Err(error) = socket.write_all(&answer.encode()).await {
            warn!(%error, "a hook did not wait for its answer");
        }
    }

    /// Tells the judge what has become of an accepted push, and returns what the person is shown.
    pub(crate) async fn tell(&self, report: &Report) -> String {
        let Some(accepted) = self.accepted.get() else { return String::new() };
        let moved = accepted.updates.iter().filter(|update| report.has_moved(&update.name));
        let push = CompletedPush { updates: moved.cloned().collect(), options: accepted.options.clone() };
        if push.updates.is_empty() {
            return String::new();
        }
        let heard = std::panic::AssertUnwindSafe(self.judge.after(&push)).catch_unwind();
        self.text(&heard.await.unwrap_or_default())
    }

    /// Asks the judge. Returns the push if it may happen, and otherwise what the person is shown.
    async fn before(&self, question: Question) -> Result<CompletedPush, Vec<String>> {
        let refuse = |line: &str| Err(vec![line.to_owned()]);
        let updates = parse_updates(&question.updates, self.format)?;
        // Git would report a ref as deleted that never existed, if it is told an old id that it does not know either.
        let deleted = updates.iter().filter(|update| update.kind == UpdateKind::Delete);
        let deleted: Vec<RefName> = deleted.map(|update| update.name.clone()).collect();
        if !deleted.is_empty() {
            let repository = self.repository.clone();
            match disk::blocking(move || refs::missing(&repository, deleted)).await {
                Ok(missing) if missing.is_empty() => {}
                Ok(missing) => return Err(missing.iter().map(not_there).collect()),
                Err(error) => {
                    error!(%error, "the refs that a push deletes could not be looked for");
                    return refuse("The push could not be checked and was refused.");
                }
            }
        }
        let Some(options) = parse_options(question.options) else {
            return refuse("Push options must be text.");
        };
        let quarantine = match self.quarantine(question.quarantine, question.alternates) {
            Ok(quarantine) => quarantine,
            Err(path) => {
                error!(path = %path.display(), "a hook named a quarantine outside its repository");
                return refuse("The push could not be checked and was refused.");
            }
        };
        let push = ProposedPush {
            updates,
            options,
            git: Arc::clone(&self.git),
            repository: self.repository.clone(),
            quarantine,
        };
        let judged = std::panic::AssertUnwindSafe(self.judge.before(&push)).catch_unwind();
        match tokio::time::timeout(JUDGE_LIMIT, judged).await {
            Ok(Ok(Verdict::Accept)) => Ok(CompletedPush { updates: push.updates, options: push.options }),
            Ok(Ok(Verdict::Refuse(lines))) => Err(lines),
            Ok(Err(_)) => refuse("The push could not be checked and was refused."),
            Err(_) => refuse("Push operation timed out"),
        }
    }

    fn quarantine(&self, path: Vec<u8>, alternates: Vec<u8>) -> Result<Option<Quarantine>, PathBuf> {
        if path.is_empty() {
            return Ok(None);
        }
        let path = PathBuf::from(OsString::from_vec(path));
        let inside = path.parent() == Some(&self.repository.join("objects"))
            && path.file_name().is_some_and(|name| disk::is_quarantine(Path::new(name)));
        if !inside {
            return Err(path);
        }
        Ok(Some(Quarantine { path, alternates: OsString::from_vec(alternates) }))
    }

    /// Puts the prefix before each line, and takes out what could move the cursor of a terminal.
    fn text(&self, lines: &[String]) -> String {
        let mut text = String::new();
        for line in lines.iter().flat_map(|line| line.lines()) {
            text.push_str(&self.prefix);
            text.extend(line.chars().filter(|c| !c.is_control()));
            text.push('\n');
        }
        text
    }
}

/// Parses what git writes to a hook: a line `old new ref` for each update. Everything must be understood, or the lines
/// to show to the person are returned instead.
fn parse_updates(bytes: &[u8], format: ObjectFormat) -> Result<Vec<RefUpdate>, Vec<String>> {
    let refuse = |line: String| Err(vec![line]);
    let malformed = || refuse("The list of updates cannot be understood.".into());
    let Ok(text) = str::from_utf8(bytes) else {
        return refuse("Names of branches and tags must be valid UTF-8.".into());
    };
    let Some(text) = text.strip_suffix('\n') else {
        return malformed();
    };
    let mut updates = Vec::new();
    let mut seen = HashSet::new();
    for line in text.split('\n') {
        if updates.len() == wire::MAX_UPDATES {
            return refuse(format!("A push can change at most {} refs.", wire::MAX_UPDATES));
        }
        let mut parts = line.splitn(3, ' ');
        let mut id = || ObjectId::parse(parts.next()?).filter(|id| id.format() == format);
        let (Some(old), Some(new)) = (id(), id()) else {
            return malformed();
        };
        let Some(name) = parts.next() else {
            return malformed();
        };
        let name = match RefName::parse(name) {
            Ok(name) if name.branch() != Some("HEAD") => name,
            Err(RefNameError::Forbidden) => {
                return refuse(format!("Only branches, tags and notes can be pushed, not {name}."));
            }
            Ok(_) | Err(RefNameError::Malformed) => {
                return refuse(format!("{} is not an allowed name.", name.escape_debug()));
            }
        };
        let kind = match (old.is_zero(), new.is_zero()) {
            (true, false) => UpdateKind::Create,
            (false, false) => UpdateKind::Update,
            (false, true) => UpdateKind::Delete,
            (true, true) => return refuse(not_there(&name)),
        };
        if !seen.insert(name.clone()) {
            return refuse(format!("{name} is named more than once."));
        }
        updates.push(RefUpdate { name, old, new, kind });
    }
    Ok(updates)
}

fn not_there(name: &RefName) -> String {
    format!("{name} does not exist.")
}

fn parse_options(options: Vec<Vec<u8>>) -> Option<Vec<String>> {
    options.into_iter().map(|option| String::from_utf8(option).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const Z: &str = "0000000000000000000000000000000000000000";

    fn parse(text: &str) -> Result<Vec<RefUpdate>, Vec<String>> {
        parse_updates(text.as_bytes(), ObjectFormat::Sha1)
    }

    #[test]
    fn each_kind_of_update_is_recognised() {
        let text = format!("{Z} {A} refs/heads/a\n{A} {A} refs/tags/b\n{A} {Z} refs/notes/c\n");
        let kinds: Vec<UpdateKind> = parse(&text).unwrap().iter().map(|update| update.kind).collect();
        assert_eq!(kinds, [UpdateKind::Create, UpdateKind::Update, UpdateKind::Delete]);
    }

    #[test]
    fn whatever_is_not_understood_is_refused() {
        let long = "b".repeat(64);
        for text in [
            String::new(),
            "\n".into(),
            format!("{A} {A} refs/heads/a"),
            format!("{A} {A}\n"),
            format!("{A}  {A} refs/heads/a\n"),
            format!("{A} {A} refs/heads/a\n\n"),
            format!("{A} {long} refs/heads/a\n"),
            format!("{A} {A} refs/heads/HEAD\n"),
            format!("{A} {A} HEAD\n"),
            format!("{A} {A} refs/replace/x\n"),
            format!("{Z} {Z} refs/heads/a\n"),
            format!("{A} {A} refs/heads/a\n{A} {A} refs/heads/a\n"),
            format!("{A} {A} refs/heads/a\0b\n"),
            format!("{A} {A} refs/heads/-a\n"),
        ] {
            assert!(parse(&text).is_err(), "{text:?} was accepted");
        }
        assert!(parse_updates(&[A.as_bytes(), b" \xff\n"].concat(), ObjectFormat::Sha1).is_err());
    }

    #[test]
    fn too_many_updates_are_refused() {
        let lines: String = (0..=wire::MAX_UPDATES).map(|n| format!("{Z} {A} refs/tags/{n}\n")).collect();
        assert!(parse(&lines).unwrap_err()[0].contains("at most"));
    }
}
