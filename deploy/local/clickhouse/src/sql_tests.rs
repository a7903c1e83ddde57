use super::*;

fn insert_parts(text: &str) -> (String, String) {
    match classify(text.as_bytes()).unwrap() {
        Statement::InsertRows {
            infile_at,
            clause_at,
            format,
            data_at,
        } => (
            String::from_utf8(insert_from(text.as_bytes(), infile_at, clause_at, &format, 9)).unwrap(),
            text[data_at..].to_owned(),
        ),
        other => panic!("{text}: {other:?}"),
    }
}

fn select_parts(text: &str) -> String {
    match classify(text.as_bytes()).unwrap() {
        Statement::Select { outfile_at, end, .. } => {
            String::from_utf8(select_into(text.as_bytes(), outfile_at, end, 9, "TSV")).unwrap()
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn an_insert_keeps_its_columns_and_settings() {
    let (sql, data) =
        insert_parts("INSERT INTO db.t (a, `b`) SETTINGS x = 1, y = 'FORMAT z' FORMAT Native\n\x01\n\x02");
    assert_eq!(
        sql,
        "INSERT INTO db.t (a, `b`) \nFROM INFILE '/proc/self/fd/9' COMPRESSION 'none' \
         SETTINGS x = 1, y = 'FORMAT z' \nFORMAT Native"
    );
    assert_eq!(data, "\x01\n\x02");
}

#[test]
fn the_rows_begin_after_blanks_and_one_line_break() {
    assert_eq!(insert_parts("INSERT INTO t FORMAT CSV \t\r\n\n1").1, "\n1");
    assert_eq!(
        insert_parts("INSERT INTO t FORMAT JSONEachRow {\"a\":1}").1,
        "{\"a\":1}"
    );
    assert_eq!(
        insert_parts("insert into t values (1), ('x;y')").1,
        "(1), ('x;y')"
    );
    assert_eq!(insert_parts("insert into t(a)values(1)").1, "(1)");
}

#[test]
fn a_table_may_have_the_name_of_a_keyword() {
    let (sql, _) = insert_parts("INSERT INTO format (values) FORMAT CSV\n1");
    assert!(
        sql.starts_with("INSERT INTO format (values) \nFROM INFILE"),
        "{sql}"
    );
    let (sql, _) = insert_parts("INSERT INTO TABLE `select`.\"values\" FORMAT CSV\n1");
    assert!(
        sql.starts_with("INSERT INTO TABLE `select`.\"values\" \nFROM INFILE"),
        "{sql}"
    );
}

#[test]
fn comments_and_quotes_hide_keywords() {
    let (sql, data) =
        insert_parts("/* INSERT x */ INSERT -- FORMAT a\nINTO t /* VALUES */ (`FORMAT`) FORMAT TSV\n7");
    assert!(sql.contains("(`FORMAT`) \nFROM INFILE"), "{sql}");
    assert_eq!(data, "7");
}

#[test]
fn an_insert_into_a_function_takes_rows_too() {
    let (sql, data) = insert_parts("INSERT INTO FUNCTION file('x', 'CSV', 'a Int8') FORMAT CSV 1");
    assert!(
        sql.starts_with("INSERT INTO FUNCTION file('x', 'CSV', 'a Int8') \nFROM INFILE"),
        "{sql}"
    );
    assert_eq!(data, "1");
}

#[test]
fn an_insert_from_a_select_has_no_rows_behind_it() {
    for text in [
        "INSERT INTO t SELECT 1",
        "INSERT INTO t (a, b) SELECT 1, 2 SETTINGS max_threads = 1;",
        "INSERT INTO t (SELECT 1)",
        "INSERT INTO t WITH 1 AS x SELECT x",
        "WITH 1 AS x INSERT INTO t SELECT x",
    ] {
        assert!(
            matches!(classify(text.as_bytes()).unwrap(), Statement::Change { .. }),
            "{text}"
        );
    }
}

#[test]
fn a_select_gets_its_outfile_before_the_format_clause() {
    assert_eq!(
        select_parts("SELECT 1 -- one"),
        "SELECT 1 -- one\nINTO OUTFILE '/proc/self/fd/9' APPEND FORMAT TSV"
    );
    assert_eq!(
        select_parts("SELECT 1 FORMAT JSON SETTINGS a = 1;"),
        "SELECT 1 \nINTO OUTFILE '/proc/self/fd/9' APPEND FORMAT JSON SETTINGS a = 1"
    );
    assert_eq!(
        select_parts("SELECT 1 SETTINGS a = 'x'"),
        "SELECT 1 SETTINGS a = 'x'\nINTO OUTFILE '/proc/self/fd/9' APPEND FORMAT TSV"
    );
}

#[test]
fn format_as_a_name_is_not_the_clause() {
    for text in [
        "SELECT 1 AS format, 2",
        "SELECT format FROM t",
        "SELECT (SELECT 1 FORMAT x)",
        "SELECT 'FORMAT x'",
        "SELECT formatDateTime(now(), '%F') AS format",
    ] {
        assert!(select_parts(text).ends_with("FORMAT TSV"), "{text}");
    }
}

#[test]
fn a_second_statement_is_refused_and_a_trailing_semicolon_is_not() {
    assert_eq!(classify(b"SELECT 1; SELECT 2").unwrap_err().code, 62);
    assert_eq!(
        classify(b"SELECT 1 ; -- end").unwrap(),
        classify(b"SELECT 1 ").unwrap()
    );
    assert!(classify(b"SELECT ';'").is_ok());
    assert_eq!(classify(b"  -- nothing").unwrap(), Statement::Empty);
}

#[test]
fn heredocs_and_escapes_end_where_they_should() {
    assert!(select_parts(r"SELECT 'it\'s FORMAT x', 'a''b FORMAT y'").ends_with("FORMAT TSV"));
    assert!(select_parts("SELECT $a$ ; FORMAT x $a$").ends_with("FORMAT TSV"));
    assert_eq!(quoted(r"a'b\c"), r"'a\'b\\c'");
}
