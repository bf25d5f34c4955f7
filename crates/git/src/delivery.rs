//! The answer to a push, on its way from git to the client.
//!
//! It is read by a task of its own, because the judge of an accepted push hears what became of it even when the client
//! has gone.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use crate::Error;
use crate::answers::Piece;
use crate::exchange::{Exchange, GitOutput, Held, Shared};
use crate::push::Conversation;
use crate::report::Report;

/// How many pieces of an answer wait for the client. A usual answer is one or two, so that the judge need not wait until
/// the client has read.
const WAITING_PIECES: usize = 16;

/// A push that is being answered.
pub(crate) struct Delivery<M> {
    pub(crate) conversation: Conversation,
    pub(crate) shared: Arc<Shared>,
    /// Called when refs have moved, or may have, before anybody else hears of it.
    pub(crate) moved: M,
}

/// Begins to answer a push. `answer` is git's, and `hook` the socket to the hook that git may start. Returns when git
/// has begun to answer; if that is not awaited, the caller has let go.
pub(crate) async fn begin<M: Fn() + Send + Sync + 'static>(
    delivery: Delivery<M>,
    answer: impl Future<Output = Result<Exchange, Error>> + Send + 'static,
    hook: UnixStream,
) -> Result<Exchange, Error> {
    let held = Held(Arc::clone(&delivery.shared));
    let (tell, begun) = oneshot::channel();
    tokio::spawn(async move {
        let accept = || delivery.shared.accept();
        tokio::join!(delivery.conversation.hold(hook, accept), delivery.over(answer, tell));
    });
    let exchange = begun.await.map_err(|_| Error::internal("the answer to a push was lost"))??;
    Ok(Exchange { body: exchange.body.holding(held) })
}

impl<M: Fn() + Send + Sync> Delivery<M> {
    /// Carries the answer until git has ended.
    async fn over(
        &self,
        answer: impl Future<Output = Result<Exchange, Error>> + Send,
        tell: oneshot::Sender<Result<Exchange, Error>>,
    ) {
        let reported = self.carry(answer, tell).await;
        if !reported && self.conversation.accepted.get().is_some() {
            // Git was ended before it could tell.
            self.shared.ended().await;
            (self.moved)();
        }
    }

    /// Carries the answer, and tells the judge as soon as git has reported. Says whether it has.
    async fn carry(
        &self,
        answer: impl Future<Output = Result<Exchange, Error>> + Send,
        tell: oneshot::Sender<Result<Exchange, Error>>,
    ) -> bool {
        let mut body = match answer.await {
            Ok(exchange) => exchange.body,
            Err(error) => {
                // Nobody may be waiting any more, here and below, which changes nothing.
                let _ = tell.send(Err(error));
                return false;
            }
        };
        let (pieces, client) = mpsc::channel(WAITING_PIECES);
        let _ = tell.send(Ok(Exchange { body: GitOutput::from_pieces(client) }));
        let mut report = Report::default();
        let mut text = None;
        while let Some(chunk) = body.next().await {
            let Ok(chunk) = chunk else { return text.is_some() };
            let shown = report.read(chunk);
            if report.is_whole() && text.is_none() {
                if self.conversation.accepted.get().is_some() {
                    // Whoever has seen the end of the push is answered from what it has brought.
                    (self.moved)();
                }
                text = Some(self.conversation.tell(&report).await);
            }
            if !shown.is_empty() {
                let _ = pieces.send(Piece::Bytes(shown)).await;
            }
        }
        let end = report.end(text.as_deref().unwrap_or_default());
        if !end.is_empty() {
            let _ = pieces.send(Piece::Bytes(end)).await;
        }
        let _ = pieces.send(Piece::End).await;
        text.is_some()
    }
}
