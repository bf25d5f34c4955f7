//! The Batch API: what there is of some large files, and where to get or put them.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use portcullis_app::lfs::objects::{self, MAX_OBJECTS, Standing, Wanted};
use portcullis_rules::access::act;
use portcullis_rules::lfs::Oid;
use serde::Deserialize;
use serde_json::{Value, json};

use super::guard::OnLargeFiles;
use super::{LfsResult, message, read};
use crate::AppState;
use crate::client::BaseUrl;
use crate::error::LfsError;

/// The one way of transfer.
const BASIC: &str = "basic";

/// The one way of naming content.
const SHA256: &str = "sha256";

/// What GitLab says of an object that a project does not have.
const NO_OBJECT: &str = "Object does not exist on the server or you don't have permissions to access it";

#[derive(Deserialize)]
struct BatchRequest {
    operation: String,
    transfers: Option<Vec<String>>,
    hash_algo: Option<String>,
    objects: Vec<ObjectRequest>,
}

/// What is asked about, as it was written: what is wrong with one does not keep the others.
#[derive(Deserialize)]
struct ObjectRequest {
    #[serde(default)]
    oid: Value,
    #[serde(default)]
    size: Value,
}

impl ObjectRequest {
    fn wanted(&self) -> Option<Wanted> {
        let oid = Oid::parse(self.oid.as_str()?)?;
        let size = self.size.as_u64().filter(|size| i64::try_from(*size).is_ok())?;
        Some(Wanted { oid, size })
    }

    fn refused(&self, code: u16, text: &str) -> Value {
        // What cannot be is not repeated.
        let oid = self.oid.as_str().filter(|oid| oid.len() <= 64).unwrap_or_default();
        failed(oid, self.size.as_u64().unwrap_or(0), code, text)
    }
}

fn failed(oid: &str, size: u64, code: u16, text: &str) -> Value {
    json!({ "oid": oid, "size": size, "error": { "code": code, "message": text } })
}

/// Answers which large files there are, and where to get or put them.
pub async fn batch(
    on: OnLargeFiles<act::DownloadCode>,
    State(state): State<AppState>,
    request: Request,
) -> LfsResult {
    let (parts, body) = request.into_parts();
    let asked: BatchRequest = read(&parts, body).await?;
    let unprocessable = |text: &str| LfsError::new(StatusCode::UNPROCESSABLE_ENTITY, text);
    let uploads = match asked.operation.as_str() {
        "download" => false,
        "upload" => true,
        _ => return Err(unprocessable("The operation must be download or upload.")),
    };
    if asked
        .transfers
        .as_ref()
        .is_some_and(|known| !known.is_empty() && !known.iter().any(|way| way == BASIC))
    {
        return Err(unprocessable("The only transfer here is basic."));
    }
    if asked.objects.is_empty() {
        return Err(LfsError::not_found());
    }
    if asked.objects.len() > MAX_OBJECTS {
        let text = format!("One request may name {MAX_OBJECTS} objects at most.");
        return Err(LfsError::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    // Whoever may not upload is told so before anything is said of an object.
    let writable = match uploads {
        true => Some(on.files.also::<act::PushCode>().map_err(|error| on.error(error))?),
        false => None,
    };
    if asked.hash_algo.as_deref().is_some_and(|name| name != SHA256) {
        let text = "The only hash algorithm here is sha256.";
        let objects: Vec<Value> = asked.objects.iter().map(|object| object.refused(409, text)).collect();
        return message(StatusCode::OK, &answer(objects));
    }
    let wanted: Vec<Option<Wanted>> = asked.objects.iter().map(ObjectRequest::wanted).collect();
    let known: Vec<Wanted> = wanted.iter().flatten().cloned().collect();
    if known.is_empty() {
        return Err(unprocessable("No object has a valid oid and size."));
    }
    let standings = match &writable {
        Some(files) => objects::to_upload(&state.forge, files, &known).await,
        None => objects::to_download(&state.forge, &on.files, &known).await,
    };
    let standings = standings.map_err(|error| on.error(error))?;
    let base = BaseUrl::of_pages(&parts, state.forge.settings());
    let place = Place {
        repository: format!("{}/{}.git", base.0, on.files.access().place().full_path),
        anonymous: on.files.access().viewer().identity().is_none(),
    };
    let mut standings = known.iter().zip(standings);
    let objects = asked.objects.iter().zip(&wanted).map(|(object, wanted)| {
        // Each object that could be read has a standing, in this order.
        match wanted.as_ref().and_then(|_| standings.next()) {
            Some((wanted, standing)) if uploads => place.to_upload(wanted, standing),
            Some((wanted, standing)) => place.to_download(wanted, standing),
            None => object.refused(422, "The oid or the size is not valid."),
        }
    });
    message(StatusCode::OK, &answer(objects.collect()))
}

fn answer(objects: Vec<Value>) -> Value {
    json!({ "transfer": BASIC, "hash_algo": SHA256, "objects": objects })
}

/// Where the large files of a repository are.
struct Place {
    /// The address of the repository.
    repository: String,
    /// Whether they can be got without a credential.
    anonymous: bool,
}

impl Place {
    fn to_download(&self, wanted: &Wanted, standing: Standing) -> Value {
        let Wanted { oid, size } = wanted;
        let (code, text) = match standing {
            Standing::Present => {
                let href = format!("{}/gitlab-lfs/objects/{oid}", self.repository);
                let mut found = json!({
                    "oid": oid.as_str(), "size": size, "actions": { "download": { "href": href } },
                });
                // A client that had a credential sends it there too.
                if self.anonymous {
                    found["authenticated"] = json!(true);
                }
                return found;
            }
            Standing::OfAnotherSize => (422, "The object has another size."),
            Standing::Absent | Standing::TooLarge(_) => (404, NO_OBJECT),
        };
        failed(oid.as_str(), *size, code, text)
    }

    fn to_upload(&self, wanted: &Wanted, standing: Standing) -> Value {
        let Wanted { oid, size } = wanted;
        match standing {
            Standing::Present => json!({ "oid": oid.as_str(), "size": size }),
            Standing::OfAnotherSize => failed(oid.as_str(), *size, 422, "The object has another size."),
            Standing::TooLarge(largest) => {
                let text = format!("The object is larger than {largest} bytes.");
                failed(oid.as_str(), *size, 413, &text)
            }
            Standing::Absent => json!({
                "oid": oid.as_str(),
                "size": size,
                "actions": {
                    "upload": {
                        "href": format!("{}/gitlab-lfs/objects/{oid}/{size}", self.repository),
                        "header": { "Content-Type": "application/octet-stream" },
                    },
                    "verify": { "href": format!("{}/info/lfs/verify", self.repository) },
                },
            }),
        }
    }
}
