//! The chat that started the project: characters, the rooms they meet in, and the door where they give their names.

mod character;
mod login;
mod room;

pub(crate) use character::CharacterSocket;
pub(crate) use login::router;
