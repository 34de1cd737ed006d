//! The grammar of Sec-WebSocket-Extensions (§9.1).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::{as_token, is_token_byte};

/// One extension as it is offered or accepted: its name and its parameters, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// The name, a token.
    pub name: &'a str,
    /// Each parameter, with a value if it has one. The quotes of a quoted value are taken off.
    pub params: Vec<(&'a str, Option<Cow<'a, str>>)>,
}

/// Something does not follow the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The extensions of one header line. It ends after the first error.
pub(crate) fn parse_line(line: &[u8]) -> impl Iterator<Item = Result<Extension<'_>, Malformed>> {
    let mut cursor = Cursor(line);
    core::iter::from_fn(move || {
        // Empty items of a list are tolerated (RFC 9110 §5.6.1.2).
        cursor.skip_space();
        while cursor.eat(b',') {
            cursor.skip_space();
        }
        if cursor.0.is_empty() {
            return None;
        }
        let extension = cursor.extension().filter(|_| cursor.0.is_empty() || cursor.0[0] == b',');
        if extension.is_none() {
            cursor.0 = &[];
        }
        Some(extension.ok_or(Malformed))
    })
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn skip_space(&mut self) {
        let space = self.0.iter().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
        self.0 = &self.0[space..];
    }

    /// Skips `byte`, and the space behind it, if it is next.
    fn eat(&mut self, byte: u8) -> bool {
        let Some(rest) = self.0.strip_prefix(&[byte]) else { return false };
        self.0 = rest;
        self.skip_space();
        true
    }

    /// `extension = token *( ";" extension-param )`
    fn extension(&mut self) -> Option<Extension<'a>> {
        let name = self.token()?;
        let mut params = Vec::new();
        while self.eat(b';') {
            let param = self.token()?;
            let value = if self.eat(b'=') { Some(self.value()?) } else { None };
            params.push((param, value));
        }
        Some(Extension { name, params })
    }

    /// A token, and the space behind it.
    fn token(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        self.skip_space();
        as_token(token)
    }

    /// A token, plain or quoted: what is between the quotes must be a token, too.
    fn value(&mut self) -> Option<Cow<'a, str>> {
        let Some(mut rest) = self.0.strip_prefix(b"\"") else { return self.token().map(Cow::Borrowed) };
        let mut value = String::new();
        loop {
            let (&byte, behind) = rest.split_first()?;
            rest = behind;
            let byte = match byte {
                b'"' => break,
                b'\\' => {
                    let (&escaped, behind) = rest.split_first()?;
                    rest = behind;
                    escaped
                }
                byte => byte,
            };
            if !is_token_byte(byte) {
                return None;
            }
            value.push(char::from(byte));
        }
        self.0 = rest;
        self.skip_space();
        if value.is_empty() { None } else { Some(Cow::Owned(value)) }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    /// Writes what was read in one plain form, to be compared with.
    fn read(line: &[u8]) -> Result<String, Malformed> {
        let mut text = String::new();
        for extension in parse_line(line) {
            let Extension { name, params } = extension?;
            text.push_str(name);
            for (param, value) in params {
                text.push_str(&value.map_or(format!(";{param}"), |value| format!(";{param}={value}")));
            }
            text.push(' ');
        }
        Ok(text.trim_end().to_string())
    }

    #[test]
    fn extensions_9_1() {
        for (line, expected) in [
            ("", Ok("")),
            (" , ,", Ok("")),
            ("foo", Ok("foo")),
            ("foo,, bar ,", Ok("foo bar")),
            (
                "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
                Ok("permessage-deflate;client_max_window_bits;server_max_window_bits=10"),
            ),
            ("a;b=\"10\"", Ok("a;b=10")),
            ("a;b=\"1\\0\" , a", Ok("a;b=10 a")),
            ("  a  ;  b  =  c  ,  d  ", Ok("a;b=c d")),
            ("a;b=\"1 0\"", Err(Malformed)),
            ("a;b=\"\"", Err(Malformed)),
            ("a;b=\"10", Err(Malformed)),
            ("a;b=\"10\\", Err(Malformed)),
            ("a;b=\"10\"x", Err(Malformed)),
            ("a;", Err(Malformed)),
            ("a;b=", Err(Malformed)),
            ("a b", Err(Malformed)),
            ("a;b c", Err(Malformed)),
            (";", Err(Malformed)),
            ("=", Err(Malformed)),
            ("foo, =", Err(Malformed)),
        ] {
            assert_eq!(read(line.as_bytes()), expected.map(str::to_string), "{line}");
        }
    }

    /// Granian panicked over them (2026).
    #[test]
    fn ws_sec36_bytes_over_7f_are_refused() {
        for byte in 0x80..=0xFF {
            assert_eq!(read(&[b'a', byte]), Err(Malformed));
            assert_eq!(read(&[b'a', b';', b'b', b'=', b'"', byte, b'"']), Err(Malformed));
        }
    }

    /// The expression of ws for such a line took minutes (CVE-2021-32640).
    #[test]
    fn ws_sec19_a_line_of_spaces_is_read_once() {
        let line = [b" ".repeat(32 << 10), b"a".to_vec(), b" ".repeat(32 << 10), b";b".to_vec()].concat();
        assert_eq!(read(&line), Ok("a;b".to_string()));
    }
}
