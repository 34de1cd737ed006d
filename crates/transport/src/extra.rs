//! What few connections need, kept off all others: made by whoever needs it first.

use crate::connection::Connection;

#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// What was agreed on in the handshake, if anything was.
    pub(crate) subprotocol: Option<Box<str>>,
}

impl Connection {
    pub(crate) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }
}
