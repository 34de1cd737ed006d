//! Version 2: an array of five, `[join_ref, ref, topic, event, payload]` (spec 1.4).

use alloc::vec::Vec;
use core::fmt;
use serde::de::{self, Deserializer as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Serializer;
use crate::error::{DecodeError, EncodeError};
use crate::message::{Message, Name, Outgoing, events};
use crate::payload::{Payload, PayloadRef};
use crate::reference::Ref;

/// V2 with JSON text frames.
#[derive(Clone, Copy, Debug)]
pub struct V2Json;

impl Serializer for V2Json {
    fn decode_text<'a>(&self, text: &'a str) -> Result<Message<'a>, DecodeError> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let message = deserializer.deserialize_seq(Five).map_err(DecodeError::Json)?;
        deserializer.end().map_err(DecodeError::Json)?;
        Ok(message)
    }

    fn decode_binary<'a>(&self, _: &'a [u8]) -> Result<Message<'a>, DecodeError> {
        Err(DecodeError::Binary)
    }

    fn encode(&self, outgoing: &Outgoing<'_>, output: &mut Vec<u8>) -> Result<(), EncodeError> {
        let null = Ref::NULL;
        match outgoing {
            Outgoing::Push { join_ref, topic, event, payload } => {
                payload.require_object()?;
                let json = json(payload)?;
                write_head(output, join_ref, &null, &Name::from(*topic), event);
                output.extend_from_slice(json.as_bytes());
            }
            Outgoing::Broadcast { topic, event, payload } => {
                payload.require_object()?;
                let json = json(payload)?;
                write_head(output, &null, &null, &Name::from(*topic), event);
                output.extend_from_slice(json.as_bytes());
            }
            Outgoing::Reply { join_ref, message_ref, topic, status, payload } => {
                let json = payload.map_or(Ok("{}"), json)?;
                write_head(output, join_ref, message_ref, topic, events::REPLY);
                output.extend_from_slice(b"{\"response\":");
                output.extend_from_slice(json.as_bytes());
                output.extend_from_slice(b",\"status\":");
                write_string(output, status);
                output.push(b'}');
            }
            Outgoing::Close { join_ref, topic } => {
                write_head(output, join_ref, join_ref, &Name::from(*topic), events::CLOSE);
                output.extend_from_slice(b"{}");
            }
            Outgoing::Error { join_ref, topic } => {
                write_head(output, join_ref, join_ref, &Name::from(*topic), events::ERROR);
                output.extend_from_slice(b"{\"reason\":\"channel_crash\"}");
            }
        }
        output.push(b']');
        Ok(())
    }
}

fn json(payload: &Payload) -> Result<&str, EncodeError> {
    payload.as_json().ok_or(EncodeError::Binary)
}

/// Everything before the payload, which is the same for every kind.
fn write_head(output: &mut Vec<u8>, join_ref: &Ref<'_>, message_ref: &Ref<'_>, topic: &Name<'_>, event: &str) {
    output.push(b'[');
    output.extend_from_slice(join_ref.as_json().as_bytes());
    output.push(b',');
    output.extend_from_slice(message_ref.as_json().as_bytes());
    output.push(b',');
    match topic.as_json() {
        Some(json) => output.extend_from_slice(json.as_bytes()),
        None => write_string(output, topic.as_str().unwrap_or_default()),
    }
    output.push(b',');
    write_string(output, event);
    output.push(b',');
}

/// A JSON string. Topics, events and statuses hardly ever need an escape.
fn write_string(output: &mut Vec<u8>, text: &str) {
    output.push(b'"');
    for piece in text.split_inclusive(needs_escape) {
        let Some(last) = piece.chars().next_back().filter(|last| needs_escape(*last)) else {
            output.extend_from_slice(piece.as_bytes());
            continue;
        };
        output.extend_from_slice(&piece.as_bytes()[..piece.len() - 1]);
        write_escape(output, last);
    }
    output.push(b'"');
}

fn needs_escape(character: char) -> bool {
    matches!(character, '"' | '\\' | '\0'..='\x1f')
}

fn write_escape(output: &mut Vec<u8>, character: char) {
    match character {
        '"' | '\\' => output.extend_from_slice(&[b'\\', character as u8]),
        _ => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let code = character as usize;
            output.extend_from_slice(b"\\u00");
            output.extend_from_slice(&[HEX[code >> 4], HEX[code & 15]]);
        }
    }
}

/// Reads the five items in place; more are ignored (row M5), fewer are an error.
struct Five;

impl<'de> Visitor<'de> for Five {
    type Value = Message<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array [join_ref, ref, topic, event, payload]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Message<'de>, A::Error> {
        let mut next =
            |index| items.next_element::<&RawValue>()?.ok_or_else(|| de::Error::invalid_length(index, &Five));
        let (join_ref, message_ref, topic, event, payload) = (next(0)?, next(1)?, next(2)?, next(3)?, next(4)?);
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Message {
            join_ref: Ref::from_json(join_ref.get()),
            message_ref: Ref::from_json(message_ref.get()),
            topic: Name::from_raw(topic),
            event: Name::from_raw(event),
            payload: PayloadRef::Json(payload),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::IntoPayload;
    use alloc::string::{String, ToString};
    use serde_json::json;

    #[test]
    fn ch_m1_array_order() {
        let message = V2Json.decode_text(r#"["3","7","room:1","say",{"a":[1, 2]}]"#).unwrap();
        assert_eq!(message.join_ref.as_json(), r#""3""#);
        assert_eq!(message.message_ref.as_json(), r#""7""#);
        assert_eq!(message.topic.as_str(), Some("room:1"));
        assert_eq!(message.event.as_str(), Some("say"));
        assert_eq!(message.payload.to_payload().as_json(), Some(r#"{"a":[1, 2]}"#));
    }

    #[test]
    fn ch_m5_m15_m16_what_the_decoder_lets_pass() {
        for (text, join_ref, topic, payload) in [
            (r#"["1","2","t","e",{},"extra",[1]]"#, r#""1""#, Some("t"), "{}"),
            (r#"[null,2,"t","e","a string"]"#, "null", Some("t"), r#""a string""#),
            (r#"[7,8,5,"e",null]"#, "7", None, "null"),
            (r#" [ "" , null , "caf\u00e9" , 5 , [ ] ] "#, r#""""#, Some("café"), "[ ]"),
        ] {
            let message = V2Json.decode_text(text).unwrap();
            assert_eq!(message.join_ref.as_json(), join_ref, "{text}");
            assert_eq!(message.topic.as_str(), topic, "{text}");
            assert_eq!(message.payload.to_payload().as_json(), Some(payload), "{text}");
        }
    }

    #[test]
    fn ch_m6_bad_frames() {
        for text in [
            "",
            "{",
            "1",
            "not json",
            r#"["1","2""#,
            r#"{"topic":"t"}"#,
            "[]",
            r#"["1","2","t","e"]"#,
            r#"["1","2","t","e",{}] x"#,
            r#"["1","2","t","e",{}"#,
        ] {
            assert!(V2Json.decode_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let deep = ["[1,1,\"t\",\"e\",".to_string(), "[".repeat(100_000), "]".repeat(100_000), "]".into()].concat();
        let message = V2Json.decode_text(&deep).unwrap();
        assert!(message.payload.parse::<serde_json::Value>().is_err(), "a value this deep is refused, not overflown");
    }

    fn encode(outgoing: &Outgoing<'_>) -> String {
        let mut output = Vec::new();
        V2Json.encode(outgoing, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn ch_m19_output_is_compact_and_in_order() {
        let (one, two) = (Ref::from_json(r#""1""#), Ref::from_json("2"));
        let payload = json!({ "x": [1, "a b"] }).into_payload().unwrap();
        let topic = Name::from("room:1");
        for (outgoing, expected) in [
            (
                Outgoing::Push { join_ref: one.clone(), topic: "room:1", event: "new", payload: &payload },
                r#"["1",null,"room:1","new",{"x":[1,"a b"]}]"#,
            ),
            (
                Outgoing::Broadcast { topic: "room:1", event: "new", payload: &payload },
                r#"[null,null,"room:1","new",{"x":[1,"a b"]}]"#,
            ),
            (
                Outgoing::Reply { join_ref: one.clone(), message_ref: two, topic: &topic, status: "ok", payload: None },
                r#"["1",2,"room:1","phx_reply",{"response":{},"status":"ok"}]"#,
            ),
            (Outgoing::Close { join_ref: one.clone(), topic: "room:1" }, r#"["1","1","room:1","phx_close",{}]"#),
            (
                Outgoing::Error { join_ref: one, topic: "room:1" },
                r#"["1","1","room:1","phx_error",{"reason":"channel_crash"}]"#,
            ),
        ] {
            assert_eq!(encode(&outgoing), expected);
        }
    }

    #[test]
    fn ch_m13_m14_replies_carry_any_json_pushes_only_objects() {
        let list = json!([1]).into_payload().unwrap();
        let topic = Name::from("t");
        let reply = Outgoing::Reply {
            join_ref: Ref::NULL,
            message_ref: Ref::NULL,
            topic: &topic,
            status: "maybe",
            payload: Some(&list),
        };
        assert_eq!(encode(&reply), r#"[null,null,"t","phx_reply",{"response":[1],"status":"maybe"}]"#);
        let mut output = Vec::new();
        let push = Outgoing::Push { join_ref: Ref::NULL, topic: "t", event: "e", payload: &list };
        assert!(V2Json.encode(&push, &mut output).is_err());
        assert!(output.is_empty(), "an error appends nothing");
    }

    #[test]
    fn names_are_escaped_as_json_wants() {
        for text in ["plain", "a\"b", "back\\slash", "line\nfeed", "\0\x1f", "żółć \u{2028}", "", "\"\"", "a\"", "\"a"]
        {
            let mut output = Vec::new();
            write_string(&mut output, text);
            assert_eq!(serde_json::from_slice::<String>(&output).unwrap(), text);
        }
    }
}
