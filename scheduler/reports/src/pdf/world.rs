//! The world a report is laid out in: one template, three fonts, one JSON document.
//!
//! There is no file system, no network and no clock in it. Fonts and the standard library
//! are parsed once per process.

use std::sync::OnceLock;

use typst::diag::{FileError, FileResult};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World};

use super::{glyphs, view};
use crate::error::RenderError;
use crate::model::Report;

static FONT_FILES: [&[u8]; 3] = [
    include_bytes!("../../fonts/Inter-Regular.otf"),
    include_bytes!("../../fonts/Inter-SemiBold.otf"),
    include_bytes!("../../fonts/Inter-Bold.otf"),
];
const TEMPLATE: &str = include_str!("../../templates/report.typ");

/// What is the same for every report.
struct Engine {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
    template: Source,
    data: FileId,
    logo: FileId,
}

/// The shared engine, built on first use.
fn engine() -> Result<&'static Engine, RenderError> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    ENGINE
        .get_or_init(Engine::build)
        .as_ref()
        .map_err(|message| RenderError::Layout(message.clone()))
}

/// The bundled fonts.
#[cfg(test)]
pub(super) fn fonts() -> Result<&'static [Font], RenderError> {
    engine().map(|engine| engine.fonts.as_slice())
}

impl Engine {
    fn build() -> Result<Self, String> {
        let file = |path: &str| {
            VirtualPath::new(path)
                .map(|path| FileId::new(RootedPath::new(VirtualRoot::Project, path)))
                .map_err(|error| error.to_string())
        };
        let fonts: Vec<Font> = FONT_FILES
            .iter()
            .flat_map(|bytes| Font::iter(Bytes::new(*bytes)))
            .collect();
        if fonts.len() != FONT_FILES.len() {
            return Err("a bundled font could not be read".to_owned());
        }
        Ok(Self {
            library: LazyHash::new(Library::default()),
            book: LazyHash::new(FontBook::from_fonts(&fonts)),
            fonts,
            template: Source::new(file("report.typ")?, TEMPLATE.to_owned()),
            data: file("report.json")?,
            logo: file("logo.svg")?,
        })
    }
}

/// The shared engine plus the data of one report.
pub(super) struct ReportWorld {
    engine: &'static Engine,
    data: Bytes,
    logo: Option<Bytes>,
}

impl ReportWorld {
    pub(super) fn new(report: &Report) -> Result<Self, RenderError> {
        let engine = engine()?;
        let mut data = serde_json::to_value(view::Document::of(report))?;
        glyphs::Printable::new(&engine.fonts).clean(&mut data);
        Ok(Self {
            engine,
            data: Bytes::new(serde_json::to_vec(&data)?),
            logo: report
                .branding
                .logo_svg
                .as_ref()
                .map(|svg| Bytes::from_string(svg.clone())),
        })
    }
}

impl World for ReportWorld {
    fn library(&self) -> &LazyHash<Library> {
        &self.engine.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.engine.book
    }

    fn main(&self) -> FileId {
        self.engine.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.main() {
            Ok(self.engine.template.clone())
        } else {
            Err(outside(id))
        }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        match &self.logo {
            _ if id == self.engine.data => Ok(self.data.clone()),
            Some(logo) if id == self.engine.logo => Ok(logo.clone()),
            _ => Err(outside(id)),
        }
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.engine.fonts.get(index).cloned()
    }

    fn today(&self, _offset: Option<Duration>) -> Option<Datetime> {
        None
    }
}

/// Anything but the three known files does not exist here.
fn outside(id: FileId) -> FileError {
    FileError::NotFound(id.vpath().get_with_slash().into())
}
