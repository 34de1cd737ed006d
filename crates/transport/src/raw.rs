//! The mount of a raw handler: the handshake, the origin, and then the application.

use std::sync::Arc;

use bytes::Bytes;

use crate::handler::Handler;
use crate::handshake::Handshake;
use crate::mount::{Answer, Mount, Request, Upgrade};
use crate::options::SocketOptions;
use crate::server::refusal;

pub(crate) struct RawMount<M> {
    pub(crate) options: Arc<SocketOptions>,
    pub(crate) make: M,
}

impl<M> Mount for RawMount<M>
where
    M: Fn(&Request) -> Result<Box<dyn Handler>, http::Response<Bytes>> + Send + Sync + 'static,
{
    fn handle_request(&self, request: Request) -> Answer {
        match self.answer(&request) {
            Ok(upgrade) => Answer::Upgrade(upgrade),
            Err(response) => Answer::Respond(response),
        }
    }
}

impl<M> RawMount<M>
where
    M: Fn(&Request) -> Result<Box<dyn Handler>, http::Response<Bytes>>,
{
    fn answer(&self, request: &Request) -> Result<Upgrade, http::Response<Bytes>> {
        let handshake = Handshake::parse(&request.head).map_err(|error| error.response())?;
        if !self.options.check_origin.allows(request) {
            return Err(refusal(http::StatusCode::FORBIDDEN, "this origin may not connect"));
        }
        let handler = (self.make)(request)?;
        Upgrade::accept(handshake, None, handler, self.options.clone()).map_err(|error| error.response())
    }
}
