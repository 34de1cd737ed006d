//! The figures, for whatever recorder the application has installed.

use std::collections::BTreeMap;

use metrics::{Label, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::observer::stats::Stats;

/// Name, unit and meaning of what only grows.
const COUNTERS: &[(&str, Unit, &str)] = &[
    ("wingbeat_connections_opened_total", Unit::Count, "WebSocket connections opened"),
    ("wingbeat_http_connections_opened_total", Unit::Count, "Connections handed to the HTTP server"),
    ("wingbeat_accepted_total", Unit::Count, "Connections accepted from the system"),
    ("wingbeat_turned_away_total", Unit::Count, "Connections sent away because the server was full"),
    ("wingbeat_handshakes_total", Unit::Count, "Requests for mounts by the status of the answer"),
    ("wingbeat_tls_failures_total", Unit::Count, "TLS handshakes that failed"),
    ("wingbeat_messages_received_total", Unit::Count, "Whole messages received"),
    ("wingbeat_messages_sent_total", Unit::Count, "Messages given to sockets"),
    ("wingbeat_received_bytes_total", Unit::Bytes, "Bytes read from sockets"),
    ("wingbeat_sent_bytes_total", Unit::Bytes, "Bytes given to sockets"),
    ("wingbeat_messages_dropped_total", Unit::Count, "Messages dropped because their peer does not read"),
    ("wingbeat_closes_total", Unit::Count, "Connections closed, by cause and code"),
    ("wingbeat_slow_turns_total", Unit::Count, "Turns longer than 100 ms, by callback"),
];

/// Name, unit and meaning of what comes and goes.
const GAUGES: &[(&str, Unit, &str)] = &[
    ("wingbeat_connections", Unit::Count, "WebSocket connections open now"),
    ("wingbeat_http_connections", Unit::Count, "Connections the HTTP server serves now"),
    ("wingbeat_inbox_commands", Unit::Count, "Commands that wait in the workers' inboxes"),
    ("wingbeat_output_bytes", Unit::Bytes, "Bytes that wait for peers that do not read"),
];

/// Tells the recorder what there is.
pub(crate) fn describe() {
    for (name, unit, meaning) in COUNTERS {
        describe_counter!(*name, *unit, *meaning);
    }
    for (name, unit, meaning) in GAUGES {
        describe_gauge!(*name, *unit, *meaning);
    }
}

/// Adds what has come since. Looks each name up anew, for a recorder may be installed at any time; this happens ten times
/// a second at most.
pub(crate) fn record(before: &Stats, after: &Stats) {
    for (name, before, after) in [
        ("wingbeat_connections_opened_total", before.connections_opened, after.connections_opened),
        ("wingbeat_http_connections_opened_total", before.http_connections_opened, after.http_connections_opened),
        ("wingbeat_accepted_total", before.accepted, after.accepted),
        ("wingbeat_turned_away_total", before.turned_away, after.turned_away),
        ("wingbeat_tls_failures_total", before.tls_failures, after.tls_failures),
        ("wingbeat_messages_received_total", before.messages_received, after.messages_received),
        ("wingbeat_messages_sent_total", before.messages_sent, after.messages_sent),
        ("wingbeat_received_bytes_total", before.bytes_received, after.bytes_received),
        ("wingbeat_sent_bytes_total", before.bytes_sent, after.bytes_sent),
        ("wingbeat_messages_dropped_total", before.messages_dropped, after.messages_dropped),
    ] {
        // Even by nothing: it shall be there before it happens.
        counter!(name).increment(after - before);
    }
    for (name, before, after) in [
        ("wingbeat_connections", before.connections, after.connections),
        ("wingbeat_http_connections", before.http_connections, after.http_connections),
        ("wingbeat_inbox_commands", before.inbox_commands, after.inbox_commands),
        ("wingbeat_output_bytes", before.output_bytes, after.output_bytes),
    ] {
        // Added up over the workers, so each tells only what changed.
        gauge!(name).increment(after as f64 - before as f64);
    }
    record_each(&before.handshakes, &after.handshakes, "wingbeat_handshakes_total", |status| {
        vec![Label::new("status", status.to_string())]
    });
    record_each(&before.closes, &after.closes, "wingbeat_closes_total", |(cause, code)| {
        vec![Label::new("cause", *cause), Label::new("code", code.to_string())]
    });
    record_each(&before.slow_turns, &after.slow_turns, "wingbeat_slow_turns_total", |callback| {
        vec![Label::new("callback", callback.clone())]
    });
}

fn record_each<K: Ord>(
    before: &BTreeMap<K, u64>,
    after: &BTreeMap<K, u64>,
    name: &'static str,
    labels: impl Fn(&K) -> Vec<Label>,
) {
    for (key, count) in after {
        let more = count - before.get(key).copied().unwrap_or_default();
        if more > 0 {
            counter!(name, labels(key)).increment(more);
        }
    }
}
