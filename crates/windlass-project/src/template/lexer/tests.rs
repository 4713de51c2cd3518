//! Cutting templates.

use expect_test::{Expect, expect};

use super::segments;

fn check(source: &str, expected: Expect) {
    let text = match segments(source) {
        None => "none".to_owned(),
        Some(found) => {
            let show = |found: &super::Segment| format!("{:?} {:?}\n", found.kind, &source[found.inner.clone()]);
            found.iter().map(show).collect()
        }
    };
    expected.assert_eq(&text);
}

#[test]
fn tags_and_trimming() {
    check(
        "a {{ b }} c {%- if d -%} e {# f -#}\n g",
        expect![[r#"
        Text "a "
        Expression "b"
        Text " c"
        Block "if d"
        Text "e "
        Comment " f -"
        Text "g"
    "#]],
    );
    check(
        "{{ '}}' ~ {'a': {'b': 1}} }}x",
        expect![[r#"
        Expression "'}}' ~ {'a': {'b': 1}}"
        Text "x"
    "#]],
    );
    check(
        "{% raw -%} {{ x }} {%- endraw -%} y",
        expect![[r#"
        Raw "{{ x }}"
        Text "y"
    "#]],
    );
    check(
        "a { b %} }} c",
        expect![[r#"
        Text "a { b %} }} c"
    "#]],
    );
}

#[test]
fn open_tags_are_not_guessed() {
    for source in ["{{ a", "{% a }}", "{# a", "{{ 'a }}", "{% raw %} {{ a }}", "{{ (a }}", "{{", "{%-"] {
        check(source, expect![["none"]]);
    }
}
