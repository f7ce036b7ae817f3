//! Puts measured figures where people read them: between two markers, and nowhere else.

use std::fs;
use std::path::Path;

use super::report::Report;

/// Writes the table into docs/PERFORMANCE.md and the number into README.md.
///
/// # Errors
/// When a page or its markers are missing.
pub(super) fn write(report: &Report, root: &Path) -> Result<(), String> {
    place(&root.join("docs/PERFORMANCE.md"), "floor", &report.markdown())?;
    match report.headline() {
        Some(headline) => place(&root.join("README.md"), "headline", &headline),
        None => Ok(()),
    }
}

/// Puts `content` between the markers of `name` in docs/PERFORMANCE.md.
///
/// # Errors
/// When the page or its markers are missing.
pub(crate) fn performance(name: &str, content: &str, root: &Path) -> Result<(), String> {
    place(&root.join("docs/PERFORMANCE.md"), name, content)
}

fn place(page: &Path, name: &str, content: &str) -> Result<(), String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", page.display());
    let text = fs::read_to_string(page).map_err(|error| wrong(&error))?;
    let text =
        replace(&text, name, content).ok_or_else(|| wrong(&format!("no markers for `{name}`")))?;
    fs::write(page, text).map_err(|error| wrong(&error))
}

/// `text` with what stands between the markers of `name` replaced.
fn replace(text: &str, name: &str, content: &str) -> Option<String> {
    let (begin, end) =
        (format!("<!-- measured:{name} -->\n"), format!("<!-- /measured:{name} -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{content}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_changes() {
        let page = "a\n<!-- measured:x -->\nold\n<!-- /measured:x -->\nb\n";
        let once = replace(page, "x", "new\n").unwrap();
        assert_eq!(once, "a\n<!-- measured:x -->\nnew\n<!-- /measured:x -->\nb\n");
        assert_eq!(replace(&once, "x", "new\n").unwrap(), once);
        assert_eq!(replace(page, "y", "new\n"), None);
    }

    #[test]
    fn the_pages_have_their_markers() {
        for (page, name) in [
            (include_str!("../../../docs/PERFORMANCE.md"), "floor"),
            (include_str!("../../../docs/PERFORMANCE.md"), "wire"),
            (include_str!("../../../docs/PERFORMANCE.md"), "joins"),
            (include_str!("../../../docs/PERFORMANCE.md"), "flood"),
            (include_str!("../../../docs/PERFORMANCE.md"), "memory"),
            (include_str!("../../../docs/PERFORMANCE.md"), "growth"),
            (include_str!("../../../docs/PERFORMANCE.md"), "turn"),
            (include_str!("../../../docs/PERFORMANCE.md"), "turn-refresh"),
            (include_str!("../../../docs/PERFORMANCE.md"), "peers"),
            (include_str!("../../../docs/PERFORMANCE.md"), "instructions"),
            (include_str!("../../../README.md"), "headline"),
        ] {
            assert!(replace(page, name, "").is_some(), "{name}");
        }
    }
}
