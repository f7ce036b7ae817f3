//! Bencode, as far as rtpengine's control protocol needs it: a dictionary of texts out, anything in.
//!
//! ```text
//!   d 7:command 4:ping e        {"command": "ping"}
//!   l i7e 2:ab e                [7, "ab"]
//! ```

use serde_json::{Map, Value};

/// Lists and dictionaries in each other, at most.
const DEPTH_MAX: usize = 16;

/// What stands in a dictionary.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry<'a> {
    Text(&'a str),
    Texts(&'a [&'a str]),
}

/// A dictionary.
pub(super) fn dictionary(entries: &[(&str, Entry<'_>)]) -> String {
    let text = |text: &str| format!("{}:{text}", text.len());
    let value = |entry: &Entry<'_>| match entry {
        Entry::Text(one) => text(one),
        Entry::Texts(all) => {
            let all: String = all.iter().map(|one| text(one)).collect();
            format!("l{all}e")
        }
    };
    let body: String = entries.iter().map(|(key, entry)| text(key) + &value(entry)).collect();
    format!("d{body}e")
}

/// What `bytes` say; `None` when they are no bencode, or more than one item.
pub(super) fn read(bytes: &[u8]) -> Option<Value> {
    let (value, rest) = item(bytes, DEPTH_MAX)?;
    rest.is_empty().then_some(value)
}

/// The item at the beginning, and what is behind it.
fn item(bytes: &[u8], depth: usize) -> Option<(Value, &[u8])> {
    let depth = depth.checked_sub(1)?;
    match bytes.split_first()? {
        (b'i', rest) => {
            let (number, rest) = until(rest, b'e')?;
            Some((number.parse::<i64>().ok()?.into(), rest))
        }
        (b'l', mut rest) => {
            let mut items = Vec::new();
            while rest.first() != Some(&b'e') {
                let (value, after) = item(rest, depth)?;
                items.push(value);
                rest = after;
            }
            Some((items.into(), &rest[1..]))
        }
        (b'd', mut rest) => {
            let mut entries = Map::new();
            while rest.first() != Some(&b'e') {
                let (key, after) = text(rest)?;
                let (value, after) = item(after, depth)?;
                entries.insert(key, value);
                rest = after;
            }
            Some((entries.into(), &rest[1..]))
        }
        _ => text(bytes).map(|(text, rest)| (text.into(), rest)),
    }
}

fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (len, rest) = until(bytes, b':')?;
    let (text, rest) = rest.split_at_checked(len.parse().ok()?)?;
    Some((String::from_utf8_lossy(text).into_owned(), rest))
}

fn until(bytes: &[u8], end: u8) -> Option<(&str, &[u8])> {
    let at = bytes.iter().position(|byte| *byte == end)?;
    Some((str::from_utf8(&bytes[..at]).ok()?, &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let flags = Entry::Texts(&["one", "two"]);
        let text = dictionary(&[("sdp", Entry::Text("v=0\r\n")), ("flags", flags)]);
        assert_eq!(text, "d3:sdp5:v=0\r\n5:flagsl3:one3:twoee");
        let value = json!({"sdp": "v=0\r\n", "flags": ["one", "two"]});
        assert_eq!(read(text.as_bytes()), Some(value));
    }

    #[test]
    fn everything_there_is_is_read() {
        let text = b"d6:result2:ok4:tagsl1:ai-7el0:eed1:xdeee";
        assert_eq!(read(text), None, "a key is a text");
        let text = b"d6:result2:ok4:tagsl1:ai-7el0:ee1:xdee";
        let value = json!({"result": "ok", "tags": ["a", -7, [""]], "x": {}});
        assert_eq!(read(text), Some(value));
    }

    #[test]
    fn what_is_no_bencode_is_nothing() {
        let whole = b"d6:result2:ok4:tagsl1:ai-7eee";
        assert!(read(whole).is_some());
        for len in 0..whole.len() {
            assert_eq!(read(&whole[..len]), None, "{len} bytes");
        }
        for wrong in ["e", "x", "i7", "ixe", "3:ab", "-1:a", "2:abc", "99999999999999999999:a"] {
            assert_eq!(read(wrong.as_bytes()), None, "{wrong}");
        }
        let nested = |depth| "l".repeat(depth) + &"e".repeat(depth);
        assert!(read(nested(DEPTH_MAX).as_bytes()).is_some());
        assert_eq!(read(nested(DEPTH_MAX + 1).as_bytes()), None);
    }
}
