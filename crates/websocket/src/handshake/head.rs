//! HTTP/1.1 heads: read within limits, written as they are (RFC 9112).

use alloc::vec::Vec;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};

/// How large a head may be. `Default` is [`HeadLimits::DEFAULT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadLimits {
    /// Largest head, its blank line included, in bytes. Default: 16 KiB. Over it: 431.
    pub max_bytes: usize,
    /// Most header lines. Default: 100. Over it: 431.
    pub max_headers: usize,
    /// Longest request target, in bytes. Default: 8 KiB. Over it: 414.
    pub max_target_bytes: usize,
}

impl HeadLimits {
    /// 16 KiB, 100 headers, 8 KiB for the target.
    pub const DEFAULT: Self = Self { max_bytes: 16 << 10, max_headers: 100, max_target_bytes: 8 << 10 };

    /// Sets the largest head, in bytes.
    #[must_use]
    pub const fn with_max_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }

    /// Sets how many header lines there may be.
    #[must_use]
    pub const fn with_max_headers(self, max_headers: usize) -> Self {
        Self { max_headers, ..self }
    }

    /// Sets the longest request target, in bytes.
    #[must_use]
    pub const fn with_max_target_bytes(self, max_target_bytes: usize) -> Self {
        Self { max_target_bytes, ..self }
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

const _: () = assert!(HeadLimits::DEFAULT.max_target_bytes < HeadLimits::DEFAULT.max_bytes);

/// Blank lines that may come before a head, in bytes: two of them.
const MAX_BLANK_BYTES: usize = 4;

/// What came is not a head, or not within the limits. Answer [`status`](Self::status) and hang up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The bytes are not HTTP. 400.
    #[error("the head is malformed")]
    Malformed,
    /// The request target is too long. 414.
    #[error("the request target is too long")]
    TargetTooLong,
    /// The head has too many bytes or too many headers. 431.
    #[error("the head is too large")]
    TooLarge,
    /// The version is not HTTP/1.0 or HTTP/1.1. 505.
    #[error("the version of HTTP is not supported")]
    Version,
}

impl HeadError {
    /// The status to answer with.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }
}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self::TooLarge,
            httparse::Error::Version => Self::Version,
            _ => Self::Malformed,
        }
    }
}

/// Whether `new_bytes`, behind what was read before, can complete a head: whether a line ends in them.
///
/// [`parse_head`] begins at the front each time. A caller that asks here first parses at most once a line, however small
/// the pieces are, and so in time linear in the head.
pub fn may_complete_head(new_bytes: &[u8]) -> bool {
    new_bytes.contains(&b'\n')
}

/// Reads the request head at the front of `bytes`, and how many bytes it takes; `None` if it is not all there yet.
/// What lies behind it is the first frames (or a body).
///
/// # Errors
///
/// The bytes cannot become a head, or not within `limits`; found as early as possible.
pub fn parse_head(bytes: &[u8], limits: HeadLimits) -> Result<Option<(Request<()>, usize)>, HeadError> {
    check_blank(bytes)?;
    let mut lines = alloc::vec![httparse::EMPTY_HEADER; limits.max_headers];
    let mut parsed = httparse::Request::new(&mut lines);
    let used = match parsed.parse(&bytes[..bytes.len().min(limits.max_bytes)])? {
        httparse::Status::Complete(used) => used,
        httparse::Status::Partial => {
            check_target(target_so_far(bytes).len(), limits)?;
            return if bytes.len() < limits.max_bytes { Ok(None) } else { Err(HeadError::TooLarge) };
        }
    };
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    check_target(target.len(), limits)?;
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| HeadError::Malformed)?;
    *request.uri_mut() = Uri::try_from(target).map_err(|_| HeadError::Malformed)?;
    *request.version_mut() = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    *request.headers_mut() = header_map(parsed.headers)?;
    Ok(Some((request, used)))
}

/// Blank lines before a head are ignored (RFC 9112 §2.2), but not for ever: each would cost a look at all before it.
fn check_blank(bytes: &[u8]) -> Result<(), HeadError> {
    let blank_bytes = bytes.iter().take(MAX_BLANK_BYTES + 1).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if blank_bytes > MAX_BLANK_BYTES { Err(HeadError::Malformed) } else { Ok(()) }
}

fn check_target(target_bytes: usize, limits: HeadLimits) -> Result<(), HeadError> {
    if target_bytes > limits.max_target_bytes { Err(HeadError::TargetTooLong) } else { Ok(()) }
}

/// What has come of the request target: behind the first space, up to the next or the end of the line.
fn target_so_far(bytes: &[u8]) -> &[u8] {
    // Blank lines before a request are ignored (RFC 9112 §2.2).
    let line = bytes.trim_ascii_start().split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.split(|&byte| byte == b' ').nth(1).unwrap_or_default()
}

/// Reads the response head at the front of `bytes`, like [`parse_head`].
pub(super) fn parse_response_head(
    bytes: &[u8],
    limits: HeadLimits,
) -> Result<Option<(Response<()>, usize)>, HeadError> {
    check_blank(bytes)?;
    let mut lines = alloc::vec![httparse::EMPTY_HEADER; limits.max_headers];
    let mut parsed = httparse::Response::new(&mut lines);
    let used = match parsed.parse(&bytes[..bytes.len().min(limits.max_bytes)])? {
        httparse::Status::Complete(used) => used,
        httparse::Status::Partial if bytes.len() < limits.max_bytes => return Ok(None),
        httparse::Status::Partial => return Err(HeadError::TooLarge),
    };
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(|_| HeadError::Malformed)?;
    *response.version_mut() = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    *response.headers_mut() = header_map(parsed.headers)?;
    Ok(Some((response, used)))
}

fn header_map(lines: &[httparse::Header<'_>]) -> Result<HeaderMap, HeadError> {
    let mut headers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| HeadError::Malformed)?;
        let value = HeaderValue::from_bytes(line.value).map_err(|_| HeadError::Malformed)?;
        headers.try_append(name, value).map_err(|_| HeadError::TooLarge)?;
    }
    Ok(headers)
}

/// Appends the head of `response` as HTTP/1.1, its blank line included. The body is the caller's.
///
/// Names are written as RFC 6455 and RFC 9110 spell them (`Sec-WebSocket-Accept`): some clients look up one spelling.
pub fn write_response_head<B>(response: &Response<B>, output: &mut Vec<u8>) {
    let status = response.status();
    output.extend_from_slice(b"HTTP/1.1 ");
    output.extend_from_slice(status.as_str().as_bytes());
    output.push(b' ');
    output.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    output.extend_from_slice(b"\r\n");
    write_headers(response.headers(), output);
    output.extend_from_slice(b"\r\n");
}

/// Appends each header as a line. A `HeaderMap` holds no line break, so none can be smuggled in (SEC11).
pub(super) fn write_headers(headers: &HeaderMap, output: &mut Vec<u8>) {
    for (name, value) in headers {
        write_name(name.as_str(), output);
        output.extend_from_slice(b": ");
        output.extend_from_slice(value.as_bytes());
        output.extend_from_slice(b"\r\n");
    }
}

fn write_name(name: &str, output: &mut Vec<u8>) {
    let start = output.len();
    let mut before = b'-';
    for byte in name.bytes() {
        output.push(if before == b'-' { byte.to_ascii_uppercase() } else { byte });
        before = byte;
    }
    if name.starts_with("sec-websocket") {
        output[start + "sec-web".len()] = b'S';
    }
}
