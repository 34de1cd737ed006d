//! The mount of a raw handler: the handshake, the origin, and then the application.

use std::sync::Arc;

use bytes::Bytes;

use crate::mount::accept::{Accept, Decision, Opening};
use crate::mount::handshake::Handshake;
use crate::mount::{Answer, Mount, Request, Upgrade};
use crate::options::SocketOptions;
use crate::server::refusal;

pub(crate) struct RawMount<M> {
    pub(crate) options: Arc<SocketOptions>,
    pub(crate) open: M,
}

impl<M> Mount for RawMount<M>
where
    M: Fn(Request) -> Opening + Send + Sync + 'static,
{
    fn handle_request(&self, request: Request) -> Answer {
        let handshake = match self.check(&request) {
            Ok(handshake) => handshake,
            Err(response) => return Answer::Respond(response),
        };
        let options = self.options.clone();
        match (self.open)(request) {
            Opening::Now(decision) => answer(decision, handshake, options),
            Opening::Later(decision) => Answer::Later(Box::pin(async { answer(decision.await, handshake, options) })),
        }
    }
}

impl<M> RawMount<M> {
    fn check(&self, request: &Request) -> Result<Handshake, http::Response<Bytes>> {
        let handshake = Handshake::parse(&request.head).map_err(|error| error.response())?;
        if !self.options.check_origin.allows(request) {
            return Err(refusal(http::StatusCode::FORBIDDEN, "this origin may not connect"));
        }
        Ok(handshake)
    }
}

fn answer(decision: Decision, handshake: Handshake, options: Arc<SocketOptions>) -> Answer {
    let Accept { handler, subprotocol, headers, options: own } = match decision {
        Ok(accept) => accept,
        Err(response) => return Answer::Respond(response),
    };
    match Upgrade::accept(handshake, subprotocol.as_deref(), handler, own.unwrap_or(options)) {
        Ok(mut upgrade) => {
            upgrade.response.headers_mut().extend(headers);
            Answer::Upgrade(upgrade)
        }
        Err(error) => {
            tracing::error!(%error, "a request cannot be accepted as the application wants");
            Answer::Respond(error.response())
        }
    }
}
