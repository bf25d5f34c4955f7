//! A project's releases: what is new in each, what it brings, and the forms to make and change them.

use askama::Template;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use portcullis_app::access::Authorized;
use portcullis_app::archives::ArchiveFormat;
use portcullis_app::records::release_links::ReleaseLink;
use portcullis_app::records::releases::ReleaseFilter;
use portcullis_app::records::select::Window;
use portcullis_app::releases::{
    self, LINK_TYPES, NewLinkRequest, NewReleaseRequest, ReleaseChanges, ReleaseDetails,
};
use portcullis_app::{Error, sessions};
use portcullis_rules::access::act;
use portcullis_rules::id::ReleaseLinkId;
use portcullis_rules::token::{date_at, midnight, parse_date};

use super::author::Author;
use super::confirm::Confirm;
use super::fields::{Choice, Problems, SelectField, TextField, Wrong};
use super::form::Form;
use super::projects::Head;
use super::repository::{CommitLine, aside};
use super::tracked::Prose;
use super::words::{Moment, sentence};
use super::{Around, PageError, PageResult, Pages, html, see_other};
use crate::AppState;
use crate::api::archives;
use crate::api::{PathParts, path_text};
use crate::pagination::{encoded, encoded_path};

/// How many releases a page shows, each with its notes.
const PER_PAGE: i64 = 10;

/// The archives of the code that a release offers, by the ends of their names.
const SOURCES: [&str; 3] = ["zip", "tar.gz", "tar"];

/// What is asked before a release is deleted.
const DELETING: &str = "Its notes and links are gone. The tag and the commits stay.";

struct LinkView {
    id: i64,
    name: String,
    url: String,
    kind: &'static str,
}

impl LinkView {
    fn of(link: &ReleaseLink) -> LinkView {
        LinkView {
            id: link.id.0,
            name: link.name.clone(),
            url: link.url.clone(),
            kind: match link.link_type.as_str() {
                "runbook" => "Runbook",
                "image" => "Image",
                "package" => "Package",
                _ => "",
            },
        }
    }
}

struct ReleaseView {
    name: String,
    tag: String,
    /// The address of its own page.
    address: String,
    author: Author,
    released: Moment,
    upcoming: bool,
    /// Its notes, as clean HTML.
    notes: String,
    commit: Option<CommitLine>,
    milestones: Vec<String>,
    links: Vec<LinkView>,
    /// Names and addresses.
    sources: Vec<(&'static str, String)>,
}

fn address_of(full_path: &str) -> String {
    format!("/{full_path}/-/releases")
}

fn own_address(full_path: &str, tag: &str) -> String {
    format!("{}/{}", address_of(full_path), encoded(tag))
}

impl ReleaseView {
    async fn of(details: ReleaseDetails, project: &str, now: i64) -> Result<ReleaseView, PageError> {
        let release = details.release;
        let tag = encoded_path(&release.tag);
        let (prose, text) = (Prose::of(project, &release.tag), release.description.unwrap_or_default());
        let notes = aside(move || prose.render(&text)).await?;
        let path = project.rsplit('/').next().unwrap_or_default();
        // An archive is made of a tag that is there, which is known by its commit.
        let sources = SOURCES.iter().filter(|_| details.commit.is_some()).map(|format| {
            let file = encoded_path(&format!("{path}-{}.{format}", release.tag.replace('/', "-")));
            (*format, format!("/{project}/-/archive/{tag}/{file}"))
        });
        Ok(ReleaseView {
            address: own_address(project, &release.tag),
            author: Author::of(&release.author),
            released: Moment::at(release.released_at),
            upcoming: release.released_at > now,
            notes,
            sources: sources.collect(),
            commit: details.commit.as_ref().map(|commit| CommitLine::of(commit, project)),
            milestones: details.milestones.into_iter().map(|milestone| milestone.title).collect(),
            links: details.links.iter().map(LinkView::of).collect(),
            name: release.name.unwrap_or_else(|| release.tag.clone()),
            tag: release.tag,
        })
    }
}

#[derive(Template)]
#[template(path = "releases.html")]
struct ReleasesPage {
    around: Around,
    head: Head,
    address: String,
    /// The address of the API.
    api: String,
    may_change: bool,
    releases: Vec<ReleaseView>,
    pages: Option<Pages>,
}

/// Answers the releases of a project, the newest first.
pub async fn list(
    access: Authorized<act::ReadReleases>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let (head, details) = Head::of(&state, &access, "releases", &["Releases"]).await?;
    let number = around.page("page");
    let window = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let found = releases::list(&state.forge, &access, ReleaseFilter::default(), window).await?;
    let address = address_of(&head.full_path);
    let pages =
        Pages::of(number, PER_PAGE, found.total.unwrap_or(10_000), |page| format!("{address}?page={page}"));
    let mut views = Vec::new();
    for release in found.items {
        views.push(ReleaseView::of(release, &head.full_path, state.forge.now()).await?);
    }
    let page = ReleasesPage {
        api: format!("{}/api/v4/projects/{}", around.base.0, details.project.id),
        may_change: access.also::<act::AdministerReleases>().is_ok(),
        around: around.of(&state, access.viewer()).await?,
        head,
        address,
        releases: views,
        pages,
    };
    Ok(html(StatusCode::OK, &page))
}

/// The form for another link.
struct LinkForm {
    problem: Option<String>,
    name: TextField,
    url: TextField,
    path: TextField,
    kind: SelectField,
}

impl LinkForm {
    fn new(typed: Option<&Form>, problems: &Problems, problem: Option<String>) -> LinkForm {
        let text = |name: &str| typed.map_or("", |form| form.text(name)).to_owned();
        let chosen = text("link_type");
        let choices = LINK_TYPES.iter().map(|kind| Choice {
            value: (*kind).to_owned(),
            label: match *kind {
                "runbook" => "Runbook",
                "image" => "Image",
                "package" => "Package",
                _ => "Other",
            }
            .to_owned(),
            chosen: *kind == chosen,
        });
        LinkForm {
            problem,
            name: TextField::new("name", "Name").with(text("name")).wrong(problems.with("name", "The name")),
            url: TextField::new("url", "Address")
                .of_kind("url")
                .hint("Where it leads, such as https://example.com/app.tar.gz.")
                .with(text("url"))
                .wrong(problems.with("url", "The address")),
            path: TextField::new("filepath", "Path of downloads")
                .optional()
                .hint("With one, such as bin/app, programs find it below the address of the release.")
                .with(text("filepath"))
                .wrong(problems.with("filepath", "The path")),
            kind: SelectField {
                name: "link_type",
                label: "Kind",
                hint: "",
                error: problems.with("link_type", "The kind"),
                choices: choices.collect(),
            },
        }
    }

    fn is_wrong(&self) -> bool {
        self.problem.is_some()
            || [&self.name, &self.url, &self.path].iter().any(|field| field.error.is_some())
            || self.kind.error.is_some()
    }
}

#[derive(Template)]
#[template(path = "release.html")]
struct ReleasePage {
    around: Around,
    head: Head,
    release: ReleaseView,
    /// The form for another link, for who may add one.
    link_form: Option<LinkForm>,
}

fn tag(path: &PathParts) -> &str {
    path_text(path, "tag")
}

async fn page(
    state: &AppState,
    access: &Authorized<act::ReadReleases>,
    around: Around,
    tag: &str,
    link_form: Option<LinkForm>,
) -> Result<ReleasePage, PageError> {
    let details = releases::get(&state.forge, access, tag).await?;
    let name = details.release.name.clone().unwrap_or_else(|| details.release.tag.clone());
    let (mut head, _) = Head::of(state, access, "releases", &["Releases", &name]).await?;
    head.link_last_but_one(&address_of(&access.place().full_path));
    let release = ReleaseView::of(details, &head.full_path, state.forge.now()).await?;
    let may_change = access.also::<act::AdministerReleases>().is_ok();
    let link_form = link_form.unwrap_or_else(|| LinkForm::new(None, &Problems::default(), None));
    Ok(ReleasePage {
        link_form: may_change.then_some(link_form),
        around: around.of(state, access.viewer()).await?,
        head,
        release,
    })
}

/// Answers a release.
pub async fn show(
    access: Authorized<act::ReadReleases>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let page = page(&state, &access, around, tag(&path), None).await?;
    Ok(html(StatusCode::OK, &page))
}

#[derive(Template)]
#[template(path = "release_form.html")]
struct ReleaseFormPage {
    around: Around,
    head: Head,
    heading: String,
    action: String,
    back: String,
    does: &'static str,
    problem: Option<String>,
    /// The tag and what it is made of, of a new release.
    tag: Option<(TextField, TextField)>,
    name: TextField,
    released_at: TextField,
    notes: String,
    notes_problem: Option<String>,
}

/// What stands in the form.
#[derive(Default)]
struct Typed {
    tag: String,
    revision: String,
    name: String,
    released_at: String,
    notes: String,
}

impl Typed {
    fn of(form: &Form) -> Typed {
        let text = |name: &str| form.text(name).trim().to_owned();
        Typed {
            tag: text("tag_name"),
            revision: text("ref"),
            name: text("name"),
            released_at: text("released_at"),
            // Browsers send the ends of lines in two characters.
            notes: form.text("description").replace("\r\n", "\n"),
        }
    }

    /// Reads the date, which may be left out.
    fn released_at(&self, problems: &mut Problems) -> Option<i64> {
        let date = parse_date(&self.released_at);
        if date.is_none() && !self.released_at.is_empty() {
            problems.add("released_at", "is not a date such as 2030-01-31");
        }
        date.map(midnight)
    }
}

/// Returns what a use case refused, or passes on an error that is not about what was typed.
fn refused(error: Error) -> Result<Wrong, PageError> {
    match error {
        Error::Unprocessable(_) => {
            Ok(Wrong::with("ref", "is needed: there is no such tag yet, so say what to make it of"))
        }
        Error::Conflict(_) => Ok(Wrong::with("tag_name", "has a release already")),
        Error::Forbidden(text) => Ok(Wrong { problem: Some(sentence(text)), ..Wrong::default() }),
        other => Wrong::of(other),
    }
}

async fn form_page(
    state: &AppState,
    access: &Authorized<act::AdministerReleases>,
    around: Around,
    of: Option<&str>,
    typed: Typed,
    wrong: Wrong,
) -> Result<ReleaseFormPage, PageError> {
    let heading = of.map_or("New release".to_owned(), |tag| format!("Change release {tag}"));
    let (mut head, details) = Head::of(state, access, "releases", &["Releases", &heading]).await?;
    let list = address_of(&head.full_path);
    head.link_last_but_one(&list);
    let problems = &wrong.problems;
    let tag = of.is_none().then(|| {
        let tag = TextField::new("tag_name", "Tag")
            .hint("One that is there, or a new one such as v1.0.0.")
            .with(&*typed.tag)
            .wrong(problems.with("tag_name", "The tag"));
        let revision = TextField::new("ref", "Make the tag of")
            .optional()
            .hint("A branch, a tag or a commit; needed where the tag is not there yet.")
            .with(&*typed.revision)
            .wrong(problems.with("ref", "It"));
        (tag, revision)
    });
    let own = of.map(|tag| own_address(&details.project.full_path, tag));
    Ok(ReleaseFormPage {
        action: own.as_ref().map_or(list.clone(), |own| format!("{own}/edit")),
        back: own.unwrap_or(list),
        does: if of.is_some() { "Save changes" } else { "Create release" },
        problem: wrong.problem,
        tag,
        name: TextField::new("name", "Title")
            .optional()
            .hint("Without one it is called like its tag.")
            .with(&*typed.name)
            .wrong(problems.with("name", "The title")),
        released_at: TextField::new("released_at", "Release date")
            .of_kind("date")
            .optional()
            .hint(if of.is_some() {
                "From 00:00 UTC of this date."
            } else {
                "From 00:00 UTC of this date. Without one it is released now."
            })
            .with(&*typed.released_at)
            .wrong(problems.with("released_at", "The date")),
        notes: typed.notes,
        notes_problem: problems.with("description", "The text"),
        around: around.of(state, access.viewer()).await?,
        head,
        heading,
    })
}

/// Answers the form for a new release.
pub async fn new(
    access: Authorized<act::AdministerReleases>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let typed = Typed { tag: around.query("tag_name").to_owned(), ..Typed::default() };
    let page = form_page(&state, &access, around, None, typed, Wrong::default()).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Makes a release.
pub async fn create(
    access: Authorized<act::AdministerReleases>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let typed = Typed::of(&form);
    let mut wrong = Wrong::default();
    let released_at = typed.released_at(&mut wrong.problems);
    if typed.tag.is_empty() {
        wrong.problems.add("tag_name", "can't be blank");
    }
    let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    if wrong.problems.is_empty() {
        let request = NewReleaseRequest {
            tag: typed.tag.clone(),
            name: filled(&typed.name),
            description: filled(&typed.notes),
            revision: filled(&typed.revision),
            released_at,
            ..NewReleaseRequest::default()
        };
        match releases::create(&state.forge, &access, request).await {
            Ok(made) => {
                let said = format!("Release {} was created.", made.release.tag);
                sessions::set_notice(&state.forge, access.viewer(), &said).await?;
                return Ok(see_other(&own_address(&access.place().full_path, &made.release.tag)));
            }
            Err(error) => wrong = refused(error)?,
        }
    }
    let page = form_page(&state, &access, around, None, typed, wrong).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Answers the form to change a release.
pub async fn edit(
    access: Authorized<act::AdministerReleases>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let release = releases::get(&state.forge, &access.also()?, tag(&path)).await?.release;
    let typed = Typed {
        name: release.name.unwrap_or_default(),
        released_at: date_at(release.released_at).to_string(),
        notes: release.description.unwrap_or_default(),
        ..Typed::default()
    };
    let page = form_page(&state, &access, around, Some(&release.tag), typed, Wrong::default()).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Changes a release.
pub async fn update(
    access: Authorized<act::AdministerReleases>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let release = releases::get(&state.forge, &access.also()?, tag(&path)).await?.release;
    let typed = Typed::of(&form);
    let mut wrong = Wrong::default();
    // A date that was not touched leaves the time of the day as it is.
    let released_at = typed
        .released_at(&mut wrong.problems)
        .filter(|_| typed.released_at != date_at(release.released_at).to_string());
    if wrong.problems.is_empty() {
        let changes = ReleaseChanges {
            name: Some(typed.name.clone()),
            description: Some(typed.notes.clone()),
            released_at,
            milestones: None,
        };
        match releases::update(&state.forge, &access, &release.tag, changes).await {
            Ok(_) => {
                sessions::set_notice(&state.forge, access.viewer(), "The release was changed.").await?;
                return Ok(see_other(&own_address(&access.place().full_path, &release.tag)));
            }
            Err(error) => wrong = refused(error)?,
        }
    }
    let page = form_page(&state, &access, around, Some(&release.tag), typed, wrong).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Asks before a release is deleted.
pub async fn confirm_deletion(
    access: Authorized<act::AdministerReleases>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let release = releases::get(&state.forge, &access.also()?, tag(&path)).await?.release;
    let back = own_address(&access.place().full_path, &release.tag);
    let page = Confirm {
        around: around.of(&state, access.viewer()).await?,
        heading: format!("Delete release {}?", release.tag),
        text: DELETING.to_owned(),
        action: format!("{back}/delete"),
        does: "Delete release",
        is_bad: true,
        back,
        date: None,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Deletes a release.
pub async fn delete(
    access: Authorized<act::AdministerReleases>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let tag = tag(&path);
    let said = match releases::delete(&state.forge, &access, tag).await {
        Ok(_) => format!("Release {tag} was deleted. The tag is still there."),
        // In another window it was deleted already.
        Err(Error::NotFound("Release")) => format!("There is no release {tag} any more."),
        Err(error) => return Err(error.into()),
    };
    sessions::set_notice(&state.forge, access.viewer(), &said).await?;
    Ok(see_other(&address_of(&access.place().full_path)))
}

/// Adds a link to a release.
pub async fn add_link(
    access: Authorized<act::AdministerReleases>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let tag = tag(&path);
    let filled = |name: &str| Some(form.text(name).trim().to_owned()).filter(|text| !text.is_empty());
    let request = NewLinkRequest {
        name: form.text("name").trim().to_owned(),
        url: form.text("url").trim().to_owned(),
        direct_asset_path: filled("filepath"),
        link_type: filled("link_type"),
    };
    let wrong = match releases::create_link(&state.forge, &access, tag, request).await {
        Ok(link) => {
            let said = format!("The link {} was added.", link.name);
            sessions::set_notice(&state.forge, access.viewer(), &said).await?;
            return Ok(see_other(&own_address(&access.place().full_path, tag)));
        }
        Err(Error::Invalid(fields)) if fields.iter().any(|(field, _)| *field == "links") => {
            let mut problems = Problems::of(fields);
            let problem =
                problems.with("links", "The links").map(|text| text.trim_end_matches('.').to_owned());
            problems = Problems::default();
            Wrong { problem, problems }
        }
        Err(error) => refused(error)?,
    };
    let link_form = LinkForm::new(Some(&form), &wrong.problems, wrong.problem);
    let page = page(&state, &access.also()?, around, tag, Some(link_form)).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Takes a link away from a release.
pub async fn delete_link(
    access: Authorized<act::AdministerReleases>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let tag = tag(&path);
    let id = path_text(&path, "link_id").parse().map(ReleaseLinkId).map_err(|_| PageError::NotFound)?;
    let said = match releases::delete_link(&state.forge, &access, tag, id).await {
        Ok(link) => format!("The link {} was taken away.", link.name),
        Err(Error::NotFound("Release Link")) => "There is no such link any more.".to_owned(),
        Err(error) => return Err(error.into()),
    };
    sessions::set_notice(&state.forge, access.viewer(), &said).await?;
    Ok(see_other(&own_address(&access.place().full_path, tag)))
}

/// Sends the files of a branch, a tag or a commit in one: `v1.0/app-v1.0.zip`. What stands behind the last slash says the
/// format, and is what the file is called by whoever made the link.
pub async fn archive(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    path: PathParts,
    method: Method,
) -> Result<Response, PageError> {
    let (revision, file) = path_text(&path, "rest").rsplit_once('/').ok_or(PageError::NotFound)?;
    let format = SOURCES.iter().find(|format| file.ends_with(&format!(".{format}")));
    let format = format.and_then(|format| ArchiveFormat::from_extension(format));
    let format = format.ok_or(PageError::NotFound)?;
    Ok(archives::send(&state, &access, Some(revision), None, format, &method).await?)
}
