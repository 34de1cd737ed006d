//! The PROXY protocol: what a proxy says of the client before the client's own bytes. Pure.
//!
//! Versions 1 (a line of text) and 2 (binary), as in haproxy's `proxy-protocol.txt`; sections are its. Which address it
//! names is only as true as the proxy is trusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Version 1's longest line, CR LF included (§2.1).
const MAX_LINE_BYTES: usize = 107;
/// Version 2's longest header: 536 bytes must be taken (§2.2), and proxies that pass on certificates send more.
const MAX_BINARY_BYTES: usize = 4 << 10;
/// Begins version 2 (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Begins version 1.
const PREFIX: &[u8] = b"PROXY ";

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProxyHeader {
    /// Where the client is; `None` if the proxy speaks for itself (LOCAL) or does not know (UNKNOWN).
    pub(crate) client: Option<SocketAddr>,
    /// Its length.
    pub(crate) bytes: usize,
}

/// Why something is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("it does not begin with a PROXY header")]
    Missing,
    #[error("the PROXY line is longer than {MAX_LINE_BYTES} bytes")]
    LongLine,
    #[error("the PROXY line is malformed")]
    BadLine,
    #[error("the PROXY header has version or command {0:#04x}")]
    Version(u8),
    #[error("the PROXY header is {0} bytes long, at most {MAX_BINARY_BYTES} are taken")]
    LongHeader(usize),
    #[error("the PROXY header is too short for its addresses")]
    ShortAddresses,
}

/// The header at the front of `input`; `None` if more is needed.
pub(crate) fn parse(input: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    if is_prefix(input, SIGNATURE) {
        return if input.len() >= SIGNATURE.len() { parse_binary(input) } else { Ok(None) };
    }
    if is_prefix(input, PREFIX) {
        return parse_line(input);
    }
    Err(ProxyError::Missing)
}

/// Whether `input` begins with `start`, or is the beginning of it.
fn is_prefix(input: &[u8], start: &[u8]) -> bool {
    input.iter().zip(start).all(|(given, wanted)| given == wanted)
}

/// §2.1.
fn parse_line(input: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    let line = &input[..input.len().min(MAX_LINE_BYTES)];
    let Some(end) = line.windows(2).position(|bytes| bytes == b"\r\n") else {
        return if line.len() < MAX_LINE_BYTES { Ok(None) } else { Err(ProxyError::LongLine) };
    };
    let text = std::str::from_utf8(&line[PREFIX.len()..end]).map_err(|_| ProxyError::BadLine)?;
    let mut words = text.split(' ');
    let client = match words.next() {
        Some("TCP4") => Some(client_of::<Ipv4Addr>(words)?),
        Some("TCP6") => Some(client_of::<Ipv6Addr>(words)?),
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => None,
        _ => return Err(ProxyError::BadLine),
    };
    Ok(Some(ProxyHeader { client, bytes: end + 2 }))
}

/// Source, destination, source port, destination port: all must be there, the first of each counts.
fn client_of<A: FromStr + Into<IpAddr>>(mut words: std::str::Split<'_, char>) -> Result<SocketAddr, ProxyError> {
    let mut next = || words.next().ok_or(ProxyError::BadLine);
    let address = |word: &str| word.parse::<A>().map_err(|_| ProxyError::BadLine);
    let (source, _) = (address(next()?)?, address(next()?)?);
    let (port, _) = (port(next()?)?, port(next()?)?);
    if words.next().is_some() {
        return Err(ProxyError::BadLine);
    }
    Ok(SocketAddr::new(source.into(), port))
}

/// 0 to 65535, no sign, no leading zero.
fn port(word: &str) -> Result<u16, ProxyError> {
    let is_canonical = word == "0" || word.starts_with(|first: char| ('1'..='9').contains(&first));
    word.parse().ok().filter(|_| is_canonical).ok_or(ProxyError::BadLine)
}

/// §2.2.
fn parse_binary(input: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    let is_local = match input.get(12) {
        None => return Ok(None),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(&other) => return Err(ProxyError::Version(other)),
    };
    let Some(&[family, high, low]) = input.get(13..16).and_then(|bytes| bytes.first_chunk()) else { return Ok(None) };
    let bytes = 16 + usize::from(u16::from_be_bytes([high, low]));
    if bytes > MAX_BINARY_BYTES {
        return Err(ProxyError::LongHeader(bytes));
    }
    let Some(addresses) = input.get(16..bytes) else { return Ok(None) };
    // LOCAL: the connection is the proxy's own, a health check say, whatever addresses follow.
    let client = if is_local { None } else { client_in(family, addresses)? };
    Ok(Some(ProxyHeader { client, bytes }))
}

/// Behind the addresses may come type-length-value entries; none of them matters here.
fn client_in(family: u8, addresses: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    match family >> 4 {
        1 => {
            let block = addresses.first_chunk::<12>().ok_or(ProxyError::ShortAddresses)?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *block;
            Ok(Some(SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])))))
        }
        2 => {
            let block = addresses.first_chunk::<36>().ok_or(ProxyError::ShortAddresses)?;
            let (source, rest) = block.split_first_chunk::<16>().ok_or(ProxyError::ShortAddresses)?;
            Ok(Some(SocketAddr::from((*source, u16::from_be_bytes([rest[16], rest[17]])))))
        }
        // AF_UNSPEC and AF_UNIX name no address that we could use; others must be taken as unspecified, too.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;
