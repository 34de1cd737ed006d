//! The browser client, served as it is written: ES modules, no build step.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use wingbeat_transport::{Answer, Mount, Request, Server};

/// Path and text of every module.
const MODULES: &[(&str, &str)] = &[
    ("/wingbeat.js", include_str!("../js/wingbeat.js")),
    ("/wingbeat/backoff.js", include_str!("../js/wingbeat/backoff.js")),
    ("/wingbeat/callbacks.js", include_str!("../js/wingbeat/callbacks.js")),
    ("/wingbeat/channel.js", include_str!("../js/wingbeat/channel.js")),
    ("/wingbeat/heartbeat.js", include_str!("../js/wingbeat/heartbeat.js")),
    ("/wingbeat/page.js", include_str!("../js/wingbeat/page.js")),
    ("/wingbeat/params.js", include_str!("../js/wingbeat/params.js")),
    ("/wingbeat/push.js", include_str!("../js/wingbeat/push.js")),
    ("/wingbeat/serializer.js", include_str!("../js/wingbeat/serializer.js")),
    ("/wingbeat/socket.js", include_str!("../js/wingbeat/socket.js")),
    ("/wingbeat/timer.js", include_str!("../js/wingbeat/timer.js")),
];

/// Mounts the modules.
pub(crate) fn mount(server: Server) -> Server {
    MODULES.iter().fold(server, |server, (path, text)| server.mount(path, Module(text)))
}

struct Module(&'static str);

impl Mount for Module {
    fn handle_request(&self, request: Request) -> Answer {
        let mut response = http::Response::new(Bytes::new());
        match request.head.method {
            Method::GET => {
                *response.body_mut() = Bytes::from_static(self.0.as_bytes());
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
                // A new server must not meet an old client: asked for each time, small as it is.
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
                headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
            }
            _ => {
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            }
        }
        Answer::Respond(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that imports one we do not serve would fail in the browser only.
    #[test]
    fn every_import_is_served() {
        let mut imports = 0;
        for (path, text) in MODULES {
            let folder = &path[..=path.rfind('/').unwrap()];
            for (_, rest) in text.match_indices("from \"./").map(|(at, found)| text.split_at(at + found.len())) {
                let import = &rest[..rest.find('"').unwrap()];
                let target = format!("{folder}{import}");
                assert!(MODULES.iter().any(|(path, _)| *path == target), "{path} imports {target}");
                imports += 1;
            }
        }
        assert!(imports >= MODULES.len() - 1);
    }
}
