//! Lists with columns: exports of MISP, abuse.ch feeds, spreadsheets (RFC 4180; also `;` and tabs).
//!
//! Which columns hold values is told by the header (a first line, or the last comment line before
//! the data); without one, by the content of the first rows. A column called `type` beside a value
//! column states the kind in MISP's words, STIX's or plain ones; otherwise each value is judged by
//! itself.

use besa_event::observable::ObservableKind;

use super::misp::{self, Typed};
use super::{Description, Loading, Place, list};

const CELLS_MAX: usize = 256;
const ROW_BYTES_MAX: usize = 64 << 10;
/// Unclosed quotes met before quotes mean nothing any more.
const UNCLOSED_MAX: usize = 16;
const SAMPLE_ROWS: usize = 20;
const SAMPLE_BYTES: usize = 256 << 10;

/// How a file is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    separator: u8,
    columns: Vec<Column>,
    type_column: Option<usize>,
    to_ids_column: Option<usize>,
    has_header: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Column {
    at: usize,
    /// Stated by the column's name.
    kind: Option<Named>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Kind(ObservableKind),
    /// Any hash.
    Hash,
}

/// Names of value columns; without a kind the value or the type column tells it.
fn column_kind(name: &str) -> Option<Option<Named>> {
    use ObservableKind as Kind;
    let name: String = name.trim().to_ascii_lowercase().replace([' ', '-'], "_");
    let kind = |kind| Some(Some(Named::Kind(kind)));
    match name.as_str() {
        "indicator" | "ioc" | "ioc_value" | "value" | "observable" | "indicator_value"
        | "observable_value" => Some(None),
        "url" | "urls" | "malware_url" => kind(Kind::Url),
        "domain" | "domains" | "hostname" | "fqdn" | "domain_name" => kind(Kind::Domain),
        "ip" | "ip_address" | "ipaddress" | "ipv4" | "ipv6" | "dst_ip" | "dest_ip" | "src_ip" | "c2_ip"
        | "ip_addr" => kind(Kind::Network),
        "cidr" | "network" | "netblock" => kind(Kind::Network),
        "md5" | "md5_hash" | "sha1" | "sha1_hash" | "sha256" | "sha256_hash" | "sha512" | "sha512_hash"
        | "hash" | "hashes" | "file_hash" => Some(Some(Named::Hash)),
        "email" | "email_address" | "mail" | "sender" => kind(Kind::Email),
        "filename" | "file_name" => kind(Kind::FileName),
        "filepath" | "file_path" => kind(Kind::FilePath),
        "regkey" | "registry_key" | "registrykey" => kind(Kind::RegistryKey),
        "mutex" => kind(Kind::Mutex),
        _ => None,
    }
}

/// Whether a text has columns, and which.
pub(super) fn recognise(bytes: &[u8]) -> Option<Shape> {
    let sample = &bytes[..bytes.len().min(SAMPLE_BYTES)];
    [b',', b';', b'\t'].into_iter().find_map(|separator| shape(sample, separator))
}

fn shape(sample: &[u8], separator: u8) -> Option<Shape> {
    let mut comment: Option<Vec<String>> = None;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (_, row) in Rows::new(sample, separator).take(2_000) {
        match row {
            Row::Comment(text) => {
                if rows.is_empty() {
                    let line = text.trim_start_matches(['#', ' ', '/']);
                    comment = Rows::new(line.as_bytes(), separator)
                        .next()
                        .and_then(|(_, row)| match row {
                            Row::Cells(cells) => Some(cells),
                            _ => None,
                        })
                        .or(comment);
                }
            }
            Row::Cells(cells) => rows.push(cells),
            Row::Bad(_) => {}
        }
        if rows.len() > SAMPLE_ROWS {
            break;
        }
    }
    let first = rows.first()?;
    if let Some(shape) = of_header(first, separator, true) {
        return Some(shape);
    }
    let width = first.len();
    if width < 2 || rows.iter().any(|row| row.len() != width) {
        return None;
    }
    if let Some(header) = comment.filter(|header| header.len() == width)
        && let Some(shape) = of_header(&header, separator, false)
    {
        return Some(shape);
    }
    of_content(&rows, separator)
}

fn of_header(header: &[String], separator: u8, has_header: bool) -> Option<Shape> {
    let position = |wanted: &[&str]| {
        header.iter().position(|name| wanted.iter().any(|wanted| name.trim().eq_ignore_ascii_case(wanted)))
    };
    let columns: Vec<Column> = header
        .iter()
        .enumerate()
        .filter_map(|(at, name)| Some(Column { at, kind: column_kind(name)? }))
        .collect();
    let type_column = position(&["type", "indicator_type", "ioc_type", "observable_type", "indicator type"]);
    if columns.is_empty() || (header.len() < 2 && !has_header) {
        return None;
    }
    // In a single column a comma belongs to the value.
    let separator = if header.len() == 1 { 0 } else { separator };
    // Where a column holds any kind, the columns of one kind are about something else (the URL of
    // the report, the sender of the list).
    let general: Vec<Column> = columns.iter().copied().filter(|column| column.kind.is_none()).collect();
    let columns = if general.is_empty() { columns } else { general };
    Some(Shape { separator, columns, type_column, to_ids_column: position(&["to_ids"]), has_header })
}

/// The first column of which most cells are values of a kind that can be told.
fn of_content(rows: &[Vec<String>], separator: u8) -> Option<Shape> {
    let known = |cell: &String| list::detect(&besa_event::observable::refang(cell.trim())).is_some();
    let count = |at: usize| rows.iter().filter_map(|row| row.get(at)).filter(|cell| known(cell)).count();
    let at = (0..rows.first()?.len()).find(|at| count(*at) * 5 >= rows.len() * 3)?;
    let columns = vec![Column { at, kind: None }];
    Some(Shape { separator, columns, type_column: None, to_ids_column: None, has_header: false })
}

pub(super) fn load(loading: &mut Loading<'_>, bytes: &[u8], shape: &Shape) {
    let record = loading.record(&Description { each: true, ..Description::default() });
    loading.run(record);
    let mut header = shape.has_header;
    for (line, row) in Rows::new(bytes, shape.separator) {
        match row {
            Row::Comment(_) => {}
            Row::Bad(reason) => loading.refuse(Place::Line(line), reason),
            Row::Cells(_) if header => header = false,
            Row::Cells(cells) => row_values(loading, shape, line, &cells),
        }
    }
}

fn row_values(loading: &mut Loading<'_>, shape: &Shape, line: usize, cells: &[String]) {
    let cell = |at: Option<usize>| at.and_then(|at| cells.get(at)).map(|cell| cell.trim());
    if cell(shape.to_ids_column).is_some_and(|flag| matches!(flag, "0" | "false" | "False")) {
        loading.refuse(Place::Line(line), "it is not marked for detection (`to_ids`)");
        return;
    }
    let mut any = false;
    for column in &shape.columns {
        let Some(value) = cell(Some(column.at)).filter(|value| !value.is_empty()) else { continue };
        any = true;
        let added = match (column.kind, cell(shape.type_column)) {
            (None, Some(stated)) => typed(loading, stated, value),
            (None, None) | (Some(Named::Hash), _) => list::add(loading, value),
            (Some(Named::Kind(kind)), _) => {
                let refanged = misp::plain(kind, value);
                loading.value(kind, &refanged)
            }
        };
        if let Err(reason) = added {
            loading.refuse(Place::Line(line), reason);
        }
    }
    if !any {
        loading.refuse(Place::Line(line), "its value columns are empty");
    }
}

/// A value with a stated type; an unknown word leaves the kind to the value itself.
fn typed(loading: &mut Loading<'_>, stated: &str, value: &str) -> Result<(), String> {
    match misp::typed(stated, value) {
        Typed::Values(values) => {
            values.into_iter().try_for_each(|(kind, text)| loading.value(kind, &misp::plain(kind, text)))
        }
        Typed::NotApplicable => Err(format!("values of type `{}` are not found in logs", super::cut(stated))),
        Typed::Unknown => list::add(loading, value),
    }
}

enum Row<'t> {
    Comment(&'t str),
    Cells(Vec<String>),
    Bad(String),
}

/// Rows with the numbers of their first lines; blank lines are left out.
struct Rows<'t> {
    rest: &'t [u8],
    separator: u8,
    line: usize,
    unclosed: usize,
}

impl<'t> Rows<'t> {
    fn new(bytes: &'t [u8], separator: u8) -> Self {
        Self { rest: bytes, separator, line: 1, unclosed: 0 }
    }

    fn take_line(&mut self) -> &'t [u8] {
        let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        self.line += 1;
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// The row at the front, its length in bytes and lines; `None` if a quote is not closed in time.
    fn cells(&self) -> Option<(Result<Vec<String>, String>, usize, usize)> {
        let quotes = self.unclosed < UNCLOSED_MAX;
        let mut cells = vec![Vec::new()];
        let (mut quoted, mut at, mut lines) = (false, 0, 1);
        while let Some(byte) = self.rest.get(at) {
            at += 1;
            let cell = cells.last_mut()?;
            match byte {
                b'"' if quoted && self.rest.get(at) == Some(&b'"') => {
                    cell.push(b'"');
                    at += 1;
                }
                b'"' if quotes && (quoted || cell.iter().all(u8::is_ascii_whitespace)) => {
                    if !quoted {
                        cell.clear();
                    }
                    quoted = !quoted;
                }
                b'\n' if !quoted => break,
                b'\n' => {
                    lines += 1;
                    cell.push(b'\n');
                }
                _ if *byte == self.separator && !quoted => {
                    if cells.len() == CELLS_MAX {
                        let end = memchr::memchr(b'\n', &self.rest[at..])
                            .map_or(self.rest.len(), |end| at + end + 1);
                        return Some((Err(format!("the row has more than {CELLS_MAX} cells")), end, 1));
                    }
                    cells.push(Vec::new());
                }
                _ => cell.push(*byte),
            }
            if at > ROW_BYTES_MAX {
                return None;
            }
        }
        if quoted {
            return None;
        }
        let texts = cells
            .into_iter()
            .map(|cell| String::from_utf8(cell).map_err(|_| "the row is not UTF-8".to_owned()));
        Some((texts.collect(), at, lines))
    }
}

impl<'t> Iterator for Rows<'t> {
    type Item = (usize, Row<'t>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let first = *self.rest.first()?;
            let line = self.line;
            if first == b'#' {
                let text = self.take_line();
                return Some((line, Row::Comment(std::str::from_utf8(text).unwrap_or_default())));
            }
            let Some((cells, len, lines)) = self.cells() else {
                self.unclosed += 1;
                self.take_line();
                return Some((
                    line,
                    Row::Bad(format!(
                        "the row is longer than {ROW_BYTES_MAX} bytes, or a quote is not closed"
                    )),
                ));
            };
            self.rest = &self.rest[len..];
            self.line += lines;
            match cells {
                Ok(cells) if cells.len() == 1 && cells.first().is_some_and(|cell| cell.trim().is_empty()) => {
                }
                Ok(cells) => return Some((line, Row::Cells(cells))),
                Err(reason) => return Some((line, Row::Bad(reason))),
            }
        }
    }
}
