//! CSV: a table with or without a line of headings.

use csv::{Position, ReaderBuilder, StringRecord};

use super::token::ImportItem;

/// The records of a CSV file.
pub(super) struct Table {
    /// The first record, in lower case.
    headings: Vec<String>,
    records: Vec<StringRecord>,
}

/// A record of a table, by its headings.
pub(super) struct Row<'a> {
    headings: &'a [String],
    record: &'a StringRecord,
}

impl Table {
    /// The table that a text is, if it is one. Lines that begin with `#` are comments.
    pub(super) fn parse(text: &str) -> Option<Table> {
        let records: Vec<StringRecord> = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .from_reader(text.as_bytes())
            .into_records()
            .collect::<Result<_, _>>()
            .ok()?;
        let first = records.first().filter(|first| first.len() > 1)?;
        Some(Table {
            headings: first
                .iter()
                .map(|name| name.trim().to_ascii_lowercase())
                .collect(),
            records,
        })
    }

    /// Whether the first record names all these columns.
    pub(super) fn has_columns(&self, names: &[&str]) -> bool {
        names
            .iter()
            .all(|name| self.headings.iter().any(|heading| heading == name))
    }

    /// The first record, in lower case.
    pub(super) fn headings(&self) -> &[String] {
        &self.headings
    }

    /// The first record, which may be no headings.
    pub(super) fn first(&self) -> Option<&StringRecord> {
        self.records.first()
    }

    /// Every record, of a table without headings.
    pub(super) fn records(&self) -> &[StringRecord] {
        &self.records
    }

    /// The headings and the rows for which `is_wanted` says so.
    pub(super) fn with(&self, is_wanted: impl Fn(&Row) -> bool) -> Table {
        let mut records = self.records.clone();
        let mut is_first = true;
        records.retain(|record| std::mem::take(&mut is_first) || is_wanted(&self.row(record)));
        Table {
            headings: self.headings.clone(),
            records,
        }
    }

    fn row<'a>(&'a self, record: &'a StringRecord) -> Row<'a> {
        Row {
            headings: &self.headings,
            record,
        }
    }

    /// Reads each row below the headings, which are named by their lines.
    pub(super) fn items(&self, read: impl Fn(&Row) -> ImportItem) -> Vec<ImportItem> {
        self.records[1..]
            .iter()
            .map(|record| ImportItem {
                place: place(record),
                ..read(&self.row(record))
            })
            .collect()
    }
}

/// A column of a record, white space around it left out; nothing where there is none.
pub(super) fn field(record: &StringRecord, column: usize) -> &str {
    record.get(column).unwrap_or_default().trim()
}

/// Where a record begins: `line 3`.
pub(super) fn place(record: &StringRecord) -> String {
    format!("line {}", record.position().map_or(0, Position::line))
}

impl Row<'_> {
    /// Each field, white space around it left out, with its heading, which is empty where there are
    /// more fields than headings.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let headings = self.headings.iter().map(String::as_str);
        let headings = headings.chain(std::iter::repeat(""));
        headings.zip(self.record.iter().map(str::trim))
    }

    /// The field of a column; empty if it is missing.
    pub(super) fn get(&self, name: &str) -> &str {
        let column = self.headings.iter().position(|heading| heading == name);
        column
            .and_then(|column| self.record.get(column))
            .unwrap_or_default()
    }
}
