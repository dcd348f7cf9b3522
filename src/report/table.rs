//! Tables: columns that are wide enough for all that stands in them, blanks between, no lines.

use comfy_table::{Row, Table, presets};

/// A line for each row, with line ends.
pub fn draw<R: Into<Row>>(rows: impl IntoIterator<Item = R>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if table.is_empty() { String::new() } else { table.trim_fmt() + "\n" }
}
