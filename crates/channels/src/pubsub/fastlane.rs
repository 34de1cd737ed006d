//! The fastlane: a broadcast goes to the connections of its members without waking their channels, encoded at most
//! once per wire version, frame header included.

use std::sync::OnceLock;

use wingbeat_phoenix::{Outgoing, Payload, Topic, Version, events};
use wingbeat_transport::{EncodedMessage, Turn};
use wingbeat_websocket::CloseCode;

use super::registry::{Member, MemberId, Members, Registry, SOCKET};
use crate::channel::encode;

/// One broadcast on its way to every worker.
pub(super) struct Broadcast {
    topic: Topic,
    event: Box<str>,
    payload: Payload,
    except: Option<MemberId>,
    /// By version; made by the first worker that needs it. `None` within: this version cannot carry it.
    encoded: [OnceLock<Option<EncodedMessage>>; Version::ALL.len()],
}

impl Broadcast {
    pub(super) fn new(topic: Topic, event: &str, payload: Payload, except: Option<MemberId>) -> Self {
        Self { topic, event: event.into(), payload, except, encoded: Default::default() }
    }

    /// Sends it to the members of one worker.
    pub(super) fn deliver(&self, turn: &mut Turn) {
        turn.local::<Registry>().visit(&self.topic, |members| {
            for version in Version::ALL {
                self.deliver_version(version, members, turn);
            }
            if *self.event == *events::DISCONNECT {
                for member in members.iter().filter(|member| member.id.instance == SOCKET) {
                    turn.close(member.id.connection, CloseCode::GOING_AWAY, "");
                }
            }
        });
    }

    fn deliver_version(&self, version: Version, members: &Members, turn: &mut Turn) {
        let wants = |member: &&Member| {
            member.version == version && member.id.instance != SOCKET && Some(member.id) != self.except
        };
        let mut ids = members.iter().filter(wants).map(|member| member.id.connection).peekable();
        if ids.peek().is_some()
            && let Some(message) = self.encoded(version)
        {
            turn.send_many(ids, message);
        }
    }

    fn encoded(&self, version: Version) -> Option<&EncodedMessage> {
        let encode = || {
            let outgoing = Outgoing::Broadcast { topic: &self.topic, event: &self.event, payload: &self.payload };
            encode(version, &outgoing)
        };
        self.encoded[version as usize].get_or_init(encode).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ch_p5_encoded_once_per_version_header_included() {
        let payload = Payload::json(&serde_json::json!({ "m": "hi" })).unwrap();
        let broadcast = Broadcast::new("room:1".into(), "shout", payload, None);
        let first = broadcast.encoded(Version::V2).unwrap().as_frame();
        let text = br#"[null,null,"room:1","shout",{"m":"hi"}]"#;
        assert_eq!(first[..2], [0x81, text.len() as u8]);
        assert_eq!(first[2..], text[..]);
        let second = broadcast.encoded(Version::V2).unwrap().as_frame();
        assert_eq!(first.as_ptr(), second.as_ptr(), "the same bytes for every worker");
    }
}
