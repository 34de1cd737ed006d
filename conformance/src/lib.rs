//! Wingbeat against what others say: transcripts of a real Phoenix, replayed, the app that they were recorded from, and
//! our client role on a plain stream.

pub mod client;
pub mod echo_client;
pub mod reference_app;
pub mod replay;
