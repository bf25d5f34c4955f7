//! The engine: one value that knows every repository under one root.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use command_fds::{CommandFdExt, FdMapping};
use futures_util::{Stream, stream};
use tokio::sync::{Semaphore, oneshot};

use crate::answers::{self, Answers, Collected, Found, Key};
use crate::command::{Call, Git};
use crate::delivery::{self, Delivery};
use crate::disk::{self, Layout, blocking};
use crate::exchange::{self, Beginning, Exchange, GitOutput, Input, Measure};
use crate::history::{self, CommitSummary, FirstCommit};
use crate::hook::SOCKET_VARIABLE;
use crate::housekeeping::{self, FsckReport, HousekeepingReport};
use crate::last_commits::LastCommits;
use crate::limits::{Limits, Place};
use crate::objects::Objects;
use crate::open_objects::OpenObjects;
use crate::process;
use crate::push::Conversation;
use crate::question::Question;
use crate::{Error, GitProtocol, ObjectFormat, ObjectId, PushJudge, RefName, Service, Settings, refs};

/// The number under which `git receive-pack` and its hook know the socket to us.
const HOOK_SOCKET: i32 = 3;

/// The most that git says when it is asked for its capabilities, in bytes.
const MAX_CAPABILITIES_BYTES: usize = 64 * 1024;

/// How many object formats are remembered before all are forgotten. They never change, and ids are never used twice.
const MAX_REMEMBERED_FORMATS: usize = 100_000;

/// Serves the repositories under one root folder. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    layout: Layout,
    git: Arc<Git>,
    limits: Arc<Limits>,
    /// Who reads content over the API stands in a line of their own: not behind the clones, nor in front of them.
    reading: Arc<Limits>,
    answers: Arc<Answers>,
    open: Arc<OpenObjects>,
    last_commits: LastCommits,
    /// Short questions wait here and not among the exchanges: a push asks them while it holds a place itself.
    questions: Semaphore,
    /// Upkeep is hard work for the whole machine; one repository at a time.
    upkeep: Semaphore,
    formats: Mutex<HashMap<i64, ObjectFormat>>,
    /// What git can do for a fetch in version 2, and for a push: the same for every repository of one format.
    capabilities: Mutex<HashMap<(Service, ObjectFormat), Bytes>>,
    started: AtomicU64,
    killed: Arc<AtomicU64>,
}

/// A branch and the commit it points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The branch; [`RefName::branch`] gives its short name.
    pub name: RefName,
    /// The commit it points at.
    pub tip: ObjectId,
}

/// How busy the engine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Exchanges that hold a place now.
    pub running: usize,
    /// Exchanges that wait for a place now.
    pub waiting: usize,
    /// Processes started for exchanges since the engine was opened.
    pub started_total: u64,
    /// Exchanges refused because the queue was full or the wait too long, since the engine was opened.
    pub refused_total: u64,
    /// Process groups killed before they ended by themselves, since the engine was opened.
    pub killed_total: u64,
    /// Fetches answered by what was computed for another one, since the engine was opened.
    pub answers_reused_total: u64,
    /// Bytes that kept answers take now, on disk and in memory. One that is being written counts with what it is
    /// expected to take.
    pub answer_bytes: u64,
}

impl Engine {
    /// Opens the engine: makes the root folder, checks that git is there and new enough, prepares the hooks.
    pub async fn open(settings: Settings) -> Result<Engine, Error> {
        let layout = Layout::prepare(&settings.root)?;
        let git = Git::prepare(&settings, layout.own()).await?;
        let inner = Inner {
            answers: Answers::new(&settings, layout.own().to_owned()),
            layout,
            git: Arc::new(git),
            limits: Limits::new(&settings),
            reading: Limits::new(&settings),
            open: Arc::default(),
            last_commits: LastCommits::new(),
            questions: Semaphore::new(settings.max_processes.max(1)),
            upkeep: Semaphore::new(1),
            formats: Mutex::default(),
            capabilities: Mutex::default(),
            started: AtomicU64::new(0),
            killed: Arc::default(),
            settings,
        };
        Ok(Engine { inner: Arc::new(inner) })
    }

    /// Returns the version of the installed git, such as `2.39.5`.
    pub fn git_version(&self) -> &str {
        self.inner.git.version()
    }

    /// Returns where the repository with that id is, or would be.
    pub fn path(&self, id: i64) -> PathBuf {
        self.inner.layout.repository(id)
    }

    /// Makes an empty repository. A failure leaves nothing behind; one that exists is [`Error::AlreadyExists`].
    pub async fn create(&self, id: i64, format: ObjectFormat, default_branch: &str) -> Result<(), Error> {
        let head = RefName::branch_named(default_branch)?;
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.layout.create(id, format, head.as_str())).await
    }

    /// Writes the first commit of an empty repository. A branch that already has commits is [`Error::AlreadyExists`].
    pub async fn initialize(&self, id: i64, first: FirstCommit) -> Result<ObjectId, Error> {
        let repository = self.existing(id)?;
        let _turn = self.question().await?;
        let written = history::initialize(&self.inner.git, &repository, first).await;
        self.inner.answers.forget(id);
        written
    }

    /// Says whether the repository is on disk.
    pub async fn exists(&self, id: i64) -> Result<bool, Error> {
        Ok(self.inner.layout.exists(id))
    }

    /// Takes a repository away: no new exchange can start, running ones are killed, the files go. One that is not
    /// there is no error. What cannot be removed at once waits for [`Engine::empty_trash`].
    pub async fn delete(&self, id: i64) -> Result<(), Error> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let trash = inner.layout.discard(id)?;
            // First the name goes, then what runs is killed: nothing can begin in between.
            inner.limits.remove(id);
            inner.reading.remove(id);
            inner.answers.forget(id);
            inner.open.forget(id);
            inner.formats.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            if let Some(trash) = trash {
                // A killed process may still have been writing; the rest is removed later.
                let _ = std::fs::remove_dir_all(trash);
            }
            Ok(())
        })
        .await
    }

    /// Removes what [`Engine::delete`] and interrupted creations left behind. Returns how many repositories went.
    pub async fn empty_trash(&self) -> Result<usize, Error> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.layout.empty_trash()).await
    }

    /// Returns the object format of a repository.
    pub async fn object_format(&self, id: i64) -> Result<ObjectFormat, Error> {
        let repository = self.existing(id)?;
        self.format_of(id, &repository)
    }

    /// Returns the short name of the default branch (what `HEAD` points at), which need not exist yet.
    pub async fn default_branch(&self, id: i64) -> Result<String, Error> {
        let repository = self.existing(id)?;
        let head = blocking(move || refs::head(&repository)).await?;
        head.branch().map(str::to_owned).ok_or_else(|| Error::internal("a HEAD that names no branch"))
    }

    /// Makes another branch the default one. It need not exist yet.
    pub async fn set_default_branch(&self, id: i64, branch: &str) -> Result<(), Error> {
        let head = RefName::branch_named(branch)?;
        let repository = self.existing(id)?;
        blocking(move || disk::set_head(&repository, head.as_str())).await
    }

    /// Says whether the repository has at least one branch.
    pub async fn has_commits(&self, id: i64) -> Result<bool, Error> {
        let repository = self.existing(id)?;
        blocking(move || Ok(!refs::read(&repository, "refs/heads/")?.is_empty())).await
    }

    /// Returns all branches, by name.
    pub async fn branches(&self, id: i64) -> Result<Vec<Branch>, Error> {
        let repository = self.existing(id)?;
        let found = blocking(move || refs::read(&repository, "refs/heads/")).await?;
        Ok(found.into_iter().map(|(name, tip)| Branch { name, tip }).collect())
    }

    /// Returns every branch, tag and note with what it points at, by full name.
    pub async fn refs(&self, id: i64) -> Result<Vec<(RefName, ObjectId)>, Error> {
        let repository = self.existing(id)?;
        let found = blocking(move || refs::read(&repository, "refs/")).await?;
        Ok(found.into_iter().collect())
    }

    /// Returns what is told about a commit where it is only mentioned, or nothing when there is no such commit. The id
    /// of an annotated tag stands for the commit it names.
    pub async fn commit_summary(&self, id: i64, commit: &ObjectId) -> Result<Option<CommitSummary>, Error> {
        let repository = self.existing(id)?;
        let _turn = self.question().await?;
        history::commit_summary(&self.inner.git, &repository, commit).await
    }

    /// Counts the commits reachable from `new` and not from any of `old`; stops counting at `at_most`. Zero and
    /// missing ids in `old` are passed over.
    pub async fn count_commits(
        &self,
        id: i64,
        old: &[ObjectId],
        new: &ObjectId,
        at_most: u32,
    ) -> Result<u32, Error> {
        let repository = self.existing(id)?;
        let _turn = self.question().await?;
        history::count_commits(&self.inner.git, &repository, old, new, at_most).await
    }

    /// Returns the newest commits reachable from `new` and not from any of `old`, `at_most` of them, the newest first. Zero
    /// and missing ids in `old` are passed over.
    pub async fn new_commits(
        &self,
        id: i64,
        old: &[ObjectId],
        new: &ObjectId,
        at_most: u32,
    ) -> Result<Vec<ObjectId>, Error> {
        let repository = self.existing(id)?;
        let _turn = self.question().await?;
        history::new_commits(&self.inner.git, &repository, old, new, at_most).await
    }

    /// Returns the size of the repository on disk, in bytes.
    pub async fn size_bytes(&self, id: i64) -> Result<u64, Error> {
        disk::size_bytes(self.existing(id)?).await
    }

    /// Answers `GET info/refs?service=…`: the whole body, with the service line where the protocol wants it.
    pub async fn advertise(
        &self,
        id: i64,
        service: Service,
        protocol: Option<&GitProtocol>,
    ) -> Result<Exchange, Error> {
        let repository = self.existing(id)?;
        let format = self.format_of(id, &repository)?;
        // Version 2 exists for fetches only. A client that asks for it when it pushes speaks version 0.
        let second = protocol.is_some_and(|protocol| protocol.version() == 2);
        let call = |protocol| {
            let mut call = self.inner.git.service(service.subcommand(), &repository);
            call.protocol(protocol);
            call.args(["--stateless-rpc", "--http-backend-info-refs", "--"]).args([&repository])
        };
        let known = match service {
            Service::ReceivePack => {
                let ask = || without_refs(call(None));
                let capabilities = self.capabilities(service, format, ask, behind_the_ref).await?;
                let looked_at = repository.clone();
                let refs = blocking(move || refs::read(&looked_at, "refs/")).await?;
                Some(advertisement_to_a_push(&refs, format, &capabilities, protocol))
            }
            Service::UploadPack if second => {
                Some(self.capabilities(service, format, || call(protocol), without_object_info).await?)
            }
            Service::UploadPack => {
                let looked_at = repository.clone();
                let empty = blocking(move || refs::is_empty(&looked_at)).await?;
                empty.then(|| self.advertisement_of_nothing(format, protocol))
            }
        };
        if let Some(known) = known {
            return Ok(Exchange { body: GitOutput::from_memory([known]) });
        }
        let place = self.inner.limits.enter(id).await?;
        let mut beginning = self.beginning(call(protocol), place);
        beginning.limit = Some(self.inner.settings.advertisement_limit);
        beginning.preface = Some(service_line(service).into());
        self.answer(id, exchange::start(beginning)?).await
    }

    /// Returns what is said to a fetch before version 2 of a repository without refs. Git says nothing at all before
    /// version 2.42, and so not by which hash function the clone has to name its objects.
    fn advertisement_of_nothing(&self, format: ObjectFormat, protocol: Option<&GitProtocol>) -> Bytes {
        let first = protocol.is_some_and(|protocol| protocol.version() == 1);
        let version = if first { packet("version 1\n") } else { String::new() };
        let capabilities = format!("object-format={} agent=git/{}", format.name(), self.git_version());
        let nothing = packet(&format!("{} capabilities^{{}}\0{capabilities}\n", ObjectId::zero(format)));
        format!("{}{version}{nothing}0000", service_line(Service::UploadPack)).into()
    }

    /// Answers `POST git-upload-pack`. The input is the body after inflation. A fetch that is repeated within minutes,
    /// by whomever, is answered from what was computed before, until something is pushed.
    pub async fn upload_pack(
        &self,
        id: i64,
        protocol: Option<&GitProtocol>,
        input: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<Exchange, Error> {
        self.existing(id)?;
        let (input, answers): (Input, _) = (Box::pin(input), &self.inner.answers);
        let Some(second) = protocol.filter(|protocol| protocol.version() == 2 && answers.are_kept()) else {
            return self.compute(id, protocol, input, None).await;
        };
        let body = match answers::collect(input, self.inner.settings.idle_limit).await {
            Collected::Fetch(body) => body,
            Collected::Other(input) => return self.compute(id, protocol, input, None).await,
        };
        let key = Key::new(id, second.as_str(), &body);
        if let Some(exchange) = self.share(id, second, key, &body).await? {
            return Ok(exchange);
        }
        self.compute(id, protocol, whole(body), Some(answers.measure(key))).await
    }

    /// Answers a fetch from an answer that is kept or being written, or begins to keep one. Nothing when this request
    /// needs a process of its own.
    async fn share(
        &self,
        id: i64,
        protocol: &GitProtocol,
        key: Key,
        body: &Bytes,
    ) -> Result<Option<Exchange>, Error> {
        let answers = &self.inner.answers;
        let (mut follow, lead) = match answers.find(key) {
            Found::Answer(follow) => (follow, None),
            Found::Nothing => return Ok(None),
            Found::Seen(bytes) => {
                let Some(needed) = answers.room_for(self.path(id), bytes).await else { return Ok(None) };
                match answers.begin(key, id, needed) {
                    Some(begun) => begun,
                    None => return Ok(None),
                }
            }
        };
        let failure = lead.map(|lead| {
            let (tell, failure) = oneshot::channel();
            let (engine, protocol, input) = (self.clone(), protocol.clone(), whole(body.clone()));
            let exchange = async move { engine.compute(id, Some(&protocol), input, None).await };
            tokio::spawn(lead.write(exchange, tell));
            failure
        });
        match (follow.begins().await, failure) {
            (true, failure) => {
                if failure.is_none() {
                    follow.count();
                }
                Ok(Some(Exchange { body: follow.output() }))
            }
            // The first to ask hears what is wrong. The others ask for themselves.
            (false, Some(failure)) => failure.await.map_or(Ok(None), Err),
            (false, None) => Ok(None),
        }
    }

    /// Answers a fetch by a process of its own.
    async fn compute(
        &self,
        id: i64,
        protocol: Option<&GitProtocol>,
        input: Input,
        measure: Option<Measure>,
    ) -> Result<Exchange, Error> {
        let repository = self.existing(id)?;
        let place = self.inner.limits.enter(id).await?;
        let settings = &self.inner.settings;
        let mut call = self.inner.git.service(Service::UploadPack.subcommand(), &repository);
        call.protocol(protocol);
        let timeout = format!("--timeout={}", settings.idle_limit.as_secs().max(1));
        let call = call.args(["--stateless-rpc", "--strict", &timeout, "--"]).args([&repository]);
        let mut beginning = self.beginning(call, place);
        beginning.input = Some(input);
        beginning.measure = measure;
        beginning.max_input_bytes = Some(settings.max_fetch_request_bytes);
        beginning.must_answer = true;
        beginning.limit = Some(settings.fetch_limit);
        self.answer(id, exchange::start(beginning)?).await
    }

    /// Answers `POST git-receive-pack`. The judge is asked before any ref moves, and told afterwards.
    pub async fn receive_pack(
        &self,
        id: i64,
        protocol: Option<&GitProtocol>,
        input: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        judge: Arc<dyn PushJudge>,
    ) -> Result<Exchange, Error> {
        let repository = self.existing(id)?;
        let format = self.format_of(id, &repository)?;
        let place = self.inner.limits.enter(id).await?;
        self.inner.git.check_hook()?;
        let doing = || Error::io("connecting the hook of a push");
        let (ours, theirs) = UnixStream::pair().map_err(doing())?;
        ours.set_nonblocking(true).map_err(doing())?;
        let ours = tokio::net::UnixStream::from_std(ours).map_err(doing())?;

        let mut call = self.inner.git.service(Service::ReceivePack.subcommand(), &repository);
        call.protocol(protocol.filter(|protocol| protocol.version() < 2));
        call.env(SOCKET_VARIABLE, HOOK_SOCKET.to_string());
        // It helps with large packs, and upkeep writes it for those; here it would be one more file to wait for.
        call.set("pack.writeReverseIndex", "false");
        let call = call.args(["--stateless-rpc", "--"]).args([&repository]);
        let mut beginning = self.beginning(call, place);
        let mapping = FdMapping { parent_fd: theirs.into(), child_fd: HOOK_SOCKET };
        beginning
            .command
            .fd_mappings(vec![mapping])
            .map_err(|_| Error::internal("one descriptor was mapped twice"))?;
        beginning.input = Some(Box::pin(input) as Input);
        let started = exchange::start(beginning)?;

        let conversation = Conversation {
            git: Arc::clone(&self.inner.git),
            repository,
            format,
            judge,
            prefix: self.inner.settings.message_prefix.clone(),
            accepted: OnceLock::new(),
        };
        let answers = Arc::clone(&self.inner.answers);
        let delivery =
            Delivery { conversation, shared: Arc::clone(&started.shared), moved: move || answers.forget(id) };
        let engine = self.clone();
        delivery::begin(delivery, async move { engine.answer(id, started).await }, ours).await
    }

    /// Keeps a repository fast and small. Safe to interrupt at any moment, and to repeat.
    pub async fn housekeeping(&self, id: i64) -> Result<HousekeepingReport, Error> {
        let repository = self.existing(id)?;
        let _turn = self.inner.upkeep.acquire().await.map_err(|_| Error::internal("the engine is closed"))?;
        let done = housekeeping::run(&self.inner.git, &repository, &self.inner.settings.housekeeping).await;
        // Packs that are gone give their room back when nobody has them open.
        self.inner.open.forget(id);
        done
    }

    /// Checks every object of a repository.
    pub async fn fsck(&self, id: i64) -> Result<FsckReport, Error> {
        let repository = self.existing(id)?;
        let _turn = self.inner.upkeep.acquire().await.map_err(|_| Error::internal("the engine is closed"))?;
        housekeeping::fsck(&self.inner.git, &repository, self.inner.settings.housekeeping.step_limit).await
    }

    /// Returns how busy the engine is.
    pub fn stats(&self) -> Stats {
        Stats {
            running: self.inner.limits.running() + self.inner.reading.running(),
            waiting: self.inner.limits.waiting() + self.inner.reading.waiting(),
            started_total: self.inner.started.load(Ordering::Relaxed),
            refused_total: self.inner.limits.refused() + self.inner.reading.refused(),
            killed_total: self.inner.killed.load(Ordering::Relaxed),
            answers_reused_total: self.inner.answers.reused(),
            answer_bytes: self.inner.answers.bytes(),
        }
    }

    /// Does something with the objects of a repository on a thread made for waiting. It waits for a place among those
    /// who read, and keeps it until the work is done, even if nobody waits for the result any more.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        id: i64,
        work: impl FnOnce(&Objects) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let repository = self.existing(id)?;
        let format = self.format_of(id, &repository)?;
        let place = self.inner.reading.enter(id).await?;
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let _place = place;
            let read = inner.open.with(id, &repository, format, work);
            // It may have been deleted under our hands.
            read.map_err(|error| if inner.layout.exists(id) { error } else { Error::NotFound })
        })
        .await
    }

    /// Asks git something about the history of a repository, and waits for the whole answer. A question that takes
    /// longer than `limit` is given up as [`Error::Overloaded`].
    pub(crate) async fn ask(
        &self,
        id: i64,
        question: Question,
        max_output_bytes: usize,
        limit: Duration,
    ) -> Result<process::Finished, Error> {
        let repository = self.existing(id)?;
        let place = self.inner.reading.enter(id).await?;
        self.inner.started.fetch_add(1, Ordering::Relaxed);
        let call = question.call(&self.inner.git, &repository);
        let answer = process::run(call, question.input, max_output_bytes, limit * 2);
        tokio::select! {
            answer = answer => answer.map_err(|error| match error {
                _ if !self.inner.layout.exists(id) => Error::NotFound,
                Error::Internal { source: Some(source), .. } if source.kind() == io::ErrorKind::FileTooLarge => {
                    Error::BadRequest("the answer would be too large".to_owned())
                }
                error => error,
            }),
            () = tokio::time::sleep(limit) => Err(Error::Overloaded { retry_after: limit }),
            () = place.removed().cancelled_owned() => Err(Error::NotFound),
        }
    }

    /// Asks git something whose answer is read while it comes, in at most `limit`.
    pub(crate) async fn ask_at_length(
        &self,
        id: i64,
        question: Question,
        limit: Duration,
    ) -> Result<Exchange, Error> {
        let repository = self.existing(id)?;
        let place = self.inner.reading.enter(id).await?;
        let call = question.call(&self.inner.git, &repository);
        let mut beginning = self.beginning(call, place);
        beginning.limit = Some(limit);
        self.answer(id, exchange::start(beginning)?).await
    }

    /// Sends what git says to a client, at the client's pace: as long as a fetch may take, and in the line of fetches.
    pub(crate) async fn deliver(&self, id: i64, question: Question) -> Result<Exchange, Error> {
        let repository = self.existing(id)?;
        let place = self.inner.limits.enter(id).await?;
        let mut beginning = self.beginning(question.call(&self.inner.git, &repository), place);
        beginning.limit = Some(self.inner.settings.fetch_limit);
        self.answer(id, exchange::start(beginning)?).await
    }

    /// Waits until no exchange runs, at most for `limit`, and says whether that came. New ones wait meanwhile, so this
    /// is for the end of the program.
    pub async fn wait_until_idle(&self, limit: Duration) -> bool {
        let idle = async { tokio::join!(self.inner.limits.idle(), self.inner.reading.idle()) };
        tokio::time::timeout(limit, idle).await.is_ok()
    }

    pub(crate) fn last_commits(&self) -> &LastCommits {
        &self.inner.last_commits
    }

    /// Returns git, as it is called for every repository.
    pub(crate) fn git(&self) -> &Git {
        &self.inner.git
    }

    /// Takes a place among those who work on a repository, waiting in turn when there is none.
    pub(crate) async fn place(&self, id: i64) -> Result<Place, Error> {
        self.inner.limits.enter(id).await
    }

    /// Forgets what was computed for fetches from a repository, because its refs have changed.
    pub(crate) fn forget_answers(&self, id: i64) {
        self.inner.answers.forget(id);
    }

    /// Returns where a repository that exists is.
    pub(crate) fn existing(&self, id: i64) -> Result<PathBuf, Error> {
        if self.inner.layout.exists(id) { Ok(self.path(id)) } else { Err(Error::NotFound) }
    }

    async fn question(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Error> {
        self.inner.questions.acquire().await.map_err(|_| Error::internal("the engine is closed"))
    }

    fn format_of(&self, id: i64, repository: &Path) -> Result<ObjectFormat, Error> {
        let mut formats = self.inner.formats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(format) = formats.get(&id) {
            return Ok(*format);
        }
        let format = disk::object_format(repository)?;
        if formats.len() >= MAX_REMEMBERED_FORMATS {
            formats.clear();
        }
        formats.insert(id, format);
        Ok(format)
    }

    /// Returns what git can do, asking it once for each service and format. `select` takes it out of what git says.
    async fn capabilities(
        &self,
        service: Service,
        format: ObjectFormat,
        call: impl FnOnce() -> Call,
        select: impl FnOnce(&[u8]) -> Result<Bytes, Error>,
    ) -> Result<Bytes, Error> {
        let known = || self.inner.capabilities.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = known().get(&(service, format)) {
            return Ok(bytes.clone());
        }
        let _turn = self.question().await?;
        self.inner.started.fetch_add(1, Ordering::Relaxed);
        let limit = self.inner.settings.advertisement_limit;
        let finished = process::run(call(), None, MAX_CAPABILITIES_BYTES, limit).await?;
        let said = finished.expect_success("asking git for its capabilities")?;
        let bytes = select(&said)?;
        known().insert((service, format), bytes.clone());
        Ok(bytes)
    }

    fn beginning(&self, call: Call, place: Place) -> Beginning {
        self.inner.started.fetch_add(1, Ordering::Relaxed);
        Beginning::new(call.into_command(), place, &self.inner.settings, Arc::clone(&self.inner.killed))
    }

    async fn answer(&self, id: i64, started: exchange::Started) -> Result<Exchange, Error> {
        started.answer().await.map_err(|error| match error {
            // It may have been deleted between our look and git's.
            _ if !self.inner.layout.exists(id) => Error::NotFound,
            error => error,
        })
    }
}

/// Returns a request's body that is known beforehand as a stream.
fn whole(body: Bytes) -> Input {
    Box::pin(stream::iter([Ok(body)]))
}

/// Returns one packet of the protocol.
fn packet(content: &str) -> String {
    format!("{:04x}{content}", content.len() + 4)
}

/// Returns what an advertisement begins with before version 2.
fn service_line(service: Service) -> String {
    format!("{}0000", packet(&format!("# service={}\n", service.name())))
}

/// Makes git advertise what it can do and not a single ref.
fn without_refs(mut call: Call) -> Call {
    call.set("receive.hideRefs", "refs");
    call
}

/// Takes the capabilities out of an advertisement before version 2: in its first packet, behind the name of the ref.
fn behind_the_ref(advertisement: &[u8]) -> Result<Bytes, Error> {
    let rest = advertisement.split(|&byte| byte == 0).nth(1);
    let capabilities = rest.and_then(|rest| rest.split(|&byte| byte == b'\n').next());
    capabilities
        .map(Bytes::copy_from_slice)
        .ok_or_else(|| Error::internal("git's capabilities cannot be understood"))
}

/// Returns what is said to a push: every ref that a push may change, by name. It is put together here and not by a
/// process of git, because every push asks for it.
fn advertisement_to_a_push(
    refs: &BTreeMap<RefName, ObjectId>,
    format: ObjectFormat,
    capabilities: &[u8],
    protocol: Option<&GitProtocol>,
) -> Bytes {
    let mut said = service_line(Service::ReceivePack).into_bytes();
    if protocol.is_some_and(|protocol| protocol.version() == 1) {
        said.extend_from_slice(packet("version 1\n").as_bytes());
    }
    let zero = ObjectId::zero(format);
    let nothing = refs.is_empty().then_some((&zero, "capabilities^{}"));
    let mut capabilities = Some(capabilities);
    for (id, name) in refs.iter().map(|(name, id)| (id, name.as_str())).chain(nothing) {
        let line = capabilities.take().map(|first| [b"\0", first].concat()).unwrap_or_default();
        let length = 4 + id.as_str().len() + 1 + name.len() + line.len() + 1;
        said.extend_from_slice(format!("{length:04x}{} {name}", id.as_str()).as_bytes());
        said.extend_from_slice(&line);
        said.push(b'\n');
    }
    said.extend_from_slice(b"0000");
    said.into()
}

/// Takes `object-info` out of the capabilities: git offers it whatever the configuration says before version 2.40.
fn without_object_info(capabilities: &[u8]) -> Result<Bytes, Error> {
    let odd = || Error::internal("git's capabilities cannot be understood");
    let mut kept = Vec::with_capacity(capabilities.len());
    let mut rest = capabilities;
    while !rest.is_empty() {
        let digits = rest.get(..4).and_then(|digits| str::from_utf8(digits).ok()).ok_or_else(odd)?;
        let length = usize::from_str_radix(digits, 16).map_err(|_| odd())?.max(4);
        let (packet, after) = rest.split_at_checked(length).ok_or_else(odd)?;
        if &packet[4..] != b"object-info\n" {
            kept.extend_from_slice(packet);
        }
        rest = after;
    }
    Ok(kept.into())
}
