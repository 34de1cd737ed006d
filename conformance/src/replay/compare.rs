//! Whether two frames say the same.

use std::collections::HashMap;

use serde_json::Value;

/// What differs from run to run, and so is compared by what stood for it before.
#[derive(Debug, Default)]
pub(super) struct Volatile {
    /// Recorded reference → the one that this run has in its place.
    refs: HashMap<String, String>,
}

/// Members whose value is made up by the server.
const MADE_UP: [&str; 2] = ["phx_ref", "phx_ref_prev"];

impl Volatile {
    /// Whether the texts are the same JSON, or the same text if they are no JSON.
    pub(super) fn same_text(&mut self, recorded: &str, received: &str) -> bool {
        match (serde_json::from_str(recorded), serde_json::from_str(received)) {
            (Ok(recorded), Ok(received)) => self.same_value(&recorded, &received),
            _ => recorded == received,
        }
    }

    fn same_value(&mut self, recorded: &Value, received: &Value) -> bool {
        match (recorded, received) {
            (Value::Array(recorded), Value::Array(received)) => {
                recorded.len() == received.len()
                    && recorded.iter().zip(received).all(|(recorded, received)| self.same_value(recorded, received))
            }
            (Value::Object(recorded), Value::Object(received)) => {
                recorded.len() == received.len()
                    && recorded.iter().all(|(key, recorded)| match (received.get(key), recorded) {
                        (Some(Value::String(received)), Value::String(recorded)) if MADE_UP.contains(&key.as_str()) => {
                            self.same_ref(recorded, received)
                        }
                        (Some(received), recorded) => self.same_value(recorded, received),
                        (None, _) => false,
                    })
            }
            _ => recorded == received,
        }
    }

    /// The same recorded reference always stands for the same one of this run, and different ones for different ones.
    fn same_ref(&mut self, recorded: &str, received: &str) -> bool {
        if let Some(known) = self.refs.get(recorded) {
            return known == received;
        }
        let is_new = !self.refs.values().any(|known| known == received);
        self.refs.insert(recorded.to_owned(), received.to_owned());
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(recorded: &str, received: &str, expected: bool) {
        assert_eq!(Volatile::default().same_text(recorded, received), expected, "{recorded} and {received}");
    }

    #[test]
    fn json_is_compared_by_value() {
        check(r#"[null,"1",{"a":1,"b":[2]}]"#, r#"[null, "1", {"b":[2], "a":1}]"#, true);
        check(r#"{"e":1e+21}"#, r#"{"e":1.0e21}"#, true);
        check(r#"{"a":1}"#, r#"{"a":1.0}"#, false);
        check(r#"{"a":1}"#, r#"{"a":"1"}"#, false);
        check(r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false);
        check(r#"["1",null]"#, r#"["1"]"#, false);
        check("not json", "not json", true);
        check("not json", "[]", false);
    }

    #[test]
    fn made_up_refs_stand_for_each_other() {
        let mut volatile = Volatile::default();
        assert!(volatile.same_text(r#"{"phx_ref":"A"}"#, r#"{"phx_ref":"x"}"#));
        assert!(volatile.same_text(r#"{"phx_ref":"B","phx_ref_prev":"A"}"#, r#"{"phx_ref":"y","phx_ref_prev":"x"}"#));
        assert!(!volatile.same_text(r#"{"phx_ref":"A"}"#, r#"{"phx_ref":"y"}"#), "another for a known one");
        assert!(!volatile.same_text(r#"{"phx_ref":"C"}"#, r#"{"phx_ref":"x"}"#), "a known one for another");
    }
}
