//! Every type there and back, and results that are not what was declared.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, Decimal128Array, Decimal256Array,
    DurationMicrosecondArray, FixedSizeBinaryArray, FixedSizeListArray, Float32Array, Int8Array, Int32Builder,
    Int64Array, LargeBinaryArray, LargeListArray, LargeStringArray, ListArray, MapBuilder, NullArray, RecordBatch,
    StringArray, StringBuilder, StructArray, Time64NanosecondArray, TimestampMicrosecondArray, UInt16Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, i256};
use windlass_worker::{BatchFormat, Error, FailureKind};

use crate::support::{batch, code, floats, numbers, run};

fn every_type(rows: usize) -> RecordBatch {
    let some = |row: usize| !row.is_multiple_of(5);
    let each = || 0..rows;
    let lists = || {
        each().map(|row| some(row).then(move || (0..row % 4).map(move |item| some(item + row).then_some(item as i32))))
    };
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in each() {
        for item in 0..row % 3 {
            map.keys().append_value(format!("k{item}"));
            map.values().append_option(some(row).then_some(item as i32));
        }
        map.append(some(row)).unwrap();
    }
    let structs = StructArray::new(
        vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)].into(),
        vec![
            Arc::new(Int64Array::from_iter(each().map(|row| some(row + 1).then_some(row as i64)))) as ArrayRef,
            Arc::new(StringArray::from_iter(each().map(|row| some(row + 2).then(|| format!("{row}"))))),
        ],
        Some(each().map(some).collect::<Vec<_>>().into()),
    );
    batch(vec![
        ("bool", Arc::new(BooleanArray::from_iter(each().map(|row| some(row).then_some(row % 3 == 0))))),
        ("i8", Arc::new(Int8Array::from_iter(each().map(|row| some(row).then_some(row as i8))))),
        ("u16", Arc::new(UInt16Array::from_iter(each().map(|row| some(row).then_some(row as u16))))),
        ("f32", Arc::new(Float32Array::from_iter(each().map(|row| some(row).then_some(row as f32 / 3.0))))),
        ("utf8", Arc::new(StringArray::from_iter(each().map(|row| some(row).then(|| "é".repeat(row % 9)))))),
        ("large_utf8", Arc::new(LargeStringArray::from_iter(each().map(|row| some(row).then(|| format!("{row}")))))),
        ("binary", Arc::new(BinaryArray::from_iter(each().map(|row| some(row).then(|| vec![row as u8; row % 7]))))),
        (
            "large_binary",
            Arc::new(LargeBinaryArray::from_iter(each().map(|row| some(row).then(|| vec![0xff; row % 5])))),
        ),
        ("fixed_binary", Arc::new(FixedSizeBinaryArray::try_from_iter(each().map(|row| [row as u8; 5])).unwrap())),
        ("date32", Arc::new(Date32Array::from_iter(each().map(|row| some(row).then_some(row as i32))))),
        ("date64", Arc::new(Date64Array::from_iter(each().map(|row| some(row).then_some(row as i64 * 86_400_000))))),
        ("time64", Arc::new(Time64NanosecondArray::from_iter(each().map(|row| some(row).then_some(row as i64))))),
        (
            "timestamp",
            Arc::new(
                TimestampMicrosecondArray::from_iter(each().map(|row| some(row).then_some(row as i64 * 1_000_003)))
                    .with_timezone("Europe/Berlin"),
            ),
        ),
        ("duration", Arc::new(DurationMicrosecondArray::from_iter(each().map(|row| some(row).then_some(row as i64))))),
        (
            "decimal",
            Arc::new(
                Decimal128Array::from_iter(each().map(|row| some(row).then_some(row as i128 * 12_345)))
                    .with_precision_and_scale(30, 4)
                    .unwrap(),
            ),
        ),
        (
            "decimal256",
            Arc::new(
                Decimal256Array::from_iter(each().map(|row| some(row).then_some(i256::from_i128(row as i128))))
                    .with_precision_and_scale(60, 2)
                    .unwrap(),
            ),
        ),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists()))),
        ("large_list", Arc::new(LargeListArray::from_iter_primitive::<Int32Type, _, _>(lists()))),
        (
            "fixed_list",
            Arc::new(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
                each().map(|row| some(row).then(|| vec![Some(row as i32), None])),
                2,
            )),
        ),
        ("struct", Arc::new(structs)),
        ("map", Arc::new(map.finish())),
        ("null", Arc::new(NullArray::new(rows))),
    ])
}

#[test]
fn every_type_comes_back() {
    run(async {
        let text = "
            def f(batch): return batch
            def g(batch): return batch.slice(3)
            ";
        let input = every_type(500);
        let whole = code("f", text).with(|program| program.input = input.schema()).same();
        let cut = code("g", text).with(|program| program.input = input.schema()).same().many();
        let (whole, cut) = (whole.pool().await, cut.pool().await);
        for batch in [input.clone(), input.slice(7, 100), every_type(4), every_type(64)] {
            assert_eq!(whole.call(batch.clone()).await.unwrap().rows, batch);
            let (answer, expected) =
                (cut.call(batch.clone()).await.unwrap().rows, batch.slice(3, batch.num_rows() - 3));
            for (place, field) in expected.schema().fields().iter().enumerate() {
                assert_eq!(answer.column(place), expected.column(place), "{field}");
            }
        }
    });
}

#[test]
fn batches_without_columns_have_rows() {
    run(async {
        let empty = Arc::new(Schema::empty());
        let code = code("f", "def f(batch):\n    return {'y': np.arange(batch.num_rows) + 0.5}");
        let code = code.with(|program| program.input = Arc::clone(&empty));
        let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(3));
        let batch = RecordBatch::try_new_with_options(empty, vec![], &options).unwrap();
        let answer = code.pool().await.call(batch).await.unwrap();
        assert_eq!(floats(&answer.rows, 0), [0.5, 1.5, 2.5]);
    });
}

#[test]
fn a_large_column_travels() {
    run(async {
        let code = code("f", "def f(batch):\n    return pa.table({'s': batch['s'].chunk(0).slice(1)})").many();
        let texts = StringArray::from_iter_values((0..300_000).map(|row| format!("{row:0200}")));
        let input = batch(vec![("s", Arc::new(texts))]);
        let code = code.with(|program| program.input = input.schema()).same();
        let answer = code.pool().await.call(input.clone()).await.unwrap();
        assert_eq!(answer.rows, input.slice(1, input.num_rows() - 1));
    });
}

#[test]
fn results_that_are_not_as_declared_say_so() {
    run(async {
        for (format, result, expected) in [
            (BatchFormat::Pyarrow, "{'y': ['a'] * len(batch)}", "`y`"),
            (BatchFormat::Pyarrow, "{'y': batch['x'], 'z': batch['x']}", "`z`"),
            (BatchFormat::Pyarrow, "{}", "`y`"),
            (BatchFormat::Pyarrow, "{'y': batch['x'].slice(1)}", "rows"),
            (BatchFormat::Pyarrow, "None", "None"),
            (BatchFormat::Numpy, "{'y': batch['x'][:5]}", "rows"),
            (BatchFormat::Pandas, "batch", "`y`"),
        ] {
            let code = code("f", &format!("def f(batch):\n    return {result}")).format(format).isolate();
            let err = code.pool().await.call(numbers(10)).await.unwrap_err();
            let Error::Call { failure, .. } = &err else { panic!("{result}: {err:?}") };
            assert_eq!(failure.kind, FailureKind::Output, "{result}: {failure:?}");
            assert!(failure.message.contains(expected), "{result}: {}", failure.message);
        }
    });
}

#[test]
fn null_where_none_may_be_is_an_error() {
    run(async {
        let code = code("f", "def f(batch):\n    return {'y': pa.array([None] * len(batch), pa.float64())}");
        let output = Arc::new(Schema::new(vec![Field::new("y", DataType::Float64, false)]));
        let code = code.with(|program| program.output = output);
        let err = code.pool().await.call(numbers(3)).await.unwrap_err();
        let Error::Call { failure, .. } = &err else { panic!("{err:?}") };
        assert_eq!(failure.kind, FailureKind::Output);
    });
}

#[test]
fn nan_and_null_are_what_each_format_means() {
    run(async {
        for (format, text, nulls) in [
            (BatchFormat::Numpy, "{'y': np.full(len(batch['x']), np.nan)}", 0),
            (BatchFormat::Pandas, "batch[['x']].rename(columns={'x': 'y'}) * np.nan", 4),
            (BatchFormat::Pyarrow, "{'y': pa.chunked_array([[1.0, None], [2.0, float('nan')]])}", 1),
        ] {
            let code = code("f", &format!("def f(batch):\n    return {text}")).format(format);
            let answer = code.pool().await.call(numbers(4)).await.unwrap();
            assert_eq!(answer.rows.column(0).null_count(), nulls, "{format:?}");
        }
    });
}

#[test]
fn user_code_that_speaks_on_the_socket_does_not_confuse_us() {
    run(async {
        for (what, frame) in [
            ("noise", "b'hello'"),
            ("nothing known", "struct.pack('<BBHIQQ', 99, 0, 0, 0, 0, 0)"),
            ("an answer to nothing", "struct.pack('<BBHIQQ', 35, 0, 0, 77, 1 << 60, 1)"),
            ("a huge need", "struct.pack('<BBHIQQ', 35, 0, 0, slot, 1 << 60, seq)"),
            (
                "an answer beyond its slot",
                "struct.pack('<BBHIQQ', 34, 0, 1, slot, 1 << 50, seq) + struct.pack('<IIIIIIHH', 10, 0, 100, 0, 0, 1, 0, 0xffff)",
            ),
            (
                "rows from nowhere",
                "struct.pack('<BBHIQQ', 34, 0, 1, slot, 0, seq) + struct.pack('<IIIIIIHH', 99, 0, 0, 0, 0, 1, 0, 1)",
            ),
            (
                "a released slot that is not held",
                "struct.pack('<BBHIQQ', 37, 0, 1, 0, 0, 0) + struct.pack('<I', 12345)",
            ),
            ("a frame that is too long", "b'x' * 70000"),
        ] {
            let text = format!(
                "
            import socket, struct, stat
            def control():
                for fd in map(int, os.listdir('/proc/self/fd')):
                    try:
                        if stat.S_ISSOCK(os.fstat(fd).st_mode): return socket.socket(fileno=os.dup(fd))
                    except OSError: pass
            class F:
                def __init__(self): self.calls = 0
                def __call__(self, batch):
                    self.calls += 1
                    if batch['id'][0].as_py() == 5:
                        slot, seq = 0, self.calls
                        control().send({frame})
                        time.sleep(0.2)
                    return {{'y': batch['x']}}
            "
            );
            let code = code("F", &text);
            let pool = code.pool().await;
            pool.call(numbers(10)).await.unwrap();
            let bad = pool.call(crate::support::numbers_from(5, 10)).await;
            let err = bad.expect_err(what);
            assert!(
                matches!(err, Error::Answer { .. } | Error::Died { .. } | Error::SharedMemory { .. }),
                "{what}: {err:?}"
            );
            let good = pool.call(numbers(10)).await.unwrap();
            assert_eq!(floats(&good.rows, 0), floats(&numbers(10), 1), "{what}");
        }
    });
}
