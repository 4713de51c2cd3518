//! The source map: every word of the rendered SQL leads back to where it stands.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{character, number};
use crate::fixture::{load, project};
use crate::{Project, Transform};

const NODES: &str = "\
-- sources.yml --
sources:
  nyc: {path: 'data/{name}.parquet', tables: [flights, weather]}
-- transforms/stg_flights.sql --
select 1 as flight_id
-- seeds/Codes.csv --
";

fn transform(project: &Project) -> &Transform {
    project.nodes["x"].transform().expect("`x` is a transform")
}

/// Says where every word of the rendered SQL comes from.
fn map(sql: &str, macros: &str) -> String {
    let project = project(&format!("{NODES}-- macros/m.sql --\n{macros}\n-- transforms/x.sql --\n{sql}"));
    let transform = transform(&project);
    let mut out = format!("{}\n---\n", transform.sql.trim_end().replace('\r', ""));
    let mut at = 0;
    for word in transform.sql.split_inclusive([' ', '\n']) {
        let text = word.trim();
        if !text.is_empty() {
            let span = at..at + text.len();
            let place = transform.map.locate(span.clone()).map_or_else(
                || "nowhere".to_owned(),
                |found| format!("{found} {:?}", &found.file.text[found.span.clone()]),
            );
            let call = transform.map.call_site(span).map(|call| format!(" from {call}")).unwrap_or_default();
            out.push_str(&format!("{text:<12} {place}{call}\n"));
        }
        at += word.len();
    }
    out
}

fn check_map(sql: &str, macros: &str, expected: Expect) {
    expected.assert_eq(&map(sql, macros));
}

#[test]
fn text_without_templates_maps_to_itself() {
    check_map(
        "select a,\n  b\nfrom t\n",
        "",
        expect![[r#"
        select a,
          b
        from t
        ---
        select       transforms/x.sql:1:1 "select"
        a,           transforms/x.sql:1:8 "a,"
        b            transforms/x.sql:2:3 "b"
        from         transforms/x.sql:3:1 "from"
        t            transforms/x.sql:3:6 "t"
    "#]],
    );
}

#[test]
fn expressions_map_to_themselves() {
    check_map(
        "select a from {{ ref('stg_flights') }} f join {{source('nyc','weather')}} using (b)",
        "",
        expect![[r#"
        select a from stg_flights f join nyc.weather using (b)
        ---
        select       transforms/x.sql:1:1 "select"
        a            transforms/x.sql:1:8 "a"
        from         transforms/x.sql:1:10 "from"
        stg_flights  transforms/x.sql:1:18 "ref('stg_flights')"
        f            transforms/x.sql:1:40 "f"
        join         transforms/x.sql:1:42 "join"
        nyc.weather  transforms/x.sql:1:49 "source('nyc','weather')"
        using        transforms/x.sql:1:75 "using"
        (b)          transforms/x.sql:1:81 "(b)"
    "#]],
    );
}

#[test]
fn trimming_conditions_and_loops() {
    check_map(
        "select\n  {%- for c in ['a', 'b'] %}\n  {{ c }} as x_{{ c -}}\n  {% if not loop.last %}, {% endif -%}\n  {% endfor %}\nfrom {# note #} t {%- if true -%}  where z {%- endif %} end",
        "",
        expect![[r#"
            select
              a as x_a, 
              b as x_b
            from  twhere z end
            ---
            select       transforms/x.sql:1:1 "select"
            a            transforms/x.sql:3:6 "c"
            as           transforms/x.sql:3:11 "as"
            x_a,         transforms/x.sql:3:14 "x_"
            b            transforms/x.sql:3:6 "c"
            as           transforms/x.sql:3:11 "as"
            x_b          transforms/x.sql:3:14 "x_"
            from         transforms/x.sql:6:1 "from"
            twhere       transforms/x.sql:6:17 "t"
            z            transforms/x.sql:6:42 "z"
            end          transforms/x.sql:6:57 "end"
        "#]],
    );
}

#[test]
fn macros_map_into_their_file_and_know_the_call() {
    check_map(
        "select {{ cents('amount') }} as a,\n {{ twice(cents('b')) }} as b",
        "{% macro cents(column) %}round({{ column }} / 100){% endmacro %}\n{% macro twice(x) -%} 2 * {{ x }} {%- endmacro %}",
        expect![[r#"
            select round(amount / 100) as a,
             2 * round(b / 100) as b
            ---
            select       transforms/x.sql:1:1 "select"
            round(amount macros/m.sql:1:26 "round(" from transforms/x.sql:1:11
            /            macros/m.sql:1:45 "/" from transforms/x.sql:1:11
            100)         macros/m.sql:1:47 "100)" from transforms/x.sql:1:11
            as           transforms/x.sql:1:30 "as"
            a,           transforms/x.sql:1:33 "a,"
            2            macros/m.sql:2:23 "2" from transforms/x.sql:2:5
            *            macros/m.sql:2:25 "*" from transforms/x.sql:2:5
            round(b      macros/m.sql:1:26 "round(" from transforms/x.sql:2:5
            /            macros/m.sql:1:45 "/" from transforms/x.sql:2:5
            100)         macros/m.sql:1:47 "100)" from transforms/x.sql:2:5
            as           transforms/x.sql:2:26 "as"
            b            transforms/x.sql:2:29 "b"
        "#]],
    );
}

#[test]
fn imports_call_blocks_and_raw() {
    check_map(
        "{% from 'm.sql' import wrap %}{% import 'm.sql' as m %}{% call wrap() %}inner{% endcall %} {{ m.wrap2('q') }} {% raw %}{{ no }}{% endraw %} {% filter upper %}loud{% endfilter %} end",
        "{% macro wrap() %}( {{ caller() }} ){% endmacro %}{% macro wrap2(x) %}[ {{ x }} ]{% endmacro %}",
        expect![[r#"
            ( inner ) [ q ] {{ no }} LOUD end
            ---
            (            macros/m.sql:1:19 "(" from transforms/x.sql:1:59
            inner        transforms/x.sql:1:73 "inner" from transforms/x.sql:1:59
            )            macros/m.sql:1:36 ")" from transforms/x.sql:1:59
            [            macros/m.sql:1:71 "[" from transforms/x.sql:1:95
            q            macros/m.sql:1:76 "x" from transforms/x.sql:1:95
            ]            macros/m.sql:1:81 "]" from transforms/x.sql:1:95
            {{           transforms/x.sql:1:120 "{{"
            no           transforms/x.sql:1:123 "no"
            }}           transforms/x.sql:1:126 "}}"
            LOUD         transforms/x.sql:1:144 "filter upper"
            end          transforms/x.sql:1:179 "end"
        "#]],
    );
}

#[test]
fn filters_over_marks_fall_back_to_the_expression() {
    check_map(
        "{% set body %}\n  a, b {% endset %}select {{ body | trim }} , {{ m('c') | trim }}\nfrom t",
        "{% macro m(x) %}  {{ x }} as y  {% endmacro %}",
        expect![[r#"
            select a, b , c as y
            from t
            ---
            select       transforms/x.sql:2:20 "select"
            a,           transforms/x.sql:2:30 "body | trim"
            b            transforms/x.sql:2:30 "body | trim"
            ,            transforms/x.sql:2:45 ","
            c            transforms/x.sql:2:50 "m('c') | trim"
            as           transforms/x.sql:2:50 "m('c') | trim"
            y            transforms/x.sql:2:50 "m('c') | trim"
            from         transforms/x.sql:3:1 "from"
            t            transforms/x.sql:3:6 "t"
        "#]],
    );
}

#[test]
fn marks_that_change_the_result_fall_back_to_lines() {
    check_map(
        "{% filter trim %}\n  select {{ 'a' | length }}, b\n  from t\n{% endfilter %}",
        "",
        expect![[r#"
            select 1, b
              from t
            ---
            select       transforms/x.sql:1:4 "filter trim"
            1,           transforms/x.sql:1:4 "filter trim"
            b            transforms/x.sql:1:4 "filter trim"
            from         transforms/x.sql:1:4 "filter trim"
            t            transforms/x.sql:1:4 "filter trim"
        "#]],
    );
    check_map(
        "{% set a %}x{% endset %}select '{{ a | length }}'\nfrom t\n",
        "",
        expect![[r#"
        select '1'
        from t
        ---
        select       transforms/x.sql:1:25 "select"
        '1'          transforms/x.sql:1:32 "'"
        from         transforms/x.sql:2:1 "from"
        t            transforms/x.sql:2:6 "t"
    "#]],
    );
}

#[test]
fn private_characters_in_the_file_fall_back_to_lines() {
    check_map(
        "select '\u{f0000}' as {{ 'a' }},\n  b\n{% if true %}\nfrom t\n{% endif %}",
        "",
        expect![[r#"
        select '󰀀' as a,
          b

        from t
        ---
        select       transforms/x.sql:1:1 "select '\u{f0000}' as {{ 'a' }},"
        '󰀀'          transforms/x.sql:1:1 "select '\u{f0000}' as {{ 'a' }},"
        as           transforms/x.sql:1:1 "select '\u{f0000}' as {{ 'a' }},"
        a,           transforms/x.sql:1:1 "select '\u{f0000}' as {{ 'a' }},"
        b            transforms/x.sql:2:3 "b"
        from         transforms/x.sql:4:1 "from"
        t            transforms/x.sql:4:6 "t"
    "#]],
    );
}

#[test]
fn crlf_and_other_scripts_keep_their_places() {
    check_map(
        "select 'größe' as {{ 'ß' }},\r\n  日本 as b\r\nfrom {{ ref('Codes') }}\r\n",
        "",
        expect![[r#"
            select 'größe' as ß,
              日本 as b
            from "Codes"
            ---
            select       transforms/x.sql:1:1 "select"
            'größe'      transforms/x.sql:1:8 "'größe'"
            as           transforms/x.sql:1:16 "as"
            ß,           transforms/x.sql:1:22 "'ß'"
            日本           transforms/x.sql:2:3 "日本"
            as           transforms/x.sql:2:6 "as"
            b            transforms/x.sql:2:9 "b"
            from         transforms/x.sql:3:1 "from"
            "Codes"      transforms/x.sql:3:9 "ref('Codes')"
        "#]],
    );
}

#[test]
fn an_empty_span_is_the_word_that_starts_there() {
    let project = project(&format!("{NODES}-- transforms/x.sql --\nselect {{{{ 1 }}}}, flight_id from t"));
    let transform = transform(&project);
    let at = transform.sql.find("flight_id").expect("it is there");
    let found = transform.map.locate(at..at).expect("it is mapped");
    assert_eq!(&found.file.text[found.span], "flight_id");
}

#[test]
fn marks_count_through_both_planes() {
    for id in [0, 1, 65_533, 65_534, 131_067] {
        assert_eq!(character(id).and_then(number), Some(id));
    }
    assert_eq!(character(131_068), None);
    assert_eq!(number('a'), None);
}

/// Pieces of templates, each with a token that is found again in its output.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(" T# ".to_owned()),
        Just("\n  T#,\r\n".to_owned()),
        Just("{{ 'E#' }}".to_owned()),
        Just(" {{- 'E#' -}} ".to_owned()),
        Just("{% if true %} T# {% endif %}".to_owned()),
        Just("{%- if true -%} T# {%- endif -%}".to_owned()),
        Just("{% for i in [1, 2] -%} T# {{ i }} {% endfor %}".to_owned()),
        Just("{# T0 #}".to_owned()),
        Just("{#- note -#}".to_owned()),
        Just("{% raw %} T# {{ {% endraw %}".to_owned()),
        Just("{{ wrap('E#') }}".to_owned()),
        Just("{% set v = '}} %}' %}".to_owned()),
        Just("{% call block() %} T# {% endcall %}".to_owned()),
        Just("ü{{ {'a': {'b': 'E#'}}.a.b }}ß".to_owned()),
        Just("{% set s %} T# {% endset %}{{ s }}".to_owned()),
        Just(" '{' %} }} T# ".to_owned()),
    ];
    prop::collection::vec(piece, 1..12)
        .prop_map(|pieces| pieces.iter().enumerate().map(|(at, piece)| piece.replace('#', &at.to_string())).collect())
}

proptest! {
    /// A unique word of the output is found in the file exactly where it stands there.
    #[test]
    fn words_are_found_again(template in pieces()) {
        let text = format!("-- macros/m.sql --\n{{% macro wrap(x) %}}w {{{{ x }}}} w{{% endmacro %}}\n{{% macro block() %}}( {{{{ caller() }}}} ){{% endmacro %}}\n-- transforms/x.sql --\nselect {{% from 'm.sql' import block %}}{template}");
        let loaded = load(&text);
        prop_assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let project = loaded.project.expect("it loads");
        let transform = transform(&project);
        let mut at = 0;
        while let Some(start) = transform.sql[at..].find(['T', 'E']).map(|found| at + found) {
            let digits = transform.sql[start + 1..].find(|c: char| !c.is_ascii_digit());
            let length = 1 + digits.unwrap_or(transform.sql.len() - start - 1);
            let word = &transform.sql[start..start + length];
            let found = transform.map.locate(start..start + length);
            let found = found.ok_or_else(|| TestCaseError::fail(format!("`{word}` is nowhere in {template:?}")))?;
            let original = &found.file.text[found.span.clone()];
            if word.starts_with('T') {
                prop_assert_eq!(original, word, "in {:?}", &template);
            } else {
                prop_assert!(original.contains(word) || original == "x", "`{}` leads to `{}`", word, original);
            }
            at = start + length;
        }
    }
}
