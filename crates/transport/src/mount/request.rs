//! What a request says, for who decides about it.

use wingbeat_websocket::handshake::{Extension, offered_extensions, offered_subprotocols};

use crate::mount::Request;

impl Request {
    /// The first value of a header field, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// What stands behind the `?`, as it came.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.head.uri.query()
    }

    /// The value of a variable of the mount's path, as it came.
    #[must_use]
    pub fn path_param(&self, name: &str) -> Option<&str> {
        self.path_params.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The subprotocols the client offers, the one it likes best first (RFC 6455 §4.1, item 10).
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        offered_subprotocols(&self.head.headers)
    }

    /// The first of `ours` that the client offers: where both know several, the server's order counts. `None` if there
    /// is none; then go on without, or refuse.
    ///
    /// Names are compared as they are written (§4.2.2, item 5.5).
    #[must_use]
    pub fn choose_subprotocol<'o>(&self, ours: &[&'o str]) -> Option<&'o str> {
        ours.iter().copied().find(|ours| self.subprotocols().any(|offered| offered == *ours))
    }

    /// The extensions the client offers, the one it likes best first (§9.1). permessage-deflate is taken care of by
    /// [`SocketOptions::deflate`](crate::SocketOptions::deflate).
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'_>> {
        offered_extensions(&self.head.headers)
    }
}
