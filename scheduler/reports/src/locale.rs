//! Languages a report can be written in, and the fixed words around the figures.

use std::str::FromStr;

/// Language plus number and date conventions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Locale {
    /// English: `1,234.5`, `12.3%`, `21 Nov 2026`.
    #[default]
    En,
    /// Spanish: `12.345,6`, `12,3 %`, `21/11/2026`.
    Es,
    /// Czech: `1 234,5`, `12,3 %`, `21. 11. 2026`.
    Cs,
}

impl FromStr for Locale {
    type Err = UnknownLocale;

    /// Reads a BCP 47 tag by its language alone: `es-MX` is Spanish.
    fn from_str(tag: &str) -> Result<Self, Self::Err> {
        let language = tag.split(['-', '_']).next().unwrap_or_default();
        match language.to_ascii_lowercase().as_str() {
            "en" => Ok(Self::En),
            "es" => Ok(Self::Es),
            "cs" => Ok(Self::Cs),
            _ => Err(UnknownLocale(tag.to_owned())),
        }
    }
}

/// A language without translations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no report language {0:?}; known are en, es and cs")]
pub struct UnknownLocale(
    /// The tag as given.
    pub String,
);

/// Words of the page frame, the workbook and the definitions, per language.
pub(crate) struct Frame {
    pub(crate) page: &'static str,
    pub(crate) of: &'static str,
    pub(crate) generated: &'static str,
    pub(crate) provisional: &'static str,
    pub(crate) provisional_note: &'static str,
    pub(crate) final_figures: &'static str,
    pub(crate) key_figures: &'static str,
    pub(crate) previous: &'static str,
    pub(crate) points: &'static str,
    pub(crate) change: &'static str,
    pub(crate) unchanged: &'static str,
    pub(crate) within_limit: &'static str,
    pub(crate) over_limit: &'static str,
    pub(crate) target_met: &'static str,
    pub(crate) target_missed: &'static str,
    pub(crate) definitions: &'static str,
    pub(crate) definitions_note: &'static str,
    pub(crate) term: &'static str,
    pub(crate) formula: &'static str,
    pub(crate) remark: &'static str,
    pub(crate) total: &'static str,
    pub(crate) no_rows: &'static str,
    pub(crate) rows_left_out: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) chart_data: &'static str,
    pub(crate) period: &'static str,
    pub(crate) time_zone: &'static str,
    pub(crate) status: &'static str,
    pub(crate) figure: &'static str,
    pub(crate) value: &'static str,
    pub(crate) note: &'static str,
    pub(crate) weekdays: [&'static str; 7],
}

impl Locale {
    /// BCP 47 tag of the language.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Es => "es",
            Self::Cs => "cs",
        }
    }

    pub(crate) fn frame(self) -> &'static Frame {
        match self {
            Self::En => &EN,
            Self::Es => &ES,
            Self::Cs => &CS,
        }
    }
}

static EN: Frame = Frame {
    page: "Page",
    of: "of",
    generated: "Generated",
    provisional: "Provisional",
    provisional_note: "Some events of this period had not arrived when the figures were read. They may still change.",
    final_figures: "Final",
    key_figures: "Key figures",
    previous: "Previous",
    points: "pp",
    change: "Change",
    unchanged: "unchanged",
    within_limit: "within the ceiling of",
    over_limit: "above the ceiling of",
    target_met: "target met:",
    target_missed: "below the target of",
    definitions: "Definitions",
    definitions_note: "Every ratio is calculated once, from counts summed over the whole row. Ratios are never averaged. A dash means that there was nothing to divide by.",
    term: "Figure",
    formula: "Formula",
    remark: "Remark",
    total: "Total",
    no_rows: "No entries in this period.",
    rows_left_out: "The table is cut here. Rows shown and rows in total:",
    summary: "Summary",
    chart_data: "Chart data",
    period: "Period",
    time_zone: "Time zone",
    status: "Status",
    figure: "Figure",
    value: "Value",
    note: "Note",
    weekdays: [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
    ],
};

static ES: Frame = Frame {
    page: "Página",
    of: "de",
    generated: "Generado",
    provisional: "Provisional",
    provisional_note: "Algunos eventos de este periodo no habían llegado cuando se leyeron las cifras. Todavía pueden cambiar.",
    final_figures: "Definitivo",
    key_figures: "Cifras clave",
    previous: "Anterior",
    points: "pp",
    change: "Variación",
    unchanged: "sin cambios",
    within_limit: "dentro del máximo del",
    over_limit: "por encima del máximo del",
    target_met: "objetivo cumplido:",
    target_missed: "por debajo del objetivo del",
    definitions: "Definiciones",
    definitions_note: "Cada ratio se calcula una sola vez, a partir de recuentos sumados en toda la fila. Los ratios nunca se promedian. Un guion indica que no había nada por lo que dividir.",
    term: "Cifra",
    formula: "Fórmula",
    remark: "Observación",
    total: "Total",
    no_rows: "Sin entradas en este periodo.",
    rows_left_out: "La tabla se corta aquí. Filas mostradas y filas en total:",
    summary: "Resumen",
    chart_data: "Datos de gráficos",
    period: "Periodo",
    time_zone: "Zona horaria",
    status: "Estado",
    figure: "Cifra",
    value: "Valor",
    note: "Nota",
    weekdays: [
        "lunes",
        "martes",
        "miércoles",
        "jueves",
        "viernes",
        "sábado",
        "domingo",
    ],
};

static CS: Frame = Frame {
    page: "Strana",
    of: "z",
    generated: "Vytvořeno",
    provisional: "Předběžné",
    provisional_note: "Některé události tohoto období při čtení údajů ještě nedorazily. Údaje se mohou změnit.",
    final_figures: "Konečné",
    key_figures: "Klíčové údaje",
    previous: "Předchozí",
    points: "p. b.",
    change: "Změna",
    unchanged: "beze změny",
    within_limit: "v mezích stropu",
    over_limit: "nad stropem",
    target_met: "cíl splněn:",
    target_missed: "pod cílem",
    definitions: "Definice",
    definitions_note: "Každý podíl se počítá jednou, z počtů sečtených za celý řádek. Podíly se nikdy neprůměrují. Pomlčka znamená, že nebylo čím dělit.",
    term: "Údaj",
    formula: "Vzorec",
    remark: "Poznámka",
    total: "Celkem",
    no_rows: "V tomto období nejsou žádné záznamy.",
    rows_left_out: "Tabulka zde končí. Zobrazené řádky a řádky celkem:",
    summary: "Souhrn",
    chart_data: "Data grafů",
    period: "Období",
    time_zone: "Časové pásmo",
    status: "Stav",
    figure: "Údaj",
    value: "Hodnota",
    note: "Poznámka",
    weekdays: [
        "pondělí",
        "úterý",
        "středa",
        "čtvrtek",
        "pátek",
        "sobota",
        "neděle",
    ],
};
