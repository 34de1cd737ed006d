//! A room: what a character says in it, everybody in it hears.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use wingbeat::prelude::*;

use super::character::{Character, CharacterSocket, is_unprintable};

/// Letters of a message.
const MAX_MESSAGE_CHARS: usize = 1000;
/// Letters of a room's name.
const MAX_ROOM_CHARS: usize = 32;

/// One character's stay in one room.
pub(super) struct ChatChannel {
    character: Arc<Character>,
}

/// What a character may push.
#[derive(Deserialize)]
#[serde(tag = "event", content = "payload", rename_all = "snake_case")]
pub(super) enum Said {
    Broadcast { message: String },
}

/// What everybody in the room is told.
#[derive(Serialize)]
struct Heard<'a> {
    message: &'a str,
    from: &'a Character,
    /// Milliseconds since 1970.
    at: u64,
}

impl Channel for ChatChannel {
    type Socket = CharacterSocket;
    type In = Said;

    async fn join(topic: &Topic, _: Payload, cx: &mut Context<Self>) -> Result<Joined<Self>, Refusal> {
        let character = cx.socket().character.clone().ok_or_else(|| Refusal::reason("character required"))?;
        check_room(topic.subtopic()).map_err(Refusal::reason)?;
        Ok(Self { character }.into())
    }

    async fn handle_in(&mut self, Said::Broadcast { message }: Said, cx: &mut Context<Self>) -> Outcome {
        match check_message(&message) {
            Ok(message) => {
                cx.broadcast("broadcast", Heard { message, from: &self.character, at: now_millis() });
                Outcome::ok(serde_json::json!({}))
            }
            Err(reason) => Outcome::error(serde_json::json!({ "reason": reason })),
        }
    }
}

fn check_room(name: &str) -> Result<(), String> {
    let length = name.chars().count();
    if (1..=MAX_ROOM_CHARS).contains(&length) && name.chars().all(|letter| letter.is_alphanumeric() || letter == '-') {
        return Ok(());
    }
    Err(format!("a room's name is made of 1 to {MAX_ROOM_CHARS} letters, digits and hyphens"))
}

/// The message without the blanks around it.
fn check_message(message: &str) -> Result<&str, String> {
    let message = message.trim();
    if message.is_empty() {
        return Err("a message says something".into());
    }
    if message.chars().count() > MAX_MESSAGE_CHARS {
        return Err(format!("a message has at most {MAX_MESSAGE_CHARS} letters"));
    }
    if message.chars().any(|letter| is_unprintable(letter) && !matches!(letter, '\n' | '\t')) {
        return Err("a message has no invisible letters".into());
    }
    Ok(message)
}

fn now_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms() {
        for (name, good) in [
            ("global", true),
            ("kitchen-table", true),
            ("küche-2", true),
            (&*"x".repeat(32), true),
            ("", false),
            (&*"x".repeat(33), false),
            ("no/such|room", false),
            ("a room", false),
        ] {
            assert_eq!(check_room(name).is_ok(), good, "{name:?}");
        }
    }

    #[test]
    fn messages() {
        let (longest, longer) = ("ž".repeat(1000), "ž".repeat(1001));
        for (message, expected) in [
            ("Good evening.", Some("Good evening.")),
            ("  <b>\n\tso </b> ", Some("<b>\n\tso </b>")),
            (&longest, Some(&*longest)),
            (&longer, None),
            (" \n ", None),
            ("a\u{0}b", None),
            ("a\u{202e}b", None),
        ] {
            assert_eq!(check_message(message).ok(), expected, "{message:?}");
        }
    }
}
