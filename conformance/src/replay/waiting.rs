//! Transcripts of what is not built yet, each with what it waits for. Taken off as the thing is built.

/// A name, or its beginning or end where there is a `*`, and what it waits for.
const WAITING: &[(&str, &str)] = &[
    ("binary_*", "binary frames"),
    ("longpoll_*", "the long poll transport"),
    ("presence_*", "presence"),
    ("*_v1", "the V1 serializer"),
    ("http_ws_no_vsn", "the V1 serializer, which no vsn means"),
    ("http_ws_vsn_1.0.5", "the V1 serializer"),
    ("http_path_ws_trailing", "the V1 serializer, which no vsn means"),
    ("http_path_ws_trailing_upgrade", "the V1 serializer, which no vsn means"),
];

/// What the transcript of this name waits for.
pub fn waits_for(name: &str) -> Option<&'static str> {
    WAITING.iter().find(|(pattern, _)| matches(pattern, name)).map(|(_, reason)| *reason)
}

fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(beginning), _) => name.starts_with(beginning),
        (_, Some(end)) => name.ends_with(end),
        _ => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_whole_or_at_one_end() {
        for (name, waits) in [
            ("binary_v2", true),
            ("echo_v1", true),
            ("http_ws_no_vsn", true),
            ("echo_v2", false),
            ("http_ws_vsn_2.0.9", false),
            ("http_ws_no_vsn_at_all", false),
        ] {
            assert_eq!(waits_for(name).is_some(), waits, "{name}");
        }
    }
}
