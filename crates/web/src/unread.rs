//! What becomes of a request's body that nobody read to its end.
//!
//! A refusal is often answered before the body has arrived. If the connection were closed at once, the client's writes
//! would fail and it would never see the answer. So the rest is read and thrown away, up to a bound; beyond it the
//! connection is closed after all. With `Expect: 100-continue` (RFC 9110, section 10.1.1) the client is still waiting
//! to be asked for the body, and is not.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;

/// How much is thrown away.
const MAX_BYTES: usize = 8 << 20;

/// How long that may take.
const MAX_TIME: Duration = Duration::from_secs(10);

/// A body whose rest is read when it is dropped.
pub(crate) struct DrainedOnDrop(Option<Body>);

impl DrainedOnDrop {
    pub(crate) fn wrap(body: Body) -> Body {
        if body.is_end_stream() { body } else { Body::new(DrainedOnDrop(Some(body))) }
    }
}

impl HttpBody for DrainedOnDrop {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = self.0.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            // Over, one way or the other: nothing is left to drain.
            self.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for DrainedOnDrop {
    fn drop(&mut self) {
        if let Some(body) = self.0.take().filter(|body| !body.is_end_stream())
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(MAX_TIME, drain(body)));
        }
    }
}

async fn drain(mut body: Body) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > MAX_BYTES {
            return;
        }
    }
}
