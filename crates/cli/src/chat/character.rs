//! Who is speaking: a character with a name, known by a signed token.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wingbeat::prelude::*;
use wingbeat::token::{SignError, TokenError, Tokens};

use super::room::ChatChannel;

/// What tokens of characters are for; no other token passes as one.
const SALT: &str = "character socket";
/// Letters of a name.
const MAX_NAME_CHARS: usize = 24;
/// Ids stay exact as numbers of JavaScript.
const MAX_ID: u64 = (1 << 53) - 1;

/// One who logged in. Two may have the same name, never the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Character {
    pub(super) id: u64,
    pub(super) name: String,
}

/// A name that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameError {
    Empty,
    TooLong,
    Unprintable,
}

impl std::fmt::Display for NameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("a name has at least one letter"),
            Self::TooLong => write!(f, "a name has at most {MAX_NAME_CHARS} letters"),
            Self::Unprintable => f.write_str("a name has no invisible letters"),
        }
    }
}

impl Character {
    /// A new character. Words of the name are parted by one space each.
    pub(super) fn named(name: &str) -> Result<Self, NameError> {
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.chars().count() > MAX_NAME_CHARS {
            return Err(NameError::TooLong);
        }
        if name.chars().any(is_unprintable) {
            return Err(NameError::Unprintable);
        }
        let random = getrandom::u64().expect("the system has randomness");
        Ok(Self { id: random & MAX_ID, name })
    }

    /// A token that says so, good for a day.
    pub(super) fn sign(&self, tokens: &Tokens) -> Result<String, SignError> {
        tokens.sign(SALT, self)
    }

    /// Whose token it is.
    pub(super) fn verify(tokens: &Tokens, token: &str) -> Result<Self, TokenError> {
        tokens.verify(SALT, token)
    }
}

/// What could make one name look like another, or upset the line it stands in: controls, marks of direction, letters
/// of no width. The joiners (200C, 200D) are spelling in some scripts.
pub(super) fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A connection: of a character, or of a guest who brought no token.
pub(crate) struct CharacterSocket {
    pub(super) character: Option<Arc<Character>>,
}

impl Socket for CharacterSocket {
    type State = ();

    fn channels(routes: &mut Routes<Self>) {
        routes.channel::<ChatChannel>("chat:*");
    }

    async fn connect(params: &Params, cx: &ConnectInfo<()>) -> Result<Self, Refusal> {
        let character = match params.get("token") {
            Some(token) => Some(Arc::new(Character::verify(cx.tokens(), token)?)),
            None => None,
        };
        Ok(Self { character })
    }

    fn id(&self) -> Option<String> {
        self.character.as_ref().map(|character| format!("characters:{}", character.id))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use wingbeat::token::SignOptions;

    use super::*;

    fn tokens() -> Tokens {
        Tokens::new("a secret of the tests, long enough").unwrap()
    }

    #[test]
    fn names() {
        for (given, expected) in [
            ("Ada", Ok("Ada")),
            ("  Ada \t Lovelace ", Ok("Ada Lovelace")),
            ("Žofie 🦋", Ok("Žofie 🦋")),
            ("", Err(NameError::Empty)),
            (" \n ", Err(NameError::Empty)),
            ("123456789012345678901234", Ok("123456789012345678901234")),
            ("1234567890123456789012345", Err(NameError::TooLong)),
            ("A\u{202e}da", Err(NameError::Unprintable)),
            ("A\u{200b}da", Err(NameError::Unprintable)),
            ("A\u{0}da", Err(NameError::Unprintable)),
        ] {
            let name = Character::named(given).map(|character| character.name);
            assert_eq!(name.as_deref().map_err(|error| *error), expected, "{given:?}");
        }
    }

    #[test]
    fn two_of_one_name_are_two() {
        assert_ne!(Character::named("Ada").unwrap().id, Character::named("Ada").unwrap().id);
    }

    #[test]
    fn tokens_of_characters() {
        let ada = Character::named("Ada").unwrap();
        let token = ada.sign(&tokens()).unwrap();
        assert_eq!(Character::verify(&tokens(), &token), Ok(ada.clone()));
        let forged = format!("{}AAAA", &token[..token.len() - 4]);
        for bad in ["", "x", "a.b.c", &token[..20], &forged] {
            assert_eq!(Character::verify(&tokens(), bad), Err(TokenError::Invalid), "{bad}");
        }
        let other = Tokens::new("another secret, long enough as well").unwrap();
        assert_eq!(Character::verify(&other, &token), Err(TokenError::Invalid));
        let for_another_purpose = tokens().sign("user socket", &ada).unwrap();
        assert_eq!(Character::verify(&tokens(), &for_another_purpose), Err(TokenError::Invalid));
        let yesterday = SignOptions::DEFAULT.with_signed_at(SystemTime::now() - Duration::from_secs(86_401));
        let old = tokens().sign_with(SALT, &ada, yesterday).unwrap();
        assert_eq!(Character::verify(&tokens(), &old), Err(TokenError::Expired));
    }
}
