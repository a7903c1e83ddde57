//! Articles in files: JSON lines and Markdown.

use std::{
    ffi::OsStr,
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use voice_workers::knowledge::Article;

/// Where something stands.
pub(super) struct Place {
    file: PathBuf,
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// An article, or what is wrong with it.
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) article: Result<Article, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    title: String,
    body: String,
    language: Option<String>,
}

/// Everything in a file, or in the files of a folder and its folders, in the order of their names.
pub(super) fn read(path: &Path, language: &str) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    if path.is_dir() {
        let mut files = Vec::new();
        walk(path, &mut files)?;
        files.sort();
        ensure!(!files.is_empty(), "{}: no *.md and no *.jsonl", path.display());
        for file in files {
            let name = file.strip_prefix(path).unwrap_or(&file).to_owned();
            one(&file, &name, language, &mut entries)?;
        }
    } else {
        let name = path.file_name().map_or_else(|| path.to_owned(), PathBuf::from);
        if kind(path).is_none() {
            bail!("{}: expected *.jsonl, *.md or a folder of them", path.display());
        }
        one(path, &name, language, &mut entries)?;
    }
    Ok(entries)
}

enum Kind {
    Lines,
    Markdown,
}

fn kind(path: &Path) -> Option<Kind> {
    match path.extension().and_then(OsStr::to_str)? {
        "jsonl" | "ndjson" => Some(Kind::Lines),
        "md" | "markdown" => Some(Kind::Markdown),
        _ => None,
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let entry = entry.with_context(|| folder.display().to_string())?;
        // Links are not followed: they may lead in circles, or out of the folder.
        let what = entry
            .file_type()
            .with_context(|| entry.path().display().to_string())?;
        if what.is_dir() {
            walk(&entry.path(), files)?;
        } else if what.is_file() && kind(&entry.path()).is_some() {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn one(file: &Path, name: &Path, language: &str, entries: &mut Vec<Entry>) -> anyhow::Result<()> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let place = |line| Place {
        file: file.to_owned(),
        line,
    };
    match kind(file) {
        Some(Kind::Markdown) => entries.push(Entry {
            place: place(1),
            article: match std::str::from_utf8(bytes) {
                Ok(text) => Ok(markdown(name, text, language)),
                Err(_) => Err("this is not UTF-8".to_owned()),
            },
        }),
        _ => {
            for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
                if !line.trim_ascii().is_empty() {
                    entries.push(Entry {
                        place: place(number + 1),
                        article: json(line, language),
                    });
                }
            }
        }
    }
    Ok(())
}

fn json(line: &[u8], language: &str) -> Result<Article, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| {
        let text = error.to_string();
        // Every line is the first one to the parser.
        text.replace(" at line 1 column", ", at column")
    })?;
    Ok(Article {
        reference: line.id,
        title: line.title,
        body: line.body,
        language: line.language.unwrap_or_else(|| language.to_owned()),
    })
}

/// The first heading is the title; without one, the file's name is.
fn markdown(name: &Path, text: &str, language: &str) -> Article {
    let stem = name.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    let (stem, language) = match stem.rsplit_once('.') {
        Some((stem, tag)) if (2..=3).contains(&tag.len()) => (stem, tag),
        _ => (stem, language),
    };
    let (title, body) = match text.trim_start().strip_prefix("# ") {
        Some(rest) => rest.split_once('\n').unwrap_or((rest, "")),
        None => (stem, text),
    };
    Article {
        reference: name.to_string_lossy().into_owned(),
        title: title.trim().to_owned(),
        body: body.trim().to_owned(),
        language: language.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_markdown_file_is_named_by_its_path_its_heading_and_its_language() {
        let article = markdown(
            Path::new("shop/returns.es.md"),
            "\n# Devoluciones\n\nTreinta días.\n",
            "en",
        );
        assert_eq!(article.reference, "shop/returns.es.md");
        assert_eq!((&*article.title, &*article.language), ("Devoluciones", "es"));
        assert_eq!(article.body, "Treinta días.");
        let plain = markdown(Path::new("v1.5-hours.md"), "Nine to five.", "en");
        assert_eq!((&*plain.title, &*plain.language), ("v1.5-hours", "en"));
    }

    #[test]
    fn a_line_that_is_no_article_says_why_and_where() {
        let fault = |line: &str| json(line.as_bytes(), "en").unwrap_err();
        assert!(fault(r#"{"id":"a","title":"b"}"#).contains("missing field `body`"));
        assert!(
            fault(r#"{"id":"a","title":"b","body":"c","color":"red"}"#).contains("unknown field `color`")
        );
        assert!(fault("{").contains("column 1"));
    }
}
