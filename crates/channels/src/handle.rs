//! The endpoint from anywhere: HTTP routes, jobs, other channels.

use std::sync::Arc;

use wingbeat_phoenix::{EncodeError, IntoPayload, Payload, Topic, events};

use crate::pubsub::{PubSub, TopicCount};
use crate::token::Tokens;

/// The endpoint from anywhere. Clone is a reference count; it keeps nothing running. Fit to be the state of an axum
/// router.
#[derive(Clone, Debug)]
pub struct EndpointHandle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pubsub: PubSub,
    tokens: Tokens,
}

impl EndpointHandle {
    pub(crate) fn new(tokens: Tokens) -> Self {
        Self(Arc::new(Inner { pubsub: PubSub::default(), tokens }))
    }

    pub(crate) fn pubsub(&self) -> &PubSub {
        &self.0.pubsub
    }

    /// Signs and verifies tokens with the endpoint's secret.
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// Sends `event` to everybody in `topic` (row A30). Before the endpoint serves, nobody is.
    ///
    /// # Errors
    /// The payload cannot be serialized, or is neither a JSON object nor bytes.
    pub fn broadcast(
        &self,
        topic: impl Into<Topic>,
        event: &str,
        payload: impl IntoPayload,
    ) -> Result<(), EncodeError> {
        let payload = payload.into_payload()?;
        payload.require_object()?;
        self.pubsub().broadcast(&topic.into(), event, payload, None);
        Ok(())
    }

    /// Closes every connection whose [`Socket::id`](crate::Socket::id) is `id` with 1001, after which clients come
    /// back and are asked anew who they are (rows C16, R23).
    pub fn disconnect(&self, id: &str) {
        let payload = Payload::empty();
        self.pubsub().broadcast(&Topic::from(id), events::DISCONNECT, payload, None);
    }

    /// Every topic that has members now, by name. Cancel-safe.
    pub async fn list(&self) -> Vec<TopicCount> {
        self.pubsub().topics().await
    }
}
