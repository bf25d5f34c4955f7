//! Health, readiness and metrics, for whoever watches over the forge.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use portcullis_app::access::{Authorized, Reading, authorize_within};
use portcullis_rules::access::{Action, act};
use serde_json::json;

use crate::AppState;
use crate::client::Client;
use crate::door::Door;
use crate::error::{ApiError, Refusal};
use crate::guard::{self, Access, Guard, Liveness};

/// Answers that the process lives.
pub async fn health(_: Liveness) -> Response {
    (StatusCode::OK, "Portcullis OK\n").into_response()
}

/// Answers whether requests can be served: whether the database answers.
pub async fn readiness(_: Liveness, State(state): State<AppState>) -> Response {
    match state.forge.ping().await {
        Ok(()) => Json(json!({ "status": "ok" })).into_response(),
        Err(error) => {
            tracing::error!(%error, "the database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "failed" }))).into_response()
        }
    }
}

/// Whoever may read the metrics: an address that the operator listed, or an administrator's token.
#[derive(Debug)]
pub struct MetricsReader;

impl Guard for MetricsReader {
    const ACCESS: Access = Access::Action(Action::ReadMetrics);
}

impl FromRequestParts<AppState> for MetricsReader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let client = Client::from_parts(parts);
        let listed = client.address.is_some_and(|address| {
            state.forge.settings().metrics_allow.iter().any(|net| net.contains(&address))
        });
        // Behind a proxy that is not configured everybody seems to come from the proxy's address.
        if listed && !client.unvouched_forwarding {
            return Ok(MetricsReader);
        }
        let mut reading = Reading::default();
        let viewer = guard::viewer(parts, state, &mut reading, Door::Operations).await?;
        let access: Result<Authorized<act::ReadMetrics>, _> =
            authorize_within(&state.forge, &mut reading, viewer, ())
                .await
                .map_err(|error| Refusal::error(Door::Operations, error))?;
        match access {
            Ok(_) => Ok(MetricsReader),
            Err(refused) => Err(Refusal::Api(ApiError::refused(&refused))),
        }
    }
}

/// Answers the metrics in the text format of OpenMetrics 1.0.
pub async fn metrics(_: MetricsReader, State(state): State<AppState>) -> Result<Response, ApiError> {
    let text = state.forge.render_metrics().await?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}
