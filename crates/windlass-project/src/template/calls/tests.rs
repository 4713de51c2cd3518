//! Finding calls.

use super::Calls;

#[test]
fn calls_are_found_by_their_literals() {
    let source = "{{ ref('a') }} {% if x.ref('no') %}{{ f(ref( 'b' ), 1, k=[2, (3)], m == 4) }}{% endif %} ref('c') {# ref('d') #}";
    let calls = Calls::scan(source);
    let show = |span: Option<std::ops::Range<usize>>| span.map(|span| &source[span]);
    assert_eq!(show(calls.argument("ref", &["a"], 0)), Some("'a'"));
    assert_eq!(show(calls.argument("ref", &["b"], 0)), Some("'b'"));
    assert_eq!(show(calls.argument("ref", &["c"], 0)), None);
    assert_eq!(show(calls.argument("ref", &["no"], 0)), None);
    assert_eq!(show(calls.argument("f", &[], 2)), Some("m == 4"));
    assert_eq!(show(calls.keyword("f", "k").map(|(_, value)| value)), Some("[2, (3)]"));
    assert_eq!(show(calls.first("f")), Some("f(ref( 'b' ), 1, k=[2, (3)], m == 4)"));
    assert_eq!(show(calls.text("no")), Some("'no'"));
}
