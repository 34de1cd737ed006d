//! What a client says about itself in the URL: query parameters in bracket form, and the path's variables.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Deepest nesting of brackets; deeper keys are an error. No client goes beyond three.
const MAX_DEPTH: usize = 16;

/// Most pairs in a query. Finding a name walks all of them, so a full request head of pairs would cost milliseconds.
const MAX_PAIRS: usize = 256;

/// The parameters of a connection. All values are strings; brackets nest them (row C5): `o[x][0]=1`, `list[]=a`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Param)>);

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Param {
    /// `a=1`
    Text(String),
    /// `a[]=1&a[]=2`
    List(Vec<Param>),
    /// `a[b]=1`
    Map(Params),
}

impl Param {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(_) | Self::Map(_) => None,
        }
    }
}

impl Params {
    /// Reads a query. Empty pairs are ignored (row C6), of twins the last wins.
    pub fn parse(query: &str) -> Result<Self, ParamsError> {
        let mut params = Self::default();
        for (index, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if index >= MAX_PAIRS {
                return Err(ParamsError::TooMany);
            }
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decode(key)?, decode(value)?);
            if key.is_empty() {
                continue;
            }
            let path = path(&key)?;
            params.insert(&path, value);
        }
        Ok(params)
    }

    /// The text of `name`; `None` if there is none or it is nested.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.param(name)?.as_str()
    }

    /// The parameter `name`, nested or not.
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, param)| param)
    }

    /// All of them, in the order in which they first came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Param)> {
        self.0.iter().map(|(key, param)| (key.as_str(), param))
    }

    /// Sets `name`, whatever it was: path variables win (row C3).
    pub(crate) fn set(&mut self, name: &str, value: String) {
        *self.entry(name) = Param::Text(value);
    }

    fn entry(&mut self, name: &str) -> &mut Param {
        let index = self.0.iter().position(|(key, _)| key == name).unwrap_or_else(|| {
            self.0.push((name.to_owned(), Param::Text(String::new())));
            self.0.len() - 1
        });
        &mut self.0[index].1
    }

    fn insert(&mut self, path: &[&str], value: String) {
        if let [name, rest @ ..] = path {
            let entry = self.entry(name);
            insert(entry, rest, value);
        }
    }
}

/// Puts `value` at `path` below `param`. What stood there in another shape gives way: the last wins.
fn insert(param: &mut Param, path: &[&str], value: String) {
    match path {
        [] => *param = Param::Text(value),
        ["", rest @ ..] => {
            if !matches!(param, Param::List(_)) {
                *param = Param::List(Vec::new());
            }
            if let Param::List(list) = param {
                let mut item = Param::Text(String::new());
                insert(&mut item, rest, value);
                list.push(item);
            }
        }
        _ => {
            if !matches!(param, Param::Map(_)) {
                *param = Param::Map(Params::default());
            }
            if let Param::Map(map) = param {
                map.insert(path, value);
            }
        }
    }
}

/// `o[x][]` is `o`, `x`, ``. A key whose brackets do not match is one plain name.
fn path(key: &str) -> Result<Vec<&str>, ParamsError> {
    let Some((name, rest)) = key.split_once('[').filter(|(name, rest)| !name.is_empty() && rest.ends_with(']')) else {
        return Ok(vec![key]);
    };
    let mut path = vec![name];
    path.extend(rest[..rest.len() - 1].split("]["));
    if path.len() > MAX_DEPTH { Err(ParamsError::TooDeep) } else { Ok(path) }
}

/// Form decoding: `+` is a space, `%` begins a byte.
pub(crate) fn decode(text: &str) -> Result<String, ParamsError> {
    if !text.contains(['%', '+']) {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => match tail {
                [high, low, tail @ ..] => {
                    rest = tail;
                    hex(*high)? << 4 | hex(*low)?
                }
                _ => return Err(ParamsError::Escape),
            },
            other => *other,
        });
    }
    String::from_utf8(bytes).map_err(|_| ParamsError::Utf8)
}

fn hex(digit: u8) -> Result<u8, ParamsError> {
    (digit as char).to_digit(16).map(|digit| digit as u8).ok_or(ParamsError::Escape)
}

/// As a JSON object, the way Phoenix shows them.
impl Serialize for Params {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, param) in &self.0 {
            map.serialize_entry(key, param)?;
        }
        map.end()
    }
}

impl Serialize for Param {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::List(list) => list.serialize(serializer),
            Self::Map(map) => map.serialize(serializer),
        }
    }
}

/// The query is none; answered 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// `%` not followed by two hexadecimal digits.
    #[error("the query has a broken percent escape")]
    Escape,
    /// What is escaped is not UTF-8.
    #[error("the query is not UTF-8")]
    Utf8,
    /// More brackets than anybody needs.
    #[error("the query nests deeper than {MAX_DEPTH}")]
    TooDeep,
    /// More pairs than anybody needs.
    #[error("the query has more than {MAX_PAIRS} pairs")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ch_c5_c6_queries() {
        for (query, expected) in [
            ("", json!({})),
            ("vsn=2.0.0", json!({ "vsn": "2.0.0" })),
            ("a[b]=1&a[c][]=2&a[c][]=3", json!({ "a": { "b": "1", "c": ["2", "3"] } })),
            ("o%5Bx%5D%5B0%5D=1", json!({ "o": { "x": { "0": "1" } } })),
            ("a=1&&vsn=2.0.0&", json!({ "a": "1", "vsn": "2.0.0" })),
            ("a=1&a=2", json!({ "a": "2" })),
            ("a=1&a[b]=2", json!({ "a": { "b": "2" } })),
            ("a", json!({ "a": "" })),
            ("a=b=c", json!({ "a": "b=c" })),
            ("=1", json!({})),
            ("n=a+b%20c%C5%BC", json!({ "n": "a b cż" })),
            ("a[b=1", json!({ "a[b": "1" })),
            ("[]=1", json!({ "[]": "1" })),
            ("a[][b]=1", json!({ "a": [{ "b": "1" }] })),
        ] {
            assert_eq!(serde_json::to_value(Params::parse(query).unwrap()).unwrap(), expected, "{query}");
        }
    }

    #[test]
    fn broken_queries() {
        let deep = format!("a{}=1", "[b]".repeat(100));
        let many = "a&".repeat(MAX_PAIRS + 1);
        for (query, expected) in [
            ("a=%", ParamsError::Escape),
            ("a=%zz", ParamsError::Escape),
            ("a=%ff", ParamsError::Utf8),
            (&deep, ParamsError::TooDeep),
            (&many, ParamsError::TooMany),
        ] {
            assert_eq!(Params::parse(query), Err(expected), "{query}");
        }
    }

    #[test]
    fn ch_c3_path_variables_win() {
        let mut params = Params::parse("uid=9&x=1").unwrap();
        params.set("uid", "7".into());
        assert_eq!((params.get("uid"), params.get("x"), params.get("y")), (Some("7"), Some("1"), None));
    }
}
