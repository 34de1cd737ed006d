//! Terms → bytes, byte for byte as a current BEAM writes them.

use super::{Term, VERSION, tag};

/// The term with the version byte before it.
pub(in super::super) fn encode(term: &Term) -> Vec<u8> {
    let mut output = vec![VERSION];
    put(term, &mut output);
    output
}

fn put(term: &Term, output: &mut Vec<u8>) {
    match term {
        Term::Atom(name) => put_atom(name, output),
        Term::Integer(value) => put_integer(*value, output),
        Term::BigInteger { negative, magnitude } => put_big(*negative, magnitude, output),
        Term::Float(value) => {
            output.push(tag::FLOAT);
            output.extend(value.to_be_bytes());
        }
        Term::Binary(bytes) => {
            put_count(tag::BINARY, bytes.len(), output);
            output.extend(bytes);
        }
        Term::List(items) => put_list(items, output),
        Term::Tuple(items) => {
            match u8::try_from(items.len()) {
                Ok(count) => output.extend([tag::SMALL_TUPLE, count]),
                Err(_) => put_count(tag::LARGE_TUPLE, items.len(), output),
            }
            items.iter().for_each(|item| put(item, output));
        }
        Term::Map(entries) => put_map(entries, output),
        Term::Opaque(bytes) => output.extend(bytes),
    }
}

/// A tag and a count of four bytes. Tokens are far shorter than four GiB, so the count always fits.
fn put_count(tag: u8, count: usize, output: &mut Vec<u8>) {
    output.push(tag);
    output.extend((count as u32).to_be_bytes());
}

fn put_atom(name: &str, output: &mut Vec<u8>) {
    match u8::try_from(name.len()) {
        Ok(len) => output.extend([tag::SMALL_ATOM_UTF8, len]),
        Err(_) => {
            output.push(tag::ATOM_UTF8);
            output.extend((name.len() as u16).to_be_bytes());
        }
    }
    output.extend(name.as_bytes());
}

fn put_integer(value: i128, output: &mut Vec<u8>) {
    if let Ok(small) = u8::try_from(value) {
        output.extend([tag::SMALL_INTEGER, small]);
    } else if let Ok(medium) = i32::try_from(value) {
        output.push(tag::INTEGER);
        output.extend(medium.to_be_bytes());
    } else {
        put_big(value < 0, &value.unsigned_abs().to_le_bytes(), output);
    }
}

fn put_big(negative: bool, magnitude: &[u8], output: &mut Vec<u8>) {
    let len = magnitude.len() - magnitude.iter().rev().take_while(|&&byte| byte == 0).count();
    match u8::try_from(len) {
        Ok(len) => output.extend([tag::SMALL_BIG, len]),
        Err(_) => put_count(tag::LARGE_BIG, len, output),
    }
    output.push(negative.into());
    output.extend(&magnitude[..len]);
}

/// A list of bytes that is not too long has a shorter form of its own.
fn put_list(items: &[Term], output: &mut Vec<u8>) {
    if items.is_empty() {
        output.push(tag::NIL);
        return;
    }
    let byte = |item: &Term| if let Term::Integer(value) = item { u8::try_from(*value).ok() } else { None };
    if let (Ok(len), Some(bytes)) = (u16::try_from(items.len()), items.iter().map(byte).collect::<Option<Vec<u8>>>()) {
        output.push(tag::STRING);
        output.extend(len.to_be_bytes());
        output.extend(bytes);
        return;
    }
    put_count(tag::LIST, items.len(), output);
    items.iter().for_each(|item| put(item, output));
    output.push(tag::NIL);
}

fn put_map(entries: &[(Term, Term)], output: &mut Vec<u8>) {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.compare_keys(b));
    put_count(tag::MAP, entries.len(), output);
    for (key, value) in sorted {
        put(key, output);
        put(value, output);
    }
}
