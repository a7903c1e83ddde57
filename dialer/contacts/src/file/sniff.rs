//! Which character separates the cells of a file.

use csv_core::ReadRecordResult;

use super::records::reader;

/// What separates cells, the likelier first.
pub const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// A first line `sep=;`: the delimiter it names, and its length in bytes with the line end.
pub(super) fn separator_line(text: &str) -> Option<(u8, usize)> {
    let rest = text.strip_prefix("sep=").or_else(|| text.strip_prefix("SEP="))?;
    let delimiter = *rest.as_bytes().first().filter(|byte| DELIMITERS.contains(byte))?;
    let end = &rest[1..];
    let line_end = end.len() - end.trim_start_matches(['\r', '\n']).len();
    (line_end > 0 || end.is_empty()).then_some((delimiter, 5 + line_end))
}

/// The delimiter that cuts most rows of the sample into the same number of cells, more than one. `complete`
/// says that nothing of the file comes after the sample.
#[must_use]
pub fn delimiter(sample: &str, complete: bool) -> u8 {
    if let Some((delimiter, _)) = separator_line(sample) {
        return delimiter;
    }
    let mut best = None;
    for delimiter in DELIMITERS {
        let widths = widths(sample, complete, delimiter);
        let Some((width, rows)) = most_frequent(&widths) else {
            continue;
        };
        if width < 2 {
            continue;
        }
        // In thousandths, so that it can be compared; the width decides between equals.
        let score = (rows * 1000 / widths.len(), width);
        if best.is_none_or(|(other, _)| score > other) {
            best = Some((score, delimiter));
        }
    }
    match best {
        Some((_, delimiter)) => delimiter,
        // One column: any that cuts nothing.
        None => DELIMITERS
            .into_iter()
            .find(|delimiter| !sample.as_bytes().contains(delimiter))
            .unwrap_or(b','),
    }
}

fn most_frequent(widths: &[usize]) -> Option<(usize, usize)> {
    let count = |wanted: usize| widths.iter().filter(|width| **width == wanted).count();
    widths
        .iter()
        .map(|width| (*width, count(*width)))
        .max_by_key(|(width, rows)| (*rows, *width))
}

fn widths(sample: &str, complete: bool, delimiter: u8) -> Vec<usize> {
    const ROWS: usize = 200;
    let mut csv = reader(delimiter);
    let (mut input, mut widths, mut width) = (sample.as_bytes(), Vec::new(), 0);
    let (mut text, mut ends) = ([0; 4096], [0; 64]);
    while widths.len() < ROWS {
        let (result, read, _, ended) = csv.read_record(input, &mut text, &mut ends);
        input = &input[read..];
        width += ended;
        match result {
            ReadRecordResult::Record => {
                widths.push(width);
                width = 0;
            }
            ReadRecordResult::End => break,
            // The last row may be cut off, unless it is the last of the file.
            ReadRecordResult::InputEmpty if !complete => break,
            ReadRecordResult::InputEmpty
            | ReadRecordResult::OutputFull
            | ReadRecordResult::OutputEndsFull => {}
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_one_that_cuts_rows_alike() {
        for (sample, expected) in [
            ("phone,name\n602123456,Jan\n603123456,Eva\n", b','),
            ("telefon;jméno\n602123456;Jan\n", b';'),
            (
                "phone\tname\n602123456\tNovák, Jan\n603123456\tNová, Eva\n",
                b'\t',
            ),
            ("phone|name\n1|a\n", b'|'),
            // Decimal commas and addresses inside cells of a file with semicolons.
            (
                "id;adresa;cena\n1;Brno, Česká 1;1,50\n2;Praha;2,75\n3;Ostrava, ul. 3, 5. patro;3\n",
                b';',
            ),
            ("a,b\n\"x;y\",\"1;2\"\n\"z;w\",\"3;4\"\n", b','),
            ("sep=;\n1,2;3\n", b';'),
            ("sep=,\na;b,c\n", b','),
        ] {
            assert_eq!(
                char::from(delimiter(sample, true)),
                char::from(expected),
                "{sample}"
            );
        }
    }

    #[test]
    fn a_single_column_is_cut_by_nothing() {
        assert_eq!(delimiter("phone\n602123456\n603123456\n", true), b',');
        assert_eq!(delimiter("phone\n602123456\n602123456, 603123456\n", true), b';');
        assert_eq!(delimiter("", true), b',');
    }

    #[test]
    fn a_row_cut_off_by_the_end_of_the_sample_does_not_count() {
        assert_eq!(delimiter("a;b;c,d\n1;2;3,4\n1", false), b';');
    }
}
