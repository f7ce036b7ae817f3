//! A table of the page.

/// Its lines: the columns' names, and each row's cells.
pub(super) fn markdown<const N: usize>(
    columns: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut text = format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(N));
    for cells in rows {
        text += &format!("| {} |\n", cells.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_its_columns_a_rule_and_its_rows() {
        let rows = [["voice".to_owned(), "1".to_owned()]];
        let text = markdown(["workload", "lost"], rows);
        assert_eq!(text, "| workload | lost |\n|---|---|\n| voice | 1 |\n");
    }
}
