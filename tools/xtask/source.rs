//! Rust source seen three ways: only its code, only its comments, and which of its lines are tests.
//!
//! Every view has the same lines as the source, with the rest blanked, so line numbers stay true.
//! This is a lexer of comments, strings and characters and no more: enough to keep a rule from
//! tripping over a word in a sentence.

/// One file, taken apart.
pub(crate) struct Source {
    /// The code, with comments and the insides of literals blanked.
    pub code: String,
    /// The comments, with everything else blanked.
    pub comments: String,
    /// The line (from 0) where `#[cfg(test)]` first stands; tests come last in a file.
    tests_from: usize,
}

impl Source {
    /// Takes `text` apart. `path` says whether the whole file is test code.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        let tests_from = if is_test_file(path) {
            0
        } else {
            code.lines().position(|line| line.contains("#[cfg(test)]")).unwrap_or(usize::MAX)
        };
        Self { code, comments, tests_from }
    }

    /// Lines of code that ship, numbered from 1.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        numbered(&self.code).take_while(|(line, _)| *line <= self.tests_from)
    }

    /// Lines of code that only tests run, numbered from 1.
    pub(crate) fn tests(&self) -> impl Iterator<Item = (usize, &str)> {
        numbered(&self.code).skip_while(|(line, _)| *line <= self.tests_from)
    }
}

/// The lines of a text, numbered from 1.
pub(crate) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Whether `text` contains `word` with no letter, digit or underscore on either side.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

fn is_test_file(path: &str) -> bool {
    let folder =
        |name: &str| path.starts_with(&format!("{name}/")) || path.contains(&format!("/{name}/"));
    folder("tests") || path.ends_with("/tests.rs")
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

fn split(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let (mut code, mut comments) = (String::new(), String::new());
    let mut at = 0;
    while at < bytes.len() {
        let (kind, end) = token(bytes, at);
        // Every token ends on a character's border: its delimiters are ASCII.
        for c in text[at..end].chars() {
            let blank = if c == '\n' { '\n' } else { ' ' };
            code.push(if kind == Kind::Code { c } else { blank });
            comments.push(if kind == Kind::Comment { c } else { blank });
        }
        at = end;
    }
    (code, comments)
}

/// What begins at `at`, and where it ends.
fn token(bytes: &[u8], at: usize) -> (Kind, usize) {
    let rest = &bytes[at..];
    match rest {
        [b'/', b'/', ..] => (Kind::Comment, at + find(rest, b"\n", 0)),
        [b'/', b'*', ..] => (Kind::Comment, at + block_comment(rest)),
        [b'"', ..] => (Kind::Literal, at + quoted(rest)),
        [b'r', b'"' | b'#', ..] if !follows_name(bytes, at) => match raw_string(rest) {
            Some(len) => (Kind::Literal, at + len),
            None => (Kind::Code, at + 1),
        },
        [b'\'', ..] => match character(rest) {
            Some(len) => (Kind::Literal, at + len),
            None => (Kind::Code, at + 1), // a lifetime
        },
        _ => {
            let mut end = at + 1;
            while end < bytes.len() && bytes[end] & 0xC0 == 0x80 {
                end += 1;
            }
            (Kind::Code, end)
        }
    }
}

/// Whether the `r` at `at` ends a longer name (`br"..."` begins a literal all the same).
fn follows_name(bytes: &[u8], at: usize) -> bool {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match at.checked_sub(1).map(|before| bytes[before]) {
        Some(b'b' | b'c') => at >= 2 && part(bytes[at - 2]),
        Some(before) => part(before),
        None => false,
    }
}

/// Bytes up to and with `end`, searched from `from`; all of them when it never comes.
fn find(bytes: &[u8], end: &[u8], from: usize) -> usize {
    (from..bytes.len())
        .find(|at| bytes[*at..].starts_with(end))
        .map_or(bytes.len(), |at| at + end.len())
}

fn block_comment(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (2, 1);
    while at < bytes.len() && depth > 0 {
        match &bytes[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}

fn quoted(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len() // it never ends
}

fn raw_string(bytes: &[u8]) -> Option<usize> {
    let hashes = bytes[1..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(1 + hashes) != Some(&b'"') {
        return None; // r#name
    }
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    Some(find(bytes, &end, 2 + hashes))
}

fn character(bytes: &[u8]) -> Option<usize> {
    if bytes.get(1) == Some(&b'\\') {
        return Some(find(bytes, b"'", 3));
    }
    // One character of one to four bytes, then the closing quote; otherwise it is a lifetime.
    (2..=5)
        .find(|at| bytes.get(*at) == Some(&b'\''))
        .filter(|at| *at == 2 || bytes[1] >= 0x80)
        .map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::new("src/x.rs", text).code
    }

    #[test]
    fn words_in_comments_and_literals_are_not_code() {
        assert_eq!(code("a // unsafe\nb"), "a          \nb");
        assert_eq!(code("a /* x /* y */ z */ b"), "a                   b");
        assert_eq!(code(r#"f("un\"safe", 'u', '\'')"#).replace(' ', ""), "f(,,)");
        assert_eq!(code("f(r#\"a\"b\"#, br\"c\")").replace(' ', ""), "f(,b)");
    }

    #[test]
    fn lifetimes_and_raw_names_are_code() {
        for text in ["fn f<'a>(x: &'a str, y: &'static u8)", "let r#type = var;"] {
            assert_eq!(code(text), text);
        }
    }

    #[test]
    fn characters_outside_ascii_survive() {
        assert_eq!(code("─ '─' é"), "─     é");
    }

    #[test]
    fn comments_are_what_is_left() {
        let source = Source::new("src/x.rs", "let a = \"// no\"; // yes\nb");
        assert_eq!(source.comments.trim(), "// yes");
        assert_eq!(source.comments.lines().count(), 2);
    }

    #[test]
    fn tests_begin_where_the_attribute_stands() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {}";
        let inline = Source::new("src/x.rs", text);
        assert_eq!(inline.shipped().count(), 1);
        assert_eq!(inline.tests().map(|(line, _)| line).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(Source::new("tests/x.rs", text).shipped().count(), 0);
        assert_eq!(Source::new("tests/interop/tests/x.rs", text).tests().count(), 3);
    }

    #[test]
    fn a_word_is_not_part_of_a_longer_one() {
        assert!(has_word("x = unsafe {", "unsafe"));
        assert!(!has_word("forbid(unsafe_code)", "unsafe"));
        assert!(!has_word("RwLockGuard", "RwLock"));
    }
}
