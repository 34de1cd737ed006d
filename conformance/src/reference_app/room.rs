//! `room:*`: a channel that does one of everything.

use std::marker::PhantomData;
use std::time::Duration;

use serde_json::json;
use wingbeat_channels::{Channel, Context, Info, Joined, Outcome, Payload, RawEvent, Reason, Refusal, Reply, Topic};

use super::sockets::Visitor;

/// One client in one room.
pub(super) struct Room<S>(PhantomData<S>);

/// Tells the channel to push `welcome`, once the join is answered.
struct Welcome;

impl<S: Visitor> Channel for Room<S> {
    type Socket = S;
    type In = RawEvent;

    async fn join(topic: &Topic, payload: Payload, cx: &mut Context<Self>) -> Result<Joined<Self>, Refusal> {
        let room = Self(PhantomData);
        let name = topic.as_str();
        let name = name.strip_prefix("room:").unwrap_or(name);
        let beginning = ["deny", "params", "crashjoin", "slowjoin", "whoami", "welcome"].into_iter();
        match beginning.into_iter().find(|beginning| name.starts_with(beginning)) {
            Some("deny") => return Err(Refusal::reason("unauthorized")),
            Some("params") => return Ok(Joined::with(room, json!({ "params": json(&payload) }))),
            Some("crashjoin") => panic!("this join crashes on purpose"),
            Some("slowjoin") => tokio::time::sleep(Duration::from_millis(400)).await,
            Some("whoami") => return Ok(Joined::with(room, who_am_i(cx))),
            Some("welcome") => cx.handle().info(Welcome).map_err(Refusal::reason)?,
            _ => {}
        }
        Ok(room.into())
    }

    async fn handle_in(&mut self, RawEvent { event, payload }: RawEvent, cx: &mut Context<Self>) -> Outcome {
        if payload.is_binary() {
            return handle_binary(&event, payload, cx);
        }
        match event.as_str() {
            "echo" => return Outcome::ok(payload),
            "shout" => cx.broadcast("shout", payload),
            "from" => cx.broadcast_from("from", payload),
            "fail" => return Outcome::error(json!({ "reason": "no" })),
            "reply_ok" => return Reply::status("ok").into(),
            "reply_error" => return Reply::status("error").into(),
            "silent" => {}
            "later" => reply_later(payload, cx),
            "push_me" => cx.push("pushed", payload),
            "crash" => panic!("this channel crashes on purpose"),
            "stop" => return Outcome::stop(Reason::Normal),
            "stop_shutdown" => return Outcome::stop(Reason::Shutdown),
            "stop_reply" => return Outcome::stop_with(Reason::Normal, Reply::ok(json!({ "bye": true }))),
            "disconnect_me" => {
                let id = cx.socket_id().map(str::to_owned);
                id.inspect(|id| cx.endpoint().disconnect(id));
            }
            _ => return no_clause(&event),
        }
        Outcome::NoReply
    }

    async fn handle_info(&mut self, info: Info, cx: &mut Context<Self>) -> Outcome {
        if info.is::<Welcome>() {
            let topic = cx.topic().as_str().to_owned();
            cx.push("welcome", json!({ "topic": topic }));
        }
        Outcome::NoReply
    }
}

fn handle_binary<S: Visitor>(event: &str, payload: Payload, cx: &mut Context<Room<S>>) -> Outcome {
    match event {
        "bin" | "echo" => return Outcome::ok(payload),
        "bin_info" => {
            let bytes = payload.as_binary().map(|bytes| &bytes[..]).unwrap_or_default();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            return Outcome::ok(json!({ "size": bytes.len(), "hex": hex }));
        }
        "bin_push" => cx.push("bin_push", payload),
        "bin_shout" => cx.broadcast("bin_shout", payload),
        _ => return no_clause(event),
    }
    Outcome::NoReply
}

/// What an unknown event does to a channel on the BEAM: nothing matches, so it crashes.
fn no_clause(event: &str) -> Outcome {
    Outcome::stop(Reason::Other(format!("no clause for {event}").into()))
}

fn who_am_i<S: Visitor>(cx: &Context<Room<S>>) -> serde_json::Value {
    let params = cx.socket().params().map(|params| {
        let mut params = json!(params);
        params.as_object_mut().and_then(|params| params.remove("vsn"));
        params
    });
    json!({ "id": cx.socket_id(), "user_id": cx.socket().user_id(), "params": params })
}

/// Answers after a while, from another task.
fn reply_later<S: Visitor>(payload: Payload, cx: &Context<Room<S>>) {
    let message = cx.socket_ref();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        message.reply(Reply::ok(payload));
    });
}

fn json(payload: &Payload) -> serde_json::Value {
    payload.parse().unwrap_or_default()
}
