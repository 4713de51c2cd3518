//! Answers as a worker would write them, and then some.

use arrow::array::{Float64Array, Int64Array, ListArray, StringArray, StructArray, UInt32Array};
use arrow::datatypes::{Field, Int64Type};
use arrow::ipc::writer::{StreamEncoder, StreamWriter};
use proptest::prelude::*;

use super::*;

fn schema() -> SchemaRef {
    let inner = Field::new("item", DataType::Int64, true);
    Arc::new(Schema::new(vec![
        Field::new("s", DataType::Utf8, true),
        Field::new("l", DataType::List(Arc::new(inner.clone())), true),
        Field::new("t", DataType::Struct(vec![inner.with_name("a")].into()), true),
        Field::new("x", DataType::Float64, true),
    ]))
}

fn rows() -> RecordBatch {
    let texts = StringArray::from(vec![Some("zero"), None, Some("zwei"), Some("drei")]);
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
        Some(vec![Some(4), Some(5), Some(6)]),
    ]);
    let numbers = Int64Array::from(vec![Some(1), None, Some(3), Some(4)]);
    let DataType::Struct(fields) = schema().field(2).data_type().clone() else { panic!("it is a struct") };
    let structs = StructArray::new(fields, vec![Arc::new(numbers)], None);
    let floats = Float64Array::from(vec![Some(0.5), Some(1.5), None, Some(3.5)]);
    let columns: Vec<ArrayRef> = vec![Arc::new(texts), Arc::new(lists), Arc::new(structs), Arc::new(floats)];
    RecordBatch::try_new(schema(), columns).unwrap()
}

/// Returns a batch as a message without its schema.
fn message(batch: &RecordBatch) -> Vec<u8> {
    let mut encoder = StreamEncoder::try_new(batch.schema_ref()).unwrap();
    encoder.encode(&RecordBatch::new_empty(batch.schema())).unwrap();
    encoder.encode(batch).unwrap().iter().flat_map(|part| part.to_vec()).collect()
}

fn done(columns: Vec<Column>, rows: u32) -> Done {
    Done { rows, columns, ..Done::default() }
}

const FRESH: [Column; 4] = [Column::Fresh; 4];

fn check(done: &Done, result: &[u8], errors: &[u8]) -> Result<(RecordBatch, Vec<RowError>), String> {
    let mut reader = Reader::new(schema(), RowsMode::OneToOne, 1);
    match reader.read(done, &rows(), &Buffer::from(result), Buffer::from(errors)) {
        Ok(answer) => Ok(answer),
        Err(Unusable::Malformed(message)) => Err(message),
        Err(Unusable::Undeclared(failure)) => Err(failure.message),
    }
}

#[test]
fn columns_come_from_the_result_or_from_the_input() {
    let (answer, errors) = check(&done(FRESH.to_vec(), 4), &message(&rows()), &[]).unwrap();
    assert_eq!((answer, errors), (rows(), Vec::new()));
    let all: Vec<_> = (0..4).map(Column::Input).collect();
    assert_eq!(check(&done(all, 4), &[], &[]).unwrap().0, rows());
    let mixed = vec![Column::Input(0), Column::Fresh, Column::Input(2), Column::Fresh];
    let fresh = rows().project(&[1, 3]).unwrap();
    assert_eq!(check(&done(mixed, 4), &message(&fresh), &[]).unwrap().0, rows());
}

#[test]
fn answers_that_make_no_sense_are_refused() {
    let good = message(&rows());
    let inputs = |places: [u16; 4]| places.map(Column::Input).to_vec();
    for (what, done, result) in [
        ("3 rows and 0 error rows", done(FRESH.to_vec(), 3), &good[..]),
        ("it has 3 columns", done(FRESH[..3].to_vec(), 4), &good),
        ("no input column 9", done(inputs([9, 1, 2, 3]), 4), &[]),
        ("has type Float64, not Utf8", done(inputs([3, 1, 2, 3]), 4), &[]),
        ("it is too short", done(FRESH.to_vec(), 4), &[]),
        ("its body is cut short", done(FRESH.to_vec(), 4), &good[..good.len() - 64]),
        ("its head is longer", done(FRESH.to_vec(), 4), &good[..64]),
        ("does not start as a message", done(FRESH.to_vec(), 4), &good[8..]),
        ("a result without columns", done(inputs([0, 1, 2, 3]), 4), &good),
    ] {
        let err = check(&done, result, &[]).unwrap_err();
        assert!(err.contains(what), "{what}: {err}");
    }
    let shorter = message(&rows().slice(0, 3));
    assert_eq!(check(&done(FRESH.to_vec(), 4), &shorter, &[]).unwrap_err(), "it has 3 rows, not 4");
}

#[test]
fn nulls_where_none_may_be_are_the_users_mistake() {
    let (input, good) = (rows(), message(&rows()));
    let fields: Vec<_> = schema().fields().iter().map(|f| f.as_ref().clone().with_nullable(f.name() != "x")).collect();
    let output = Arc::new(Schema::new(fields));
    let mut reader = Reader::new(output, RowsMode::OneToOne, 1);
    let answer = reader.read(&done(FRESH.to_vec(), 4), &input, &Buffer::from(&good[..]), Buffer::default());
    let Err(Unusable::Undeclared(failure)) = answer else { panic!("NULL is not declared") };
    assert_eq!(failure.message, "column `x` holds NULL and is declared as never NULL");
}

#[test]
fn strings_are_checked() {
    let mut bad = message(&rows());
    let place = bad.windows(4).position(|bytes| bytes == b"drei").unwrap();
    bad[place] = 0xff;
    assert!(check(&done(FRESH.to_vec(), 4), &bad, &[]).unwrap_err().to_lowercase().contains("utf"));
}

fn error_stream(rows: Vec<u32>, stage: &str) -> Vec<u8> {
    let count = rows.len();
    let text = |value: &str| Arc::new(StringArray::from(vec![value; count])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("row", Arc::new(UInt32Array::from(rows)) as ArrayRef),
        ("stage", text(stage)),
        ("error_type", text("ValueError")),
        ("message", text("no")),
        ("traceback", text("")),
        ("attempts", Arc::new(UInt32Array::from(vec![3; count]))),
    ])
    .unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn error_rows_are_rows_of_the_batch() {
    let two = message(&rows().slice(0, 2));
    let half = done(FRESH.to_vec(), 2);
    let (_, errors) = check(&half, &two, &error_stream(vec![3, 1], "python")).unwrap();
    let found: Vec<_> = errors.iter().map(|error| (error.row, error.stage, error.attempts)).collect();
    assert_eq!(found, [(1, Stage::Python, 3), (3, Stage::Python, 3)]);
    for (rows, stage) in [(vec![1, 1], "python"), (vec![0, 4], "python"), (vec![0, 1], "elsewhere")] {
        assert!(check(&half, &two, &error_stream(rows, stage)).unwrap_err().contains("error rows"));
    }
    let stream = error_stream(vec![0, 1], "python");
    assert!(check(&half, &two, &stream[..100]).is_err());
}

#[test]
fn spans_lie_within_what_is_used() {
    let span = |offset, bytes| Span { offset, bytes };
    for (used, result, errors, expected) in [
        (1000, span(0, 500), span(512, 100), Some((0..500, 512..612))),
        (0, span(0, 0), span(7, 0), Some((0..0, 0..0))),
        (1000, span(0, 500), span(500, 100), None),
        (1000, span(0, 1001), span(0, 0), None),
        (1000, span(960, 64), span(0, 0), None),
        (1000, span(u32::MAX - 63, u32::MAX), span(0, 0), None),
        (2000, span(0, 5), span(0, 0), None),
        (u64::MAX, span(0, 5), span(0, 0), None),
    ] {
        let done = Done { used, result, errors, ..Done::default() };
        assert_eq!(spans(&done, 1024).ok(), expected, "{used} {result:?} {errors:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_answer_panics(flips in prop::collection::vec((0..4000_usize, any::<u8>()), 1..6), cut in 0..4000_usize) {
        let mut bytes = message(&rows());
        for (place, value) in flips {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        bytes.truncate(bytes.len().max(cut) - cut.min(bytes.len()) / 8);
        let answer = check(&done(FRESH.to_vec(), 4), &bytes, &[]);
        if let Ok((batch, _)) = answer {
            // What passes can be read to its end.
            prop_assert_eq!(arrow::util::pretty::pretty_format_batches(&[batch]).is_ok(), true);
        }
        let mut stream = error_stream(vec![0, 1, 2, 3], "python");
        let place = cut % stream.len();
        stream[place] ^= 0x41;
        let _ = check(&done(FRESH.to_vec(), 0), &[], &stream);
    }
}
