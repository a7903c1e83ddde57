//! Just enough of ClickHouse's grammar to know what a statement is, where an
//! INSERT's rows begin and where clauses may be put in. Everything else is the
//! engine's own parser's business.
//!
//! Works on bytes: behind the text of an INSERT binary rows may follow, and the
//! scan stops before them.

use crate::errors::QueryError;

/// A statement, as far as this server has to tell them apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    /// Rows come back and may be many: streamed through a pipe.
    Select {
        /// Where `INTO OUTFILE …` can be put in.
        outfile_at: usize,
        /// The FORMAT clause's name, if the text has one.
        format: Option<String>,
        /// Where the statement ends, before `;`.
        end: usize,
    },
    /// INSERT with rows behind the text (FORMAT or VALUES).
    InsertRows {
        /// Where `FROM INFILE …` can be put in: before SETTINGS or the format.
        infile_at: usize,
        /// Where FORMAT or VALUES stands.
        clause_at: usize,
        /// Input format; `Values` for VALUES.
        format: String,
        /// The first byte of the rows.
        data_at: usize,
    },
    /// Reads only; the result is small.
    Show {
        format: Option<String>,
        end: usize,
    },
    /// Anything that changes something and sends no rows along.
    Change {
        end: usize,
    },
    Empty,
}

impl Statement {
    pub(crate) fn changes_something(&self) -> bool {
        matches!(self, Self::InsertRows { .. } | Self::Change { .. })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Quoted,
    Mark(u8),
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a [u8],
    start: usize,
    /// Brackets open around this token.
    depth: usize,
}

impl Token<'_> {
    fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blanks_and_comments();
        let start = self.at;
        let first = *self.text.get(start)?;
        let mut depth = self.depth;
        let kind = match first {
            b'\'' | b'"' | b'`' => {
                self.skip_quoted(first);
                Kind::Quoted
            }
            b'$' if self.skip_heredoc() => Kind::Quoted,
            _ if is_word(first) => {
                while self.text.get(self.at).is_some_and(|byte| is_word(*byte)) {
                    self.at += 1;
                }
                Kind::Word
            }
            b'(' | b'[' | b'{' => {
                self.depth += 1;
                self.at += 1;
                Kind::Mark(first)
            }
            b')' | b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                depth = self.depth;
                self.at += 1;
                Kind::Mark(first)
            }
            _ => {
                self.at += 1;
                Kind::Mark(first)
            }
        };
        Some(Token {
            kind,
            text: &self.text[start..self.at],
            start,
            depth,
        })
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

impl<'a> Tokens<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    fn skip_blanks_and_comments(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            match rest {
                [blank, ..] if blank.is_ascii_whitespace() || *blank == 0x0b => self.at += 1,
                [b'-', b'-', ..] | [b'#', b'!' | b' ', ..] => {
                    self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                }
                [b'/', b'*', ..] => {
                    let length = rest
                        .windows(2)
                        .skip(2)
                        .position(|pair| pair == b"*/")
                        .map_or(rest.len(), |at| at + 4);
                    self.at += length;
                }
                _ => return,
            }
        }
    }

    fn skip_quoted(&mut self, quote: u8) {
        self.at += 1;
        while let Some(byte) = self.text.get(self.at) {
            self.at += 1;
            if *byte == b'\\' {
                self.at = (self.at + 1).min(self.text.len());
            } else if *byte == quote {
                if self.text.get(self.at) == Some(&quote) {
                    self.at += 1;
                } else {
                    return;
                }
            }
        }
    }

    /// `$tag$ … $tag$`; false if the dollar begins something else.
    fn skip_heredoc(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let Some(length) = rest[1..].iter().position(|byte| !is_word(*byte) || *byte == b'$') else {
            return false;
        };
        let tag = &rest[..length + 2];
        if tag.last() != Some(&b'$') {
            return false;
        }
        let Some(end) = rest[tag.len()..]
            .windows(tag.len())
            .position(|window| window == tag)
        else {
            return false;
        };
        self.at += tag.len() + end + tag.len();
        true
    }
}

/// Says what `text` is. Rows may stand behind an INSERT; they are not looked at.
pub(crate) fn classify(text: &[u8]) -> Result<Statement, QueryError> {
    let mut tokens = Tokens::new(text);
    let Some(first) = tokens.by_ref().find(|token| token.kind != Kind::Mark(b'(')) else {
        return Ok(Statement::Empty);
    };
    if first.is("INSERT") {
        return insert(tokens, text);
    }
    let all: Vec<Token<'_>> = Tokens::new(text).collect();
    let end = statement_end(&all, text)?;
    let all: Vec<Token<'_>> = all.into_iter().filter(|token| token.start < end).collect();
    let top = |word: &str| all.iter().any(|token| token.depth == 0 && token.is(word));
    if first.is("WITH") && top("INSERT") {
        return Ok(Statement::Change { end });
    }
    if first.is_any(&["SELECT", "WITH", "FROM"]) {
        return select(&all, end);
    }
    if first.is_any(&[
        "SHOW", "DESC", "DESCRIBE", "EXPLAIN", "EXISTS", "CHECK", "USE", "SET", "VALUES",
    ]) {
        let format = format_clause(&all).map(|(_, format)| format);
        return Ok(Statement::Show { format, end });
    }
    Ok(Statement::Change { end })
}

/// The end of the one statement: the server takes no second one behind `;`.
fn statement_end(tokens: &[Token<'_>], text: &[u8]) -> Result<usize, QueryError> {
    let Some(at) = tokens.iter().position(|token| token.kind == Kind::Mark(b';')) else {
        return Ok(text.len());
    };
    if tokens[at..].iter().any(|token| token.kind != Kind::Mark(b';')) {
        return Err(QueryError::syntax(
            "Syntax error (Multi-statements are not allowed)",
        ));
    }
    Ok(tokens[at].start)
}

fn select(tokens: &[Token<'_>], end: usize) -> Result<Statement, QueryError> {
    let into_outfile = tokens
        .windows(2)
        .any(|pair| pair[0].depth == 0 && pair[0].is("INTO") && pair[1].is("OUTFILE"));
    if into_outfile {
        return Err(QueryError::bad_arguments("INTO OUTFILE is not allowed"));
    }
    Ok(match format_clause(tokens) {
        Some((outfile_at, format)) => Statement::Select {
            outfile_at,
            format: Some(format),
            end,
        },
        None => Statement::Select {
            outfile_at: end,
            format: None,
            end,
        },
    })
}

/// Where the FORMAT clause stands and what it says. `format` is also a fine name
/// for a column: the clause is the last thing but for SETTINGS, and one word
/// follows it.
fn format_clause(tokens: &[Token<'_>]) -> Option<(usize, String)> {
    let at = (0..tokens.len().saturating_sub(1)).rev().find(|at| {
        let (keyword, name) = (&tokens[*at], &tokens[at + 1]);
        keyword.depth == 0
            && keyword.is("FORMAT")
            && name.kind == Kind::Word
            && tokens.get(at + 2).is_none_or(|token| token.is("SETTINGS"))
    })?;
    Some((
        tokens[at].start,
        String::from_utf8_lossy(tokens[at + 1].text).into_owned(),
    ))
}

fn insert(mut tokens: Tokens<'_>, text: &[u8]) -> Result<Statement, QueryError> {
    // Past the table's name first: a table may be called `format`.
    let mut token = tokens.next();
    for word in ["INTO", "TABLE"] {
        if token.is_some_and(|token| token.is(word)) {
            token = tokens.next();
        }
    }
    if token.is_some_and(|token| token.is("FUNCTION")) {
        token = tokens.next();
    }
    let mut settings_at = None;
    while let Some(dot) = tokens.next() {
        if dot.kind == Kind::Mark(b'.') {
            token = tokens.next();
            continue;
        }
        token = Some(dot);
        break;
    }
    while let Some(current) = token {
        let opens_select = current.kind == Kind::Mark(b'(')
            && Tokens {
                at: tokens.at,
                depth: 0,
                text,
            }
            .next()
            .is_some_and(|inner| inner.is_any(&["SELECT", "WITH"]));
        if (current.depth == 0 && current.is_any(&["SELECT", "WITH", "WATCH", "EXPLAIN"])) || opens_select {
            let all: Vec<Token<'_>> = Tokens::new(text).collect();
            return Ok(Statement::Change {
                end: statement_end(&all, text)?,
            });
        }
        if current.depth == 0 && current.is("FROM") {
            return Err(QueryError::bad_arguments("FROM INFILE is not allowed"));
        }
        if current.depth == 0 && current.is("SETTINGS") {
            settings_at.get_or_insert(current.start);
        }
        if current.depth == 0 && current.is("VALUES") {
            return rows(text, &current, "Values".into(), current.end(), settings_at);
        }
        if current.depth == 0 && current.is("FORMAT") {
            let Some(name) = tokens.next().filter(|name| name.kind == Kind::Word) else {
                return Err(QueryError::syntax(
                    "Syntax error: a format name has to follow FORMAT",
                ));
            };
            let format = String::from_utf8_lossy(name.text).into_owned();
            return rows(text, &current, format, name.end(), settings_at);
        }
        if current.kind == Kind::Mark(b';') {
            break;
        }
        token = tokens.next();
    }
    // Not whole; the engine's parser has the better words for it.
    Ok(Statement::Change { end: text.len() })
}

fn rows(
    text: &[u8],
    clause: &Token<'_>,
    format: String,
    mut at: usize,
    settings_at: Option<usize>,
) -> Result<Statement, QueryError> {
    // As ClickHouse's parser does: blanks on the line, then one line break.
    if text.get(at) == Some(&b';') {
        return Err(QueryError::syntax(
            "You have excessive ';' symbol before data for INSERT",
        ));
    }
    while text
        .get(at)
        .is_some_and(|byte| matches!(byte, b' ' | b'\t' | 0x0c))
    {
        at += 1;
    }
    if text.get(at) == Some(&b'\r') {
        at += 1;
    }
    if text.get(at) == Some(&b'\n') {
        at += 1;
    }
    Ok(Statement::InsertRows {
        infile_at: settings_at.unwrap_or(clause.start),
        clause_at: clause.start,
        format,
        data_at: at,
    })
}

/// `'text'` as ClickHouse reads it.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// `` `name` `` as ClickHouse reads it.
pub(crate) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// The SELECT with its result sent to the file descriptor `fd`.
pub(crate) fn select_into(
    text: &[u8],
    outfile_at: usize,
    end: usize,
    fd: i32,
    default_format: &str,
) -> Vec<u8> {
    let mut sql = text[..outfile_at].to_vec();
    // On a line of its own: the text may end in a comment.
    sql.extend_from_slice(format!("\nINTO OUTFILE '/proc/self/fd/{fd}' APPEND ").as_bytes());
    if outfile_at == end {
        sql.extend_from_slice(format!("FORMAT {default_format}").as_bytes());
    } else {
        sql.extend_from_slice(&text[outfile_at..end]);
    }
    sql
}

/// The INSERT with its rows taken from the file descriptor `fd`.
pub(crate) fn insert_from(text: &[u8], infile_at: usize, clause_at: usize, format: &str, fd: i32) -> Vec<u8> {
    let mut sql = text[..infile_at].to_vec();
    sql.extend_from_slice(format!("\nFROM INFILE '/proc/self/fd/{fd}' COMPRESSION 'none' ").as_bytes());
    sql.extend_from_slice(&text[infile_at..clause_at]);
    sql.extend_from_slice(format!("\nFORMAT {format}").as_bytes());
    sql
}

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
