//! Tables without lines. Columns are as wide as their content and separated by spaces.

use comfy_table::{Row, Table, presets};

/// Returns one line per row.
pub fn draw<R: Into<Row>>(rows: impl IntoIterator<Item = R>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if table.is_empty() { String::new() } else { table.trim_fmt() + "\n" }
}
