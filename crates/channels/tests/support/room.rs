//! Rooms with everything that can happen in one.

use serde_json::json;
use wingbeat_channels::{
    Channel, ConnectInfo, Context, Info, Joined, Outcome, Params, Payload, RawEvent, Reason, Refusal, Reply, Routes,
    Socket, Topic,
};

use super::App;

pub struct RoomSocket {
    params: Params,
}

impl Socket for RoomSocket {
    type State = App;

    fn channels(routes: &mut Routes<Self>) {
        routes.channel::<Room>("room:*");
        routes.channel::<Room>("exact");
        routes.channel::<Never>("exactly*");
        routes.channel::<Room>("exactly:shadowed");
    }

    async fn connect(params: &Params, cx: &ConnectInfo<App>) -> Result<Self, Refusal> {
        match params.get("why") {
            Some("") => return Err(Refusal::plain()),
            Some("panic") => panic!("asked for"),
            Some(why) => return Err(Refusal::reason(why)),
            None => {}
        }
        if params.get("slow").is_some() {
            pass(cx.state()).await;
        }
        if let Some(token) = params.get("token") {
            let user: u64 = cx.tokens().verify("user socket", token)?;
            assert_eq!(user, 7);
        }
        Ok(Self { params: params.clone() })
    }

    fn id(&self) -> Option<String> {
        self.params.get("uid").map(|uid| format!("users:{uid}"))
    }
}

/// Waits at the gate.
async fn pass(app: &App) {
    app.gate.acquire().await.expect("never closed").forget();
}

pub struct Room;

pub struct Welcome;

impl Channel for Room {
    type Socket = RoomSocket;
    type In = RawEvent;

    async fn join(topic: &Topic, payload: Payload, cx: &mut Context<Self>) -> Result<Joined<Self>, Refusal> {
        match topic.subtopic() {
            "deny" => return Err(Refusal::reason("unauthorized")),
            "deny_plainly" => return Err(Refusal::plain()),
            "crash" => panic!("asked for"),
            "params" => return Ok(Joined::with(Self, json!({ "params": payload.parse::<serde_json::Value>()? }))),
            "whoami" => return Ok(Joined::with(Self, json!({ "id": cx.socket_id(), "params": cx.socket().params }))),
            "push" => cx.push("too_early", json!({})),
            "welcome" => cx.handle().info(Welcome).expect("the worker lives"),
            "slow" | "slow_end" if payload.as_json() != Some("{\"fast\":1}") => pass(cx.state()).await,
            "slow_welcome" => {
                cx.handle().info(Welcome).expect("the worker lives");
                pass(cx.state()).await;
            }
            "slow_deny" => {
                pass(cx.state()).await;
                return Err(Refusal::reason("unauthorized"));
            }
            "slow_crash" => {
                pass(cx.state()).await;
                panic!("asked for");
            }
            _ => {}
        }
        Ok(Self.into())
    }

    async fn handle_in(&mut self, RawEvent { event, payload }: RawEvent, cx: &mut Context<Self>) -> Outcome {
        match event.as_str() {
            "echo" => Outcome::ok(payload),
            "slow_echo" => {
                pass(cx.state()).await;
                Outcome::ok(payload)
            }
            "slow_crash" => {
                pass(cx.state()).await;
                panic!("asked for")
            }
            "maybe" => Reply::with("maybe", payload).into(),
            "ok" => Reply::status("ok").into(),
            "fail" => Outcome::error(json!({ "reason": "no" })),
            "silent" => Outcome::NoReply,
            "push" => {
                cx.push("pushed", payload);
                Outcome::NoReply
            }
            "push_and_reply" => {
                cx.push("first", json!({}));
                cx.broadcast("second", json!({}));
                cx.push("third", json!({}));
                Outcome::ok(json!("fourth"))
            }
            "shout" => {
                cx.broadcast("shout", payload);
                Outcome::NoReply
            }
            "from" => {
                cx.broadcast_from("from", payload);
                Outcome::NoReply
            }
            "later" => {
                let (socket_ref, gate) = (cx.socket_ref(), cx.state().gate.clone());
                tokio::spawn(async move {
                    gate.acquire().await.expect("never closed").forget();
                    socket_ref.reply(Reply::ok(json!({ "n": 1 })));
                    socket_ref.reply(Reply::ok(json!({ "n": 2 })));
                });
                Outcome::NoReply
            }
            "inform" => {
                cx.handle().info(payload).expect("the worker lives");
                Outcome::NoReply
            }
            "inform_ref" => {
                cx.handle().info("socket_ref").expect("the worker lives");
                Outcome::NoReply
            }
            "stop" => Outcome::stop(Reason::Normal),
            "stop_reply" => Outcome::stop_with(Reason::Shutdown, Reply::ok(json!({ "bye": true }))),
            "stop_weird" => Outcome::stop_with(Reason::Other("weird".into()), Reply::ok(json!({ "bye": true }))),
            "disconnect_me" => {
                let id = cx.socket_id().expect("an id").to_owned();
                cx.endpoint().disconnect(&id);
                Outcome::NoReply
            }
            other => panic!("no clause for {other}"),
        }
    }

    async fn handle_info(&mut self, info: Info, cx: &mut Context<Self>) -> Outcome {
        let info = match info.take::<Welcome>() {
            Ok(Welcome) => {
                cx.push("welcome", json!({ "topic": cx.topic().as_str() }));
                return Outcome::NoReply;
            }
            Err(info) => info,
        };
        match info.take::<Payload>() {
            Ok(payload) => cx.push("informed", payload),
            Err(_) => drop(cx.socket_ref()),
        }
        Outcome::NoReply
    }

    async fn terminate(&mut self, reason: Reason, cx: &mut Context<Self>) {
        if cx.topic().subtopic() == "slow_end" {
            pass(cx.state()).await;
        }
        if cx.topic().subtopic() == "bye" {
            cx.push("bye", json!({}));
        }
        let _ = cx.state().log.send(format!("{} {reason}", cx.topic()));
    }
}

/// A channel that must not be reached.
pub struct Never;

impl Channel for Never {
    type Socket = RoomSocket;
    type In = RawEvent;

    async fn join(_: &Topic, _: Payload, _: &mut Context<Self>) -> Result<Joined<Self>, Refusal> {
        Err(Refusal::reason("never"))
    }

    async fn handle_in(&mut self, _: RawEvent, _: &mut Context<Self>) -> Outcome {
        Outcome::NoReply
    }
}
