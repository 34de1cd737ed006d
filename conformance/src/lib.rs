//! Wingbeat against what others say: transcripts of a real Phoenix, replayed, and the app that they were recorded from.

pub mod reference_app;
pub mod replay;
