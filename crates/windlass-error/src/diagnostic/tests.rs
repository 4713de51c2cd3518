//! Positions and near names.

use super::*;

#[test]
fn positions_count_characters_and_offsets_undo_them() {
    let file = SourceFile::new(Path::new("a.sql"), "select 'é',\n  x\n".to_string());
    for (offset, expected) in [(0, (1, 1)), (8, (1, 9)), (10, (1, 10)), (13, (2, 1)), (15, (2, 3)), (99, (3, 1))] {
        assert_eq!(file.position(offset), expected, "offset {offset}");
    }
    assert_eq!(file.offset(2, 3), 15);
    assert_eq!(file.offset(1, 10), 10);
    assert_eq!(file.offset(2, 80), 16);
    assert_eq!(file.offset(9, 1), file.text.len());
}

#[test]
fn a_location_never_cuts_a_character() {
    let file = SourceFile::new(Path::new("a.sql"), "é".to_string());
    assert_eq!(Location::new(&file, 1..9).span, 0..2);
}

#[test]
fn near_names() {
    let known = ["visib", "wind_speed", "temp", "tmep_c", "w"];
    for (name, expected) in [
        ("visb", Some("visib")),
        ("WIND_SPEED", Some("wind_speed")),
        ("wind_sped", Some("wind_speed")),
        ("tepm", Some("temp")),
        ("visibility", Some("visib")),
        ("wind", Some("wind_speed")),
        ("altitude", None),
        ("x", None),
    ] {
        assert_eq!(nearest(name, known), expected, "{name}");
    }
}
