//! What is said about an issue or a merge request: discussions with their answers, what the forge noted between them, and the
//! forms to go on with.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use portcullis_app::access::Authorized;
use portcullis_app::discussions::{self, DiscussionDetails, Settled};
use portcullis_app::merge_requests::{self, DivergedCommits};
use portcullis_app::noteables::{CommentedOn, OnIssue, OnMergeRequest};
use portcullis_app::notes::{self, NewNoteRequest, NoteAudience};
use portcullis_app::positions::Position;
use portcullis_app::records::notes::Note;
use portcullis_app::records::select::Window;
use portcullis_app::{Error, sessions};
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::{DiscussionId, NoteId, UserId};
use serde_json::Value;

use super::author::Author;
use super::confirm::Confirm;
use super::fields::{Choice, Problems, SelectField, TextArea, TextField};
use super::form::Form;
use super::history::{LineOf, Remark};
use super::projects::Head;
use super::tracked::{prose, text_of};
use super::words::Moment;
use super::{Around, PageError, PageResult, Pages, html, see_other};
use crate::AppState;
use crate::api::{PathParts, path_text};

/// How many discussions one page shows.
const PER_PAGE: i64 = 100;

/// What is said of a comment that comes a second time.
const SENT_BEFORE: &str =
    "This was sent before, so nothing was written again. If it is not there, send it once more.";

/// What is asked before a comment is deleted.
pub(super) const DELETING: &str = "What it says is gone for everybody. This cannot be undone.";

/// What has a page of its own, with comments on it.
pub trait Discussed: CommentedOn {
    /// What its addresses are below.
    const PART: &'static str;

    /// Answers its page; `again` is a form on it that came back.
    fn page(
        state: &AppState,
        access: &Authorized<Self::Read>,
        around: Around,
        iid: i64,
        again: Again,
    ) -> impl Future<Output = PageResult> + Send;
}

impl Discussed for OnIssue {
    const PART: &'static str = "issues";

    async fn page(
        state: &AppState,
        access: &Authorized<act::ReadIssues>,
        around: Around,
        iid: i64,
        again: Again,
    ) -> PageResult {
        super::issues::page(state, access, around, iid, again).await
    }
}

impl Discussed for OnMergeRequest {
    const PART: &'static str = "merge_requests";

    async fn page(
        state: &AppState,
        access: &Authorized<act::ReadMergeRequests>,
        around: Around,
        iid: i64,
        again: Again,
    ) -> PageResult {
        super::merge_requests::overview::page(state, access, around, iid, again).await
    }
}

/// What a page says once more, because what was asked of it could not be done.
#[derive(Clone, Debug, Default)]
pub struct Again {
    /// With which status; nothing when nothing was asked.
    pub status: Option<StatusCode>,
    /// What is wrong, said above everything.
    pub said: Option<String>,
    /// A form for a comment that comes back.
    comment: Option<Came>,
}

impl Again {
    /// Returns a page that says why something could not be done.
    pub(super) fn saying(status: StatusCode, said: String) -> Again {
        Again { status: Some(status), said: Some(said), comment: None }
    }

    /// Returns the form that answers this discussion, or none, if that is what comes back.
    fn of(&self, answers: Option<&str>) -> Option<&Came> {
        let came = self.comment.as_ref()?;
        (came.answers.map(DiscussionId::to_key).as_deref() == answers).then_some(came)
    }
}

/// A form for a comment that came back.
#[derive(Clone, Debug, Default)]
struct Came {
    /// Which discussion it answers.
    answers: Option<DiscussionId>,
    text: String,
    internal: bool,
    problem: Option<String>,
}

/// A form for a comment.
struct CommentForm {
    number: String,
    text: TextArea,
    /// Whether it can be kept from others, and is to be.
    internal: Option<bool>,
    /// Whether it came back.
    open: bool,
}

/// A comment.
struct NoteView {
    id: i64,
    author: Author,
    /// Clean HTML.
    html: String,
    when: Moment,
    edited: bool,
    internal: bool,
    may_change: bool,
}

/// The place in a difference that a discussion is about.
struct Place {
    file: String,
    line: Option<(i64, &'static str)>,
}

impl Place {
    /// Reads a place as it is kept.
    fn of(json: &str) -> Option<Place> {
        let place: Value = serde_json::from_str(json).ok()?;
        let file = place["new_path"].as_str().or(place["old_path"].as_str())?.to_owned();
        let after = place["new_line"].as_i64().map(|line| (line, "after the change"));
        let before = place["old_line"].as_i64().map(|line| (line, "before the change"));
        Some(Place { file, line: after.or(before) })
    }
}

/// Comments that answer each other, or one that the forge wrote.
struct Thread {
    key: String,
    notes: Vec<NoteView>,
    /// Whether the forge wrote it about a change.
    system: bool,
    place: Option<Place>,
    /// Whether it can be settled at all.
    resolvable: bool,
    /// By whom and when it was.
    resolved: Option<(Author, Moment)>,
    may_settle: bool,
    reply: Option<CommentForm>,
}

/// Why there is no form for a comment.
enum NoForm {
    SignIn,
    Locked,
    NotAllowed,
}

/// All that is said, and the form to go on with.
#[derive(Template)]
#[template(path = "parts/activity.html")]
pub(super) struct Activity {
    address: String,
    threads: Vec<Thread>,
    form: Option<CommentForm>,
    no_form: NoForm,
    pages: Option<Pages>,
}

/// What is commented on, as far as comments on it need to know.
pub(super) struct About<'a> {
    pub head: &'a Head,
    /// The default branch, which links lead into.
    pub branch: &'a str,
    pub iid: i64,
    pub author: UserId,
    pub locked: bool,
}

fn address_of<S: Discussed>(full_path: &str, iid: i64) -> String {
    format!("/{full_path}/-/{}/{iid}", S::PART)
}

/// Returns the number of an issue or a merge request in an address.
pub(super) fn iid(path: &PathParts) -> Result<i64, PageError> {
    path_text(path, "iid").parse().map_err(|_| PageError::NotFound)
}

fn note_id(path: &PathParts) -> Result<NoteId, PageError> {
    path_text(path, "note_id").parse().map(NoteId).map_err(|_| PageError::NotFound)
}

fn discussion_id(path: &PathParts) -> Result<DiscussionId, PageError> {
    DiscussionId::from_key(path_text(path, "discussion_id")).ok_or(PageError::NotFound)
}

/// Returns the field for a comment; ids differ where there are several on a page.
fn text_area(id: String, label: &'static str, value: String, error: Option<String>) -> TextArea {
    let lines = if value.len() > 400 { 10 } else { 4 };
    TextArea { name: "body", id, label, value, lines, hint: "Markdown is rendered.", error, required: true }
}

impl CommentForm {
    fn new(state: &AppState, id: String, label: &'static str, internal: bool, came: Option<&Came>) -> Self {
        let nothing = Came::default();
        let open = came.is_some();
        let came = came.unwrap_or(&nothing);
        CommentForm {
            number: sessions::form_number(&state.forge),
            text: text_area(id, label, came.text.clone(), came.problem.clone()),
            internal: internal.then_some(came.internal),
            open,
        }
    }
}

/// Returns what is said about something.
pub(super) async fn activity<S: Discussed>(
    state: &AppState,
    access: &Authorized<S::Read>,
    around: &Around,
    about: &About<'_>,
    again: &Again,
) -> Result<Activity, PageError> {
    let number = around.page("page");
    let window = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let found = discussions::list::<S>(&state.forge, access, about.iid, window).await?;
    let address = address_of::<S>(&about.head.full_path, about.iid);
    let pages =
        Pages::of(number, PER_PAGE, found.total.unwrap_or(10_000), |to| format!("{address}?page={to}"));
    let own = access.viewer().identity().map(|identity| identity.user);
    let shut = about.locked && access.role().is_none();
    let comments = access.also::<S::Comment>().is_ok() && !shut;
    let settles = S::HAS_DIFFERENCE
        && !shut
        && access.also::<S::ChangeOwn>().is_ok()
        && (own == Some(about.author) || access.also::<S::Update>().is_ok());
    let rights = Rights {
        own,
        changes_own: access.also::<S::ChangeOwn>().is_ok(),
        administers: access.also::<S::Administer>().is_ok(),
    };
    let texts = found.items.iter().flat_map(|discussion| &discussion.notes).map(|note| note.body.clone());
    let mut texts = prose(about.head, about.branch, texts.collect()).await?.into_iter();
    let threads = found.items.into_iter().map(|discussion| {
        let mut thread = Thread::of(discussion, &rights, S::HAS_DIFFERENCE, settles, &mut texts);
        if comments && !thread.system {
            let id = format!("reply-{}", thread.notes.first().map_or(0, |note| note.id));
            thread.reply = Some(CommentForm::new(state, id, "Reply", false, again.of(Some(&thread.key))));
        }
        thread
    });
    let threads: Vec<_> = threads.collect();
    let internal = S::may_read_internal(access).is_ok();
    let form = || CommentForm::new(state, "body".to_owned(), "Add a comment", internal, again.of(None));
    Ok(Activity {
        address,
        form: comments.then(form),
        no_form: match (own, shut) {
            (None, _) => NoForm::SignIn,
            (_, true) => NoForm::Locked,
            _ => NoForm::NotAllowed,
        },
        threads,
        pages,
    })
}

/// Returns what was said about lines of what a merge request changes; of very many discussions the first.
pub(super) async fn remarks(
    state: &AppState,
    access: &Authorized<act::ReadMergeRequests>,
    head: &Head,
    branch: &str,
    iid: i64,
) -> Result<Vec<Remark>, PageError> {
    let window = Window { limit: PER_PAGE, offset: 0 };
    let found = discussions::list::<OnMergeRequest>(&state.forge, access, iid, window).await?;
    let address = address_of::<OnMergeRequest>(&head.full_path, iid);
    let placed: Vec<_> = found
        .items
        .into_iter()
        .filter_map(|discussion| {
            let known = discussion.notes.first()?.discussion.clone()?;
            let (file, line) = line_of(known.position.as_deref()?)?;
            Some((file, line, known.resolution.is_some(), discussion))
        })
        .collect();
    let texts = placed.iter().filter_map(|(.., discussion)| Some(discussion.notes.first()?.body.clone()));
    let texts = prose(head, branch, texts.collect()).await?;
    let remark =
        |((file, line, resolved, discussion), html): ((String, LineOf, bool, DiscussionDetails), _)| {
            let first = discussion.notes.first()?;
            Some(Remark {
                file,
                line,
                author: Author::of(&first.author),
                html,
                answers: discussion.notes.len() - 1,
                resolved,
                address: format!("{address}#note_{}", first.id),
            })
        };
    Ok(placed.into_iter().zip(texts).filter_map(remark).collect())
}

/// Reads the file and the line that a place is about; of a line that is there before and after, where it is after.
fn line_of(json: &str) -> Option<(String, LineOf)> {
    let place: Value = serde_json::from_str(json).ok()?;
    let number = |name: &str| place[name].as_u64().and_then(|line| u32::try_from(line).ok());
    let path = |name: &str| place[name].as_str().map(str::to_owned);
    match (number("new_line"), number("old_line")) {
        (Some(line), _) => Some((path("new_path")?, LineOf::After(line))),
        (None, Some(line)) => Some((path("old_path")?, LineOf::Before(line))),
        (None, None) => None,
    }
}

/// What the viewer may do with comments.
struct Rights {
    own: Option<UserId>,
    changes_own: bool,
    administers: bool,
}

impl Rights {
    fn may_change(&self, note: &Note) -> bool {
        !note.system && self.changes_own && (Some(note.author.id) == self.own || self.administers)
    }
}

impl Thread {
    fn of(
        discussion: DiscussionDetails,
        rights: &Rights,
        settled: bool,
        may_settle: bool,
        texts: &mut impl Iterator<Item = String>,
    ) -> Thread {
        let known = discussion.notes.first().and_then(|note| note.discussion.clone());
        let resolvable = settled && known.is_some();
        let resolution = known.as_ref().and_then(|known| known.resolution.as_ref());
        Thread {
            key: discussion.id.to_key(),
            system: discussion.notes.first().is_some_and(|note| note.system),
            place: known.as_ref().and_then(|known| Place::of(known.position.as_deref()?)),
            resolvable,
            resolved: resolution.map(|resolution| (Author::of(&resolution.by), Moment::at(resolution.at))),
            may_settle: resolvable && may_settle,
            reply: None,
            notes: discussion
                .notes
                .into_iter()
                .map(|note| NoteView {
                    id: note.id.0,
                    author: Author::of(&note.author),
                    html: texts.next().unwrap_or_default(),
                    when: Moment::at(note.created_at),
                    edited: note.updated_at > note.created_at && !note.system,
                    internal: note.internal,
                    may_change: rights.may_change(&note),
                })
                .collect(),
        }
    }
}

/// Returns what is wrong with a comment, beside its field, or passes on an error that is not about what was typed.
fn wrong_with(error: Error) -> Result<String, PageError> {
    match error {
        Error::Invalid(fields) => Ok(Problems::of(fields)
            .with("body", "The comment")
            .unwrap_or_else(|| "It can't be that.".to_owned())),
        Error::Forbidden(text) | Error::BadRequest(text) | Error::Unprocessable(text) => {
            Ok(format!("{text}."))
        }
        other => Err(other.into()),
    }
}

/// Sends back to a comment that was written.
async fn to_note<S: Discussed>(
    state: &AppState,
    access: &Authorized<S::Read>,
    iid: i64,
    note: &Note,
    answers: Option<DiscussionId>,
) -> PageResult {
    let window = Window { limit: 1, offset: 0 };
    let found = discussions::list::<S>(&state.forge, access, iid, window).await?;
    let last = found.total.map_or(1, |total| (total + PER_PAGE - 1) / PER_PAGE).max(1);
    let address = address_of::<S>(&access.place().full_path, iid);
    // An answer is where its discussion is.
    let page = if last > 1 && answers.is_none() { format!("?page={last}") } else { String::new() };
    Ok(see_other(&format!("{address}{page}#note_{}", note.id)))
}

async fn write<S: Discussed>(
    state: &AppState,
    access: &Authorized<S::Comment>,
    around: Around,
    iid: i64,
    answers: Option<DiscussionId>,
    form: &Form,
) -> PageResult {
    let reading = access.also::<S::Read>()?;
    let again = |status, problem| {
        let (text, internal) = (text_of(form, "body"), !form.text("internal").is_empty());
        let came = Came { answers, text, internal, problem: Some(problem) };
        Again { status: Some(status), said: None, comment: Some(came) }
    };
    if !sessions::comes_first(&state.forge, access.viewer(), form.text("form_number")).await? {
        let again = again(StatusCode::CONFLICT, SENT_BEFORE.to_owned());
        return S::page(state, &reading, around, iid, again).await;
    }
    let audience = match form.text("internal") {
        "" => NoteAudience::Everybody,
        _ => NoteAudience::Internal,
    };
    let request = NewNoteRequest { body: text_of(form, "body"), audience, created_at: None };
    let written = match answers {
        Some(id) => discussions::reply::<S>(&state.forge, access, iid, id, request).await,
        None => notes::create::<S>(&state.forge, access, iid, request).await,
    };
    match written {
        Ok(note) => to_note::<S>(state, &reading, iid, &note, answers).await,
        Err(error) => {
            let again = again(StatusCode::UNPROCESSABLE_ENTITY, wrong_with(error)?);
            S::page(state, &reading, around, iid, again).await
        }
    }
}

/// Writes a comment.
pub async fn comment<S: Discussed>(
    access: Authorized<S::Comment>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    write::<S>(&state, &access, around, iid(&path)?, None, &form).await
}

/// Answers in a discussion.
pub async fn reply<S: Discussed>(
    access: Authorized<S::Comment>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    write::<S>(&state, &access, around, iid(&path)?, Some(discussion_id(&path)?), &form).await
}

/// Returns a comment that the caller may change, or the answer that there is none.
async fn changeable<S: Discussed>(
    state: &AppState,
    access: &Authorized<S::ChangeOwn>,
    path: &PathParts,
) -> Result<Note, PageError> {
    let reading = access.also::<S::Read>()?;
    let note = notes::get::<S>(&state.forge, &reading, iid(path)?, note_id(path)?).await?;
    let rights = Rights {
        own: access.viewer().identity().map(|identity| identity.user),
        changes_own: true,
        administers: access.also::<S::Administer>().is_ok(),
    };
    if rights.may_change(&note) { Ok(note) } else { Err(PageError::NotFound) }
}

#[derive(Template)]
#[template(path = "note_form.html")]
struct NoteFormPage {
    around: Around,
    head: Head,
    text: TextArea,
    action: String,
    back: String,
}

async fn note_form<S: Discussed, A: Act<On = on::Project>>(
    state: &AppState,
    access: &Authorized<A>,
    around: Around,
    (iid, note): (i64, NoteId),
    (text, wrong, status): (String, Option<String>, StatusCode),
) -> PageResult {
    let (head, _) = Head::of(state, access, S::PART, &["Edit comment"]).await?;
    let back = address_of::<S>(&head.full_path, iid);
    let mut text = text_area("body".to_owned(), "Comment", text, wrong);
    text.lines = 10;
    let page = NoteFormPage {
        around: around.of(state, access.viewer()).await?,
        text,
        action: format!("{back}/notes/{note}/edit"),
        back: format!("{back}#note_{note}"),
        head,
    };
    Ok(html(status, &page))
}

/// Answers the form to change a comment.
pub async fn edit_note<S: Discussed>(
    access: Authorized<S::ChangeOwn>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let note = changeable::<S>(&state, &access, &path).await?;
    note_form::<S, _>(&state, &access, around, (iid(&path)?, note.id), (note.body, None, StatusCode::OK))
        .await
}

/// Changes a comment.
pub async fn update_note<S: Discussed>(
    access: Authorized<S::ChangeOwn>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let (iid, id) = (iid(&path)?, changeable::<S>(&state, &access, &path).await?.id);
    let text = text_of(&form, "body");
    match notes::update::<S>(&state.forge, &access, iid, id, &text).await {
        Ok(note) => {
            sessions::set_notice(&state.forge, access.viewer(), "The comment was changed.").await?;
            let address = address_of::<S>(&access.place().full_path, iid);
            Ok(see_other(&format!("{address}#note_{}", note.id)))
        }
        Err(error) => {
            let typed = (text, Some(wrong_with(error)?), StatusCode::UNPROCESSABLE_ENTITY);
            note_form::<S, _>(&state, &access, around, (iid, id), typed).await
        }
    }
}

/// Asks before a comment is deleted.
pub async fn confirm_delete<S: Discussed>(
    access: Authorized<S::ChangeOwn>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let note = changeable::<S>(&state, &access, &path).await?;
    let back = address_of::<S>(&access.place().full_path, iid(&path)?);
    let page = Confirm {
        around: around.of(&state, access.viewer()).await?,
        heading: format!("Delete the comment by {}?", note.author.name),
        text: DELETING.to_owned(),
        action: format!("{back}/notes/{}/delete", note.id),
        does: "Delete comment",
        is_bad: true,
        back: format!("{back}#note_{}", note.id),
        date: None,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Deletes a comment.
pub async fn delete_note<S: Discussed>(
    access: Authorized<S::ChangeOwn>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let iid = iid(&path)?;
    let said = match notes::delete::<S>(&state.forge, &access, iid, note_id(&path)?).await {
        Ok(()) => "The comment was deleted.",
        // In another window it was deleted already.
        Err(Error::NotFound("Note")) => "There is no such comment any more.",
        Err(error) => return Err(error.into()),
    };
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(&address_of::<S>(&access.place().full_path, iid)))
}

#[derive(Template)]
#[template(path = "line_form.html")]
struct LineFormPage {
    around: Around,
    head: Head,
    problem: Option<String>,
    number: String,
    /// What is talked about: the ends of the difference, and the path of the file before.
    hidden: Vec<(&'static str, String)>,
    file: TextField,
    line: TextField,
    side: SelectField,
    text: TextArea,
    action: String,
    back: String,
}

/// What is typed into the form for a comment on a line.
#[derive(Default)]
struct LineTyped {
    file: String,
    old_path: String,
    line: String,
    before: bool,
    text: String,
    ends: [String; 3],
}

/// The names under which the ends of a difference are sent.
const ENDS: [&str; 3] = ["base_sha", "start_sha", "head_sha"];

async fn line_form(
    state: &AppState,
    access: &Authorized<act::CreateMergeRequestNote>,
    around: Around,
    iid: i64,
    typed: LineTyped,
    (problem, problems, status): (Option<String>, Problems, StatusCode),
) -> PageResult {
    let behind = ["Merge requests", &format!("!{iid}"), "Comment on a line"];
    let (mut head, _) = Head::of(state, access, "merge_requests", &behind).await?;
    let address = address_of::<OnMergeRequest>(&head.full_path, iid);
    head.link_last_but_one(&address);
    let side = |value: &str, label: &str, chosen| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        chosen,
    };
    let [base, start, end] = typed.ends;
    let hidden = ENDS.into_iter().zip([base, start, end]).chain([("old_path", typed.old_path)]);
    let place = problems.with("position", "The place");
    let page = LineFormPage {
        around: around.of(state, access.viewer()).await?,
        problem,
        number: sessions::form_number(&state.forge),
        hidden: hidden.collect(),
        file: TextField::new("file", "File").with(typed.file).wrong(place),
        line: TextField::new("line", "Line")
            .of_kind("number")
            .with(typed.line)
            .wrong(problems.with("line", "The line")),
        side: SelectField {
            name: "side",
            label: "Counted",
            hint: "",
            error: None,
            choices: vec![
                side("after", "after the change", !typed.before),
                side("before", "before the change", typed.before),
            ],
        },
        text: text_area("body".to_owned(), "Comment", typed.text, problems.with("body", "The comment")),
        action: format!("{address}/discussions"),
        back: format!("{address}/diffs"),
        head,
    };
    Ok(html(status, &page))
}

/// Answers the form for a comment on a line of what a merge request changes.
pub async fn new_on_line(
    access: Authorized<act::CreateMergeRequestNote>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let (iid, reading) = (iid(&path)?, access.also::<act::ReadMergeRequests>()?);
    let alone = merge_requests::get(&state.forge, &reading, iid, DivergedCommits::Ignored).await?;
    let heads = alone.details.merge_request.heads;
    let typed = LineTyped {
        file: around.query("file").to_owned(),
        old_path: around.query("old_path").to_owned(),
        ends: [heads.base.unwrap_or_default(), heads.start, heads.head],
        ..LineTyped::default()
    };
    line_form(&state, &access, around, iid, typed, (None, Problems::default(), StatusCode::OK)).await
}

/// Begins a discussion about a line of what a merge request changes.
pub async fn create_on_line(
    access: Authorized<act::CreateMergeRequestNote>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let (iid, reading) = (iid(&path)?, access.also::<act::ReadMergeRequests>()?);
    let typed = LineTyped {
        file: form.text("file").trim().to_owned(),
        old_path: form.text("old_path").to_owned(),
        line: form.text("line").trim().to_owned(),
        before: form.text("side") == "before",
        text: text_of(&form, "body"),
        ends: ENDS.map(|name| form.text(name).to_owned()),
    };
    if !sessions::comes_first(&state.forge, access.viewer(), form.text("form_number")).await? {
        let said = (Some(SENT_BEFORE.to_owned()), Problems::default(), StatusCode::CONFLICT);
        return line_form(&state, &access, around, iid, typed, said).await;
    }
    let mut problems = Problems::default();
    let line = typed.line.parse::<i64>().ok().filter(|line| *line > 0);
    if line.is_none() {
        problems.add("line", "is not the number of a line");
    }
    let [base_sha, start_sha, head_sha] = typed.ends.clone();
    let old_path = Some(typed.old_path.clone()).filter(|path| !path.is_empty());
    let position = Position {
        base_sha,
        start_sha,
        head_sha,
        kind: "text".to_owned(),
        old_path: old_path.or_else(|| Some(typed.file.clone())),
        new_path: Some(typed.file.clone()),
        old_line: line.filter(|_| typed.before),
        new_line: line.filter(|_| !typed.before),
        line_range: None,
    };
    let mut said = None;
    if problems.is_empty() {
        let request = NewNoteRequest { body: typed.text.clone(), ..NewNoteRequest::default() };
        match discussions::create::<OnMergeRequest>(&state.forge, &access, iid, request, Some(position)).await
        {
            Ok(made) => match made.notes.first() {
                Some(note) => return to_note::<OnMergeRequest>(&state, &reading, iid, note, None).await,
                None => return Err(PageError::NotFound),
            },
            Err(Error::Invalid(fields)) => problems = Problems::of(fields),
            Err(error) => said = Some(wrong_with(error)?),
        }
    }
    let wrong = (said, problems, StatusCode::UNPROCESSABLE_ENTITY);
    line_form(&state, &access, around, iid, typed, wrong).await
}

/// Settles a discussion on a merge request, or opens it again.
pub async fn settle(
    access: Authorized<act::UpdateOwnMergeRequestNote>,
    State(state): State<AppState>,
    path: PathParts,
    form: Form,
) -> Result<Response, PageError> {
    let (iid, id) = (iid(&path)?, discussion_id(&path)?);
    let settled = if form.text("resolved") == "yes" { Settled::Yes } else { Settled::No };
    let discussion = discussions::settle(&state.forge, &access, iid, (id, None), settled).await?;
    let said = match settled {
        Settled::Yes => "The discussion is resolved.",
        Settled::No => "The discussion is open again.",
    };
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    let address = address_of::<OnMergeRequest>(&access.place().full_path, iid);
    let first = discussion.notes.first().map_or(String::new(), |note| format!("#note_{}", note.id));
    Ok(see_other(&format!("{address}{first}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_said_by_file_and_line() {
        let place = |json: &str| Place::of(json).map(|place| (place.file, place.line));
        let both = r#"{"new_path": "b", "old_path": "a", "new_line": 3, "old_line": 2}"#;
        assert_eq!(place(both), Some(("b".to_owned(), Some((3, "after the change")))));
        let gone = r#"{"new_path": null, "old_path": "a", "new_line": null, "old_line": 2}"#;
        assert_eq!(place(gone), Some(("a".to_owned(), Some((2, "before the change")))));
        assert_eq!(place(r#"{"new_path": "b"}"#), Some(("b".to_owned(), None)));
        assert_eq!(place("{}"), None);
        assert_eq!(place("no"), None);
    }
}
