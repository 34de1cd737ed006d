//! The page of the chat, embedded: it comes from the binary alone and loads nothing from elsewhere.

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::get;

/// Path, media type and content of every file.
const FILES: &[(&str, &str, &str)] = &[
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page/chat.css", "text/css; charset=utf-8", include_str!("page/chat.css")),
    ("/page/wing.svg", "image/svg+xml", include_str!("page/wing.svg")),
    ("/page/chat.js", "text/javascript; charset=utf-8", include_str!("page/chat.js")),
    ("/page/log.js", "text/javascript; charset=utf-8", include_str!("page/log.js")),
    ("/page/room.js", "text/javascript; charset=utf-8", include_str!("page/room.js")),
    ("/page/rooms.js", "text/javascript; charset=utf-8", include_str!("page/rooms.js")),
    ("/page/session.js", "text/javascript; charset=utf-8", include_str!("page/session.js")),
];

/// Scripts and styles from here only, none inline; nobody frames us; no text becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// The page at `/` and what belongs to it.
pub(crate) fn router() -> Router {
    FILES.iter().fold(Router::new(), |router, (path, media_type, content)| {
        router.route(path, get(async move || file(media_type, content)))
    })
}

fn file(media_type: &'static str, content: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, media_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // The files belong together: one from an earlier version of the binary would not fit.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_nothing_that_its_policy_forbids() {
        let (_, _, html) = FILES[0];
        for inline in ["<style", " style=", "javascript:", " onclick=", " onload=", "<script>"] {
            assert!(!html.contains(inline), "{inline}");
        }
        for (path, _, content) in FILES.iter().filter(|(path, ..)| path.ends_with(".js")) {
            for markup in ["innerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!content.contains(markup), "{path}: {markup}");
            }
        }
    }

    #[test]
    fn whatever_the_page_asks_for_is_there() {
        let here = |path: &str| path.starts_with("/wingbeat") || FILES.iter().any(|(file, ..)| *file == path);
        for (path, _, content) in FILES {
            for before in ["src=\"", "href=\"", "from \""] {
                for reference in content.split(before).skip(1).filter_map(|rest| rest.split('"').next()) {
                    let asked = reference.strip_prefix('.').map_or(reference.to_owned(), |name| format!("/page{name}"));
                    assert!(here(&asked), "{path} asks for {asked}");
                }
            }
        }
    }
}
