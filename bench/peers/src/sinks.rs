//! What is a stream and a sink of messages: everything that is ready is taken, then flushed once.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::hub::Hub;

/// Messages between two flushes at most, however many are ready.
pub(crate) const MAX_BATCH: usize = 256;

/// A message as a crate has it.
pub(crate) trait Message: Sized {
    /// Text or binary; not what belongs to the protocol.
    fn is_data(&self) -> bool;
    fn binary(payload: Bytes) -> Self;
    fn into_payload(self) -> Bytes;
}

/// The next message if it is there already; `None` inside if the peer is gone.
pub(crate) async fn next_ready<S: Stream + Unpin>(socket: &mut S) -> Option<Option<S::Item>> {
    poll_fn(|cx| match socket.poll_next_unpin(cx) {
        Poll::Ready(item) => Poll::Ready(Some(item)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Sends back what comes until the peer is gone.
pub(crate) async fn echo<S, M, E>(mut socket: S) -> Result<(), E>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    M: Message,
{
    while let Some(mut message) = socket.next().await {
        for _ in 0..MAX_BATCH {
            let message_now = message?;
            if message_now.is_data() {
                socket.feed(message_now).await?;
            }
            match next_ready(&mut socket).await {
                Some(Some(next)) => message = next,
                Some(None) => return Ok(()),
                None => break,
            }
        }
        socket.flush().await?;
    }
    Ok(())
}

/// Sends what is published until the peer is gone.
pub(crate) async fn subscribe<S, M, E>(mut socket: S, mut published: UnboundedReceiver<Bytes>) -> Result<(), E>
where
    S: Sink<M, Error = E> + Unpin,
    M: Message,
{
    let mut batch = Vec::new();
    while published.recv_many(&mut batch, MAX_BATCH).await > 0 {
        for payload in batch.drain(..) {
            socket.feed(M::binary(payload)).await?;
        }
        socket.flush().await?;
    }
    Ok(())
}

/// Publishes what comes until the peer is gone.
pub(crate) async fn publish<S, M, E>(mut socket: S, hub: &Hub) -> Result<(), E>
where
    S: Stream<Item = Result<M, E>> + Unpin,
    M: Message,
{
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_data() {
            hub.publish(&message.into_payload());
        }
    }
    Ok(())
}
