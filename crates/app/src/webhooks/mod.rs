//! Web hooks: addresses that Maintainers have called when something happens in their project.
//!
//! The call is a row, written in the transaction that makes the thing happen; `calls` makes it afterwards. What is told
//! in a call is in `occasions`.

pub(crate) mod calls;
pub(crate) mod occasions;

use portcullis_rules::access::act;
use portcullis_rules::id::WebhookId;
use portcullis_store::db::Tx;
use portcullis_store::select::{Listing, Window};
use portcullis_store::webhooks::{self, Contents, Webhook};
use reqwest::Url;
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::error::FieldErrors;
use crate::forge::Forge;

/// What is not there.
const NOT_FOUND: Error = Error::NotFound("Hook");

/// How many hooks a project may have.
const MAX_HOOKS: i64 = 100;

/// The longest address, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// The longest name, token and pattern, in characters.
const MAX_CHARACTERS: usize = 255;

/// The longest description, in characters.
const MAX_DESCRIPTION_CHARACTERS: usize = 2048;

/// What tokens of hooks are encrypted for.
const PURPOSE: &str = "web hook token";

/// The events that a hook can be made for, in GitLab's words, and whether one is told of them unless asked otherwise. It is
/// called for those that exist here; the others are kept, so that a client finds what it has set.
pub const EVENTS: [(&str, bool); 20] = [
    ("push_events", true),
    ("tag_push_events", false),
    ("issues_events", false),
    ("confidential_issues_events", false),
    ("note_events", false),
    ("confidential_note_events", false),
    ("merge_requests_events", false),
    ("repository_update_events", false),
    ("pipeline_events", false),
    ("wiki_page_events", false),
    ("deployment_events", false),
    ("feature_flag_events", false),
    ("job_events", false),
    ("releases_events", false),
    ("milestone_events", false),
    ("emoji_events", false),
    ("resource_access_token_events", false),
    ("resource_deploy_token_events", false),
    ("vulnerability_events", false),
    ("member_events", false),
];

/// What is to be recorded of a hook; what is absent stays, or is as usual. Texts that are empty count as none.
#[derive(Clone, Default)]
pub struct WebhookChanges {
    /// The address that is called.
    pub url: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The secret that goes with each call.
    pub token: Option<String>,
    /// Which events it is called for, and which not.
    pub events: Vec<(&'static str, bool)>,
    /// Of which branches pushes are told.
    pub branch_filter: Option<String>,
    /// Whether the certificate of the other side is looked at.
    pub verifies: Option<bool>,
}

/// Shows no secret: the address and the token may be some.
impl std::fmt::Debug for WebhookChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookChanges").field("events", &self.events).finish_non_exhaustive()
    }
}

/// Returns the address of a hook, if it can be called at all. Which addresses its host has is looked at when it is called.
fn checked_url(forge: &Forge, fields: &mut FieldErrors, text: &str) -> Option<String> {
    let url = Url::parse(text.trim()).ok().filter(|_| text.len() <= MAX_URL_BYTES);
    let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) else {
        fields.add("url", "must be a valid URL with http or https");
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        fields.add("url", "can't contain a user name or a password");
        return None;
    }
    if !forge.settings().webhooks_may_call_local_network && !calls::may_be_public(&url) {
        fields.add("url", "is blocked: requests to the local network are not allowed");
        return None;
    }
    Some(url.to_string())
}

/// Adds what is to change to what there is.
fn changed(forge: &Forge, before: Option<&Webhook>, changes: &WebhookChanges) -> Result<Webhook, Error> {
    let mut fields = FieldErrors::default();
    let mut hook = before.cloned().unwrap_or_else(|| Webhook {
        id: WebhookId(0),
        project: portcullis_rules::id::ProjectId(0),
        uuid: String::new(),
        url: String::new(),
        name: None,
        description: None,
        sealed_token: None,
        events: Vec::new(),
        branch_filter: None,
        verifies: true,
        failures: 0,
        disabled_until: None,
        disabled_at: None,
        created_at: 0,
    });
    if let Some(url) = changes.url.as_deref().or(before.is_none().then_some(""))
        && let Some(url) = checked_url(forge, &mut fields, url)
    {
        if hook.url != url {
            // The secret was meant for the other address.
            hook.sealed_token = None;
        }
        hook.url = url;
    }
    let mut text = |field, text: &Option<String>, most: usize, now: &mut Option<String>| {
        let Some(text) = text else { return };
        if text.chars().count() > most {
            fields.add(field, format!("is too long (maximum is {most} characters)"));
        }
        if text.chars().any(|character| character.is_control() && character != '\n') {
            fields.add(field, "can't contain control characters");
        }
        *now = Some(text.clone()).filter(|text| !text.is_empty());
    };
    text("name", &changes.name, MAX_CHARACTERS, &mut hook.name);
    text("description", &changes.description, MAX_DESCRIPTION_CHARACTERS, &mut hook.description);
    text("push_events_branch_filter", &changes.branch_filter, MAX_CHARACTERS, &mut hook.branch_filter);
    if let Some(token) = &changes.token {
        // It is sent in a header.
        if token.len() > MAX_CHARACTERS || !token.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        {
            fields.add("token", "must be at most 255 printable ASCII characters");
        }
        hook.sealed_token = match token.is_empty() {
            true => None,
            false => Some(forge.sealing().seal(forge.random(), PURPOSE, token)?),
        };
    }
    let is_on = |name: &str, usual: bool| {
        let asked = changes.events.iter().find(|(asked, _)| *asked == name).map(|(_, on)| *on);
        let kept = before.map(|before| before.events.iter().any(|event| event == name));
        asked.or(kept).unwrap_or(usual)
    };
    hook.events = EVENTS
        .iter()
        .filter(|(name, usual)| is_on(name, *usual))
        .map(|(name, _)| (*name).to_owned())
        .collect();
    hook.verifies = changes.verifies.unwrap_or(hook.verifies);
    fields.finish()?;
    Ok(hook)
}

fn contents(hook: &Webhook) -> Contents<'_> {
    Contents {
        url: &hook.url,
        name: hook.name.as_deref(),
        description: hook.description.as_deref(),
        sealed_token: hook.sealed_token.as_deref(),
        events: &hook.events,
        branch_filter: hook.branch_filter.as_deref(),
        verifies: hook.verifies,
    }
}

/// Writes down who changed what. Of the address only the host: the rest of it may be a secret.
async fn record(
    tx: &mut Tx,
    access: &Authorized<act::AdministerWebhooks>,
    event: &str,
    hook: &Webhook,
    id: WebhookId,
    now: i64,
) -> Result<(), Error> {
    let host = Url::parse(&hook.url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let entry = Entry::project(access.project(), &access.place().full_path, event);
    let details = json!({ "host": host, "events": hook.events, "enable_ssl_verification": hook.verifies });
    audit::record(tx, access.viewer(), entry.target("Webhook", id.0).details(details), now).await
}

/// Returns the hooks of a project.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadWebhooks>,
    window: Window,
) -> Result<Listing<Webhook>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(webhooks::list(&mut tx, access.project(), window).await?)
}

/// Returns a hook.
///
/// # Errors
/// [`Error::NotFound`] when the project has none with this id.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadWebhooks>,
    id: WebhookId,
) -> Result<Webhook, Error> {
    let mut tx = forge.db().read().await?;
    webhooks::find(&mut tx, access.project(), id).await?.ok_or(NOT_FOUND)
}

/// Makes a hook.
///
/// # Errors
/// [`Error::Invalid`] for a field; [`Error::Unprocessable`] when the project has too many.
pub async fn create(
    forge: &Forge,
    access: &Authorized<act::AdministerWebhooks>,
    changes: WebhookChanges,
) -> Result<Webhook, Error> {
    let hook = changed(forge, None, &changes)?;
    let now = forge.now();
    let uuid = calls::uuid(forge);
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    portcullis_store::projects::lock(&mut tx, access.project()).await?;
    if webhooks::count(&mut tx, access.project()).await? >= MAX_HOOKS {
        return Err(Error::Unprocessable(format!("Maximum number of project hooks ({MAX_HOOKS}) exceeded")));
    }
    let id = webhooks::insert(&mut tx, access.project(), &uuid, &contents(&hook), now).await?;
    record(&mut tx, &access, "webhook_created", &hook, id, now).await?;
    let hook = webhooks::find(&mut tx, access.project(), id).await?.ok_or(NOT_FOUND)?;
    tx.commit().await?;
    Ok(hook)
}

/// Changes a hook, which is called again if it was not any more. With another address it loses its token, unless a new one
/// comes with it.
///
/// # Errors
/// [`Error::NotFound`] when the project has none with this id; [`Error::Invalid`] for a field.
pub async fn update(
    forge: &Forge,
    access: &Authorized<act::AdministerWebhooks>,
    id: WebhookId,
    changes: WebhookChanges,
) -> Result<Webhook, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let before = webhooks::find(&mut tx, access.project(), id).await?.ok_or(NOT_FOUND)?;
    let hook = changed(forge, Some(&before), &changes)?;
    webhooks::update(&mut tx, id, &contents(&hook), now).await?;
    record(&mut tx, &access, "webhook_updated", &hook, id, now).await?;
    let hook = webhooks::find(&mut tx, access.project(), id).await?.ok_or(NOT_FOUND)?;
    tx.commit().await?;
    Ok(hook)
}

/// Deletes a hook, with the calls that wait.
///
/// # Errors
/// [`Error::NotFound`] when the project has none with this id.
pub async fn delete(
    forge: &Forge,
    access: &Authorized<act::AdministerWebhooks>,
    id: WebhookId,
) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let hook = webhooks::find(&mut tx, access.project(), id).await?.ok_or(NOT_FOUND)?;
    webhooks::delete(&mut tx, access.project(), id).await?;
    record(&mut tx, &access, "webhook_deleted", &hook, id, now).await?;
    tx.commit().await?;
    Ok(())
}
