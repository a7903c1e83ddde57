use typst::layout::{Frame, FrameItem};

use super::*;
use crate::fixture;

/// The text of every page, in drawing order.
fn pages(report: &Report) -> Vec<String> {
    fn collect(frame: &Frame, text: &mut String) {
        for (_, item) in frame.items() {
            match item {
                FrameItem::Group(group) => collect(&group.frame, text),
                FrameItem::Text(run) => {
                    text.push_str(&run.text);
                    text.push(' ');
                }
                _ => {}
            }
        }
    }
    layout(report)
        .unwrap()
        .pages()
        .iter()
        .map(|page| {
            let mut text = String::new();
            collect(&page.frame, &mut text);
            text.replace('\u{200b}', "")
        })
        .collect()
}

#[test]
fn names_that_look_like_markup_print_literally() {
    let names = [
        "#import \"x\": y",
        "$x^2$",
        "*bold* _it_ `raw`",
        "#panic()",
        "<label> @ref",
        "a -> b \\ // c",
    ];
    let report = fixture::report(names.iter().map(|name| fixture::row(name, 1)).collect());
    // Words may be split over lines and runs, so spaces do not count.
    let squeeze = |text: &str| text.split_whitespace().collect::<String>();
    let text = squeeze(&pages(&report).concat());
    for name in names {
        assert!(text.contains(&squeeze(name)), "{name} is missing in {text}");
    }
}

#[test]
fn markup_in_titles_and_tenant_names_is_text_too() {
    let mut report = fixture::report(vec![fixture::row("a", 1)]);
    report.title = "#panic(\"no\")".to_owned();
    report.tenant_name = "$ & #sys.inputs".to_owned();
    report.period.label = "]#eval(\"1\")[".to_owned();
    let text = pages(&report).concat();
    assert!(text.contains("#panic(\"no\")"), "{text}");
    assert!(text.contains("#sys.inputs"), "{text}");
    render(&report).unwrap();
}

#[test]
fn long_tables_repeat_their_header_and_number_their_pages() {
    let report = fixture::report(
        (0..150)
            .map(|index| fixture::row(&format!("Campaign {index}"), index))
            .collect(),
    );
    let pages = pages(&report);
    assert!(pages.len() >= 4, "{}", pages.len());
    for (index, page) in pages.iter().enumerate() {
        assert!(
            page.contains(&format!("Page {} of {}", index + 1, pages.len())),
            "{page}"
        );
    }
    assert!(pages[1].contains("Answer rate"), "{}", pages[1]);
    assert!(pages[2].contains("Answer rate"), "{}", pages[2]);
}

#[test]
fn very_long_tables_are_cut_and_say_so() {
    let rows = (0..ROW_LIMIT + 1)
        .map(|index| fixture::row("x", index as u64))
        .collect();
    let text = pages(&fixture::report(rows)).concat();
    assert!(text.contains("2,000 / 2,001"), "the cut is not announced");
}

#[test]
fn characters_without_a_glyph_do_not_cost_the_report() {
    let report = fixture::report(vec![fixture::row("日本 😀 \u{e123} \u{202e}عربي\0", 1)]);
    assert!(render(&report).unwrap().starts_with(b"%PDF-1.7"));
}

#[test]
fn files_declare_pdf_a_and_pdf_ua_and_carry_metadata() {
    let file = render(&fixture::report(vec![fixture::row("a", 1)])).unwrap();
    // The metadata packet is never compressed.
    let text = String::from_utf8_lossy(&file);
    for needle in [
        "<pdfaid:part>2<",
        "<pdfaid:conformance>A<",
        "<pdfuaid:part>1<",
        "Sample",
        "2026-11-20T23:37:00",
    ] {
        assert!(text.contains(needle), "{needle}");
    }
}

#[test]
fn a_breach_of_a_limit_is_said_in_words() {
    let text = pages(&fixture::report(vec![fixture::row("a", 1)])).concat();
    assert!(text.contains("above the ceiling of 3%"), "{text}");
    assert!(text.contains("+0.6"), "{text}");
}

#[test]
fn equal_reports_give_equal_bytes() {
    let report = fixture::report(vec![fixture::row("a", 1)]);
    let first = render(&report).unwrap();
    render(&fixture::report(vec![])).unwrap();
    assert!(first == render(&report).unwrap());
}

#[test]
fn a_broken_logo_is_an_error_with_a_stable_kind() {
    let mut report = fixture::report(vec![]);
    report.branding.logo_svg = Some("<svg".to_owned());
    assert_eq!(render(&report).unwrap_err().kind(), "layout");
}
