//! Random conversations against a model of the decision table (spec 1.8): whatever a client sends, in whatever order
//! and however much at once, each answer is the one that the table gives.

mod support;

use std::collections::HashMap;

use support::serve;

const TOPICS: [&str; 4] = ["room:a", "room:b", "exact", "nosuch:1"];
const REFS: [&str; 5] = [r#""1""#, r#""2""#, "2", "null", r#""\u0031""#];

/// Xorshift: the same conversations each time, so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn roll<T: Copy>(&mut self, sides: &[T]) -> T {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        sides[(self.0 >> 33) as usize % sides.len()]
    }
}

/// What is joined: topic to the join's `join_ref` and `ref` as sent.
#[derive(Default)]
struct Model(HashMap<&'static str, (&'static str, String)>);

impl Model {
    /// What the server answers to one message.
    fn answers(&mut self, topic: &'static str, event: &str, join_ref: &'static str, message_ref: &str) -> Vec<String> {
        let reply = |join_ref: &str, response: &str, status: &str| {
            format!(r#"[{join_ref},{message_ref},"{topic}","phx_reply",{{"response":{response},"status":"{status}"}}]"#)
        };
        let unmatched = || vec![reply("null", r#"{"reason":"unmatched topic"}"#, "error")];
        let joined = self.0.get(topic).cloned();
        let (given, stamp) = match (&joined, event) {
            (_, "phx_join") if topic.starts_with("nosuch") => return unmatched(),
            (_, "phx_join") => {
                self.0.insert(topic, (join_ref, message_ref.to_owned()));
                let mut answers = vec![reply(join_ref, "{}", "ok")];
                answers.extend(joined.map(|(old, _)| format!(r#"[{old},{old},"{topic}","phx_close",{{}}]"#)));
                return answers;
            }
            (None, "phx_leave") => return vec![reply(join_ref, "{}", "ok")],
            (None, _) => return unmatched(),
            (Some((given, of_join)), _) => (*given, if *given == "null" { of_join.clone() } else { (*given).into() }),
        };
        let plain = |text: &'static str| if text == r#""\u0031""# { r#""1""# } else { text };
        if join_ref != "null" && plain(join_ref) != plain(given) {
            return Vec::new();
        }
        let ended = |how: &str, payload: &str| format!(r#"[{given},{given},"{topic}","{how}",{payload}]"#);
        match event {
            "echo" => vec![reply(&stamp, r#"{"x":1}"#, "ok")],
            "push" => vec![format!(r#"[{stamp},null,"{topic}","pushed",{{"x":1}}]"#)],
            "shout" => vec![format!(r#"[null,null,"{topic}","shout",{{"x":1}}]"#)],
            "silent" | "from" => Vec::new(),
            _ => {
                self.0.remove(topic);
                match event {
                    "phx_leave" => vec![reply(&stamp, "{}", "ok"), ended("phx_close", "{}")],
                    "stop_reply" => vec![reply(&stamp, r#"{"bye":true}"#, "ok"), ended("phx_close", "{}")],
                    _ => vec![ended("phx_error", r#"{"reason":"channel_crash"}"#)],
                }
            }
        }
    }
}

#[test]
fn ch_r_any_conversation_goes_by_the_table() {
    let events = ["phx_join", "phx_join", "phx_leave", "echo", "push", "shout", "silent", "from", "stop_reply", "5"];
    for seed in 1..=100 {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        // Each conversation has its own server: what one shouts, another would hear.
        let server = serve();
        let (mut client, mut model) = (server.connect(), Model::default());
        for burst in 0..20 {
            let (mut sent, mut expected) = (Vec::new(), Vec::new());
            for n in 0..dice.roll(&[1, 2, 7, 40]) {
                let (topic, event, join_ref) = (dice.roll(&TOPICS), dice.roll(&events), dice.roll(&REFS));
                let message_ref = dice.roll(&["null", r#""r""#, "7"]);
                // An event that is no string crashes the channel.
                let quote = if event == "5" { "" } else { "\"" };
                sent.push(format!(r#"[{join_ref},{message_ref},"{topic}",{quote}{event}{quote},{{"x":1}}]"#));
                let answers = model.answers(topic, event, join_ref, message_ref);
                expected.extend(answers.into_iter().map(|answer| (answer, format!("seed {seed}, {burst}.{n}"))));
            }
            client.send_all(&sent.iter().map(String::as_str).collect::<Vec<_>>());
            for (answer, place) in expected {
                assert_eq!(client.recv(), answer, "{place}: {sent:#?}");
            }
            client.expect_silence();
        }
    }
}
