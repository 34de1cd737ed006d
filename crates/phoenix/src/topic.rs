//! Topics, and the patterns that route them.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;
use core::ops::Deref;

/// The name of a conversation, `name:subtopic` by custom. Cloning counts a reference, so one copy of the text serves
/// the channel, its context and the registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// The whole topic.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the first colon, or nothing: `lobby` of `room:lobby`.
    pub fn subtopic(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, subtopic)| subtopic)
    }
}

impl Deref for Topic {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl core::borrow::Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Topic {
    fn from(topic: &str) -> Self {
        Self(topic.into())
    }
}

impl From<String> for Topic {
    fn from(topic: String) -> Self {
        Self(topic.into())
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which topics a channel serves: an exact name, or a prefix ending in `*` (row R3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPattern {
    text: String,
    is_prefix: bool,
}

impl TopicPattern {
    /// Reads `room:*` or `exact`. A star anywhere but at the end is an error (row R4).
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        let text = pattern.strip_suffix('*').unwrap_or(pattern);
        if text.contains('*') {
            return Err(PatternError(pattern.to_string()));
        }
        Ok(Self { text: text.to_string(), is_prefix: text.len() < pattern.len() })
    }

    /// Whether `topic` is one of those meant.
    pub fn matches(&self, topic: &str) -> bool {
        if self.is_prefix { topic.starts_with(&self.text) } else { topic == self.text }
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.is_prefix { "*" } else { "" })
    }
}

/// A star stands where none may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic pattern {0:?} has a star before its end; expected an exact topic or a prefix such as \"room:*\"")]
pub struct PatternError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ch_r3_exact_and_prefix_routes() {
        for (pattern, topic, expected) in [
            ("room:*", "room:1", true),
            ("room:*", "room:", true),
            ("room:*", "room", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
            ("*", "anything", true),
            ("food*", "foo", false),
        ] {
            assert_eq!(TopicPattern::parse(pattern).unwrap().matches(topic), expected, "{pattern} and {topic}");
        }
    }

    #[test]
    fn ch_r4_star_only_at_the_end() {
        for pattern in ["a*b", "*a", "a**"] {
            let error = TopicPattern::parse(pattern).unwrap_err();
            assert!(error.to_string().contains(pattern), "{error}");
        }
    }

    #[test]
    fn subtopic_follows_the_first_colon() {
        for (topic, expected) in [("room:lobby", "lobby"), ("a:b:c", "b:c"), ("room:", ""), ("exact", "")] {
            assert_eq!(Topic::from(topic).subtopic(), expected, "{topic}");
        }
    }
}
