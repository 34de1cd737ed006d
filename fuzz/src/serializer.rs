//! Phoenix messages: what can be read can be answered, and read again.

use wingbeat_phoenix::{Outgoing, Serializer as _, V2Json};

/// A text frame, and a binary one.
pub fn serializer(data: &[u8]) {
    let _ = V2Json.decode_binary(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(message) = V2Json.decode_text(text) else { return };
    let waiting = message.to_buf();
    assert_eq!(waiting.len(), waiting.to_message("t").len());
    let payload = message.payload.to_payload();
    let topic = message.topic.as_str().unwrap_or("topic");
    let event = message.event.as_str().unwrap_or("event");

    let answers = [
        Outgoing::Reply {
            join_ref: message.join_ref.clone(),
            message_ref: message.message_ref.clone(),
            topic: &message.topic,
            status: event,
            payload: Some(&payload),
        },
        Outgoing::Push { join_ref: message.join_ref.clone(), topic, event, payload: &payload },
        Outgoing::Broadcast { topic, event, payload: &payload },
        Outgoing::Close { join_ref: message.join_ref.clone(), topic },
        Outgoing::Error { join_ref: message.join_ref.clone(), topic },
    ];
    for answer in answers {
        let mut output = b"before".to_vec();
        if V2Json.encode(&answer, &mut output).is_err() {
            assert_eq!(output, b"before", "an error appends nothing");
            continue;
        }
        let answer_text =
            std::str::from_utf8(&output).expect("JSON is UTF-8").strip_prefix("before").expect("appended");
        let again = V2Json.decode_text(answer_text).expect("we read what we write");
        match answer {
            Outgoing::Reply { .. } => {
                assert_eq!(again.join_ref.as_json(), message.join_ref.as_json());
                assert_eq!(again.message_ref.as_json(), message.message_ref.as_json());
                assert_eq!(again.topic.as_str(), message.topic.as_str());
                assert_eq!(again.event.as_str(), Some("phx_reply"));
            }
            Outgoing::Push { .. } | Outgoing::Broadcast { .. } => {
                assert_eq!((again.topic.as_str(), again.event.as_str()), (Some(topic), Some(event)));
                assert_eq!(again.payload.to_payload().as_json(), payload.as_json());
            }
            Outgoing::Close { .. } | Outgoing::Error { .. } => {
                assert_eq!(again.message_ref.as_json(), message.join_ref.as_json());
                assert_eq!(again.topic.as_str(), Some(topic));
            }
        }
    }
}
