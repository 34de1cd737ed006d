//! Who may connect where.

use std::time::Duration;

use wingbeat_channels::token::VerifyOptions;
use wingbeat_channels::{ConnectInfo, Params, Refusal, Routes, Socket};

use super::room::Room;

/// What rooms ask of the sockets that they are in.
pub(super) trait Visitor: Socket {
    /// The id in the token, if one was asked for.
    fn user_id(&self) -> Option<u64> {
        None
    }

    /// What was said at connect, if it was kept.
    fn params(&self) -> Option<&Params> {
        None
    }
}

/// Takes all but those who ask to be rejected; `uid` names them.
pub(super) struct UserSocket {
    params: Params,
}

impl Socket for UserSocket {
    type State = ();

    fn channels(routes: &mut Routes<Self>) {
        routes.channel::<Room<Self>>("room:*");
        routes.channel::<Room<Self>>("exact");
    }

    async fn connect(params: &Params, _: &ConnectInfo<()>) -> Result<Self, Refusal> {
        if params.get("reject").is_some() {
            return Err(Refusal::plain());
        }
        Ok(Self { params: params.clone() })
    }

    fn id(&self) -> Option<String> {
        self.params.get("uid").map(|uid| format!("user_socket:{uid}"))
    }
}

impl Visitor for UserSocket {
    fn params(&self) -> Option<&Params> {
        Some(&self.params)
    }
}

/// Takes all.
pub(super) struct PlainSocket;

impl Socket for PlainSocket {
    type State = ();

    fn channels(routes: &mut Routes<Self>) {
        routes.channel::<Room<Self>>("room:*");
    }

    async fn connect(_: &Params, _: &ConnectInfo<()>) -> Result<Self, Refusal> {
        Ok(Self)
    }
}

impl Visitor for PlainSocket {}

/// Takes those with a good token.
pub(super) struct AuthSocket {
    user_id: u64,
}

/// Two weeks.
const MAX_AGE: Duration = Duration::from_secs(1_209_600);

/// What tokens of this socket are for.
pub(super) const SALT: &str = "user socket";

impl Socket for AuthSocket {
    type State = ();

    fn channels(routes: &mut Routes<Self>) {
        routes.channel::<Room<Self>>("room:*");
    }

    async fn connect(params: &Params, cx: &ConnectInfo<()>) -> Result<Self, Refusal> {
        let options = VerifyOptions::DEFAULT.with_max_age(MAX_AGE);
        let user_id = cx.tokens().verify_with(SALT, params.get("token"), options)?;
        Ok(Self { user_id })
    }

    fn id(&self) -> Option<String> {
        Some(format!("users:{}", self.user_id))
    }
}

impl Visitor for AuthSocket {
    fn user_id(&self) -> Option<u64> {
        Some(self.user_id)
    }
}

/// Takes nobody; `why` is the reason.
pub(super) struct RejectSocket;

impl Socket for RejectSocket {
    type State = ();

    fn channels(_: &mut Routes<Self>) {}

    async fn connect(params: &Params, _: &ConnectInfo<()>) -> Result<Self, Refusal> {
        Err(params.get("why").map_or_else(Refusal::plain, Refusal::reason))
    }
}
