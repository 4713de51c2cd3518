//! Masking, test modules and functions on small inputs.

use super::*;

#[test]
fn comments_and_literals_are_blanked() {
    for (text, expected) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("x // y", 1)"#, "f(        , 1)"),
        (r#"f("\"", g)"#, "f(    , g)"),
        ("f(r#\"a\"b\"#, c)", "f(        , c)"),
        ("br\"x\" r#type bar", "      r#type bar"),
        ("'a' 'x: &'a str '\\'' '\\u{e9}'", "    'x: &'a str              "),
        ("é 'é' \"é\" é", "é           é"),
    ] {
        let masked = mask(text);
        assert_eq!(masked.trim_end(), expected.trim_end(), "{text}");
        assert_eq!(masked.len(), text.len(), "{text}");
    }
}

#[test]
fn only_inline_test_modules_go() {
    let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod more;\n";
    let found: Vec<_> = functions(&without_test_modules(code)).into_iter().map(|function| function.name).collect();
    assert_eq!(found, ["a", "c"]);
}

#[test]
fn functions_are_measured_to_their_closing_brace() {
    let code =
        "trait T {\n  fn required(&self, f: fn(u8) -> [u8; 2]);\n  fn given(&self) {\n    if x {\n    }\n  }\n}\n";
    assert_eq!(functions(code), [Function { name: "given".to_string(), line: 3, lines: 4 }]);
}

#[test]
fn words_are_whole() {
    let code = "eprintln!(); println!(); unsafe_code unsafe";
    assert_eq!(words(code, "println!").collect::<Vec<_>>(), [13]);
    assert_eq!(words(code, "unsafe").collect::<Vec<_>>(), [37]);
}
