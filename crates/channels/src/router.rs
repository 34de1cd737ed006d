//! Which topic belongs to which channel.

use wingbeat_phoenix::TopicPattern;

use crate::channel::Channel;
use crate::channel::actor::{Activation, JoinRequest, join};
use crate::socket::Socket;

/// The channels of a socket, in the order in which they are tried.
pub struct Routes<S: Socket> {
    routes: Vec<Route<S>>,
}

/// A pattern, and how to join the channel behind it.
pub(crate) struct Route<S: Socket> {
    pattern: TopicPattern,
    pub(crate) join: fn(JoinRequest<S>) -> Activation,
}

impl<S: Socket> Routes<S> {
    pub(crate) fn declared() -> Self {
        let mut routes = Self { routes: Vec::new() };
        S::channels(&mut routes);
        routes
    }

    /// Serves the topics of `pattern` by `C`: an exact topic, or a prefix such as `room:*`. The first pattern that
    /// matches wins (row R5).
    ///
    /// # Panics
    /// If `pattern` has a star anywhere but at its end (row R4): the endpoint is not even built.
    #[track_caller]
    pub fn channel<C: Channel<Socket = S>>(&mut self, pattern: &str) {
        match TopicPattern::parse(pattern) {
            Ok(pattern) => self.routes.push(Route { pattern, join: join::<C> }),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn find(&self, topic: &str) -> Option<&Route<S>> {
        self.routes.iter().find(|route| route.pattern.matches(topic))
    }
}
