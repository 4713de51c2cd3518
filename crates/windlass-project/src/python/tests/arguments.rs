//! Arguments that do not fit, alone or with each other.

use expect_test::expect;

use super::check_argument;

#[test]
fn arguments_that_do_not_fit() {
    check_argument(
        "batch_sise=1, compute=2, zzz=3, tags=['a'], tags=['b']",
        expect![[r#"
            error[E0402]: unknown argument `batch_sise` of `@transform`
              transforms/x.py:3:5
              |     batch_sise=1, compute=2, zzz=3, tags=['a'], tags=['b'])
              |     ^^^^^^^^^^ did you mean `batch_size`?
              node: x
            error[E0402]: unknown argument `compute` of `@transform`
              transforms/x.py:3:19
              |     batch_sise=1, compute=2, zzz=3, tags=['a'], tags=['b'])
              |                   ^^^^^^^
              hint: write `concurrency=(1, 8)`
              node: x
            error[E0402]: unknown argument `zzz` of `@transform`
              transforms/x.py:3:30
              |     batch_sise=1, compute=2, zzz=3, tags=['a'], tags=['b'])
              |                              ^^^
              hint: known arguments: `batch_format`, `batch_intervals`, `batch_size`, `columns`, `concurrency`, `description`, `deterministic`, `end`, `fn_args`, `fn_constructor_args`, `fn_constructor_kwargs`, `fn_kwargs`, `input`, `input_columns`, `inputs`, `interval`, `key`, `lookback`, `materialized`, `max_bytes`, `max_error_rate`, `max_errors`, `memory`, `mode`, `num_cpus`, `num_gpus`, `on_definition_change`, `on_error`, `on_upstream_failure`, `owner`, `partition_by`, `requires`, `retries`, `rows`, `rowwise`, `sort_by`, `start`, `start_timeout`, `strategy`, `tags`, `time_column`, `timeout`, `zero_copy_batch`
              node: x
            error[E0402]: the argument `tags` is given twice
              transforms/x.py:3:49
              |     batch_sise=1, compute=2, zzz=3, tags=['a'], tags=['b'])
              |                                                 ^^^^ again here
              transforms/x.py:3:37
              |     batch_sise=1, compute=2, zzz=3, tags=['a'], tags=['b'])
              |                                     ---- first here
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "mode='tabel', rows='all', batch_format='arrow', start=1, on_error='skip', rowwise=1",
        expect![[r#"
            error[E0402]: expected `"fork"` or `"spawn"` for `start`, found `1`
              transforms/x.py:3:59
              |     mode='tabel', rows='all', batch_format='arrow', start=1, on_error='skip', rowwise=1)
              |                                                           ^
              node: x
            error[E0402]: expected `"numpy"`, `"pandas"`, `"polars"` or `"pyarrow"` for `batch_format`, found `"arrow"`
              transforms/x.py:3:44
              |     mode='tabel', rows='all', batch_format='arrow', start=1, on_error='skip', rowwise=1)
              |                                            ^^^^^^^
              node: x
            error[E0402]: expected `"batch"` or `"table"` for `mode`, found `"tabel"`
              transforms/x.py:3:10
              |     mode='tabel', rows='all', batch_format='arrow', start=1, on_error='skip', rowwise=1)
              |          ^^^^^^^ did you mean `"table"`?
              node: x
            error[E0402]: expected `"one_to_one"` or `"many"` for `rows`, found `"all"`
              transforms/x.py:3:24
              |     mode='tabel', rows='all', batch_format='arrow', start=1, on_error='skip', rowwise=1)
              |                        ^^^^^
              node: x
            error[E0402]: expected `True` or `False` for `rowwise`, found `1`
              transforms/x.py:3:87
              |     mode='tabel', rows='all', batch_format='arrow', start=1, on_error='skip', rowwise=1)
              |                                                                                       ^
              node: x
            error[E0402]: expected `"quarantine"`, `"fail"` or `"null"` for `on_error`, found `"skip"`
              transforms/x.py:3:71
              |     mode='tabel', rows='all', batch_format='arrow', start=1, on_error='skip', rowwise=1)
              |                                                                       ^^^^^^
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "batch_size=0, concurrency=(8, 1), num_cpus=0, num_gpus=-1, memory='2 Gib!', timeout='30x'",
        expect![[r#"
            error[E0402]: expected a number above 0 for `num_cpus`, found `0`
              transforms/x.py:3:48
              |     batch_size=0, concurrency=(8, 1), num_cpus=0, num_gpus=-1, memory='2 Gib!', timeout='30x')
              |                                                ^
              node: x
            error[E0402]: expected a number from 0 for `num_gpus`, found `-1`
              transforms/x.py:3:60
              |     batch_size=0, concurrency=(8, 1), num_cpus=0, num_gpus=-1, memory='2 Gib!', timeout='30x')
              |                                                            ^^
              node: x
            error[E0402]: expected a number of workers such as `4`, or fewest and most such as `(1, 8)` for `concurrency`, found a tuple
              transforms/x.py:3:31
              |     batch_size=0, concurrency=(8, 1), num_cpus=0, num_gpus=-1, memory='2 Gib!', timeout='30x')
              |                               ^^^^^^
              node: x
            error[E0402]: expected a size such as `"2GiB"` for `memory`, found `"2 Gib!"`
              transforms/x.py:3:71
              |     batch_size=0, concurrency=(8, 1), num_cpus=0, num_gpus=-1, memory='2 Gib!', timeout='30x')
              |                                                                       ^^^^^^^^
              node: x
            error[E0402]: expected a time such as `"30s"`, or seconds for `timeout`, found `"30x"`
              transforms/x.py:3:89
              |     batch_size=0, concurrency=(8, 1), num_cpus=0, num_gpus=-1, memory='2 Gib!', timeout='30x')
              |                                                                                         ^^^^^
              node: x
            error[E0402]: expected a number of rows from 1, or `"auto"` for `batch_size`, found `0`
              transforms/x.py:3:16
              |     batch_size=0, concurrency=(8, 1), num_cpus=0, num_gpus=-1, memory='2 Gib!', timeout='30x')
              |                ^
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a']",
        expect![[r#"
            error[E0402]: expected a time such as `"30s"`, or seconds for `start_timeout`, found `0`
              transforms/x.py:3:19
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                   ^
              node: x
            error[E0402]: expected a text for `owner`, found a list
              transforms/x.py:3:89
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                                                                                         ^^^^^
              node: x
            error[E0402]: expected a whole number from 0 for `retries`, found `"2"`
              transforms/x.py:3:68
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                                                                    ^^^
              node: x
            error[E0402]: expected a text for `tags`, found `1`
              transforms/x.py:3:79
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                                                                               ^
              node: x
            error[E0402]: expected a whole number from 0 for `max_errors`, found `-1`
              transforms/x.py:3:56
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                                                        ^^
              node: x
            error[E0402]: expected a share from `"0%"` to `"100%"` for `max_error_rate`, found `"200%"`
              transforms/x.py:3:37
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                                     ^^^^^^
              node: x
            error[E0402]: `max_errors` and `max_error_rate` are two answers to one question
              transforms/x.py:3:56
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                                                        ^^
              transforms/x.py:3:37
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                                     ------ also here
              hint: keep one of them
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "sort_by='a sideways', partition_by=['a', 'a'], description=1, input_columns={'a'}",
        expect![[r#"
            error[E0402]: expected a text for `description`, found `1`
              transforms/x.py:3:64
              |     sort_by='a sideways', partition_by=['a', 'a'], description=1, input_columns={'a'})
              |                                                                ^
              node: x
            error[E0203]: `partition_by` names column `a` twice
              transforms/x.py:3:40
              |     sort_by='a sideways', partition_by=['a', 'a'], description=1, input_columns={'a'})
              |                                        ^^^^^^^^^^
              node: x
            error[E0203]: expected `column`, `column asc` or `column desc` for `sort_by`, found `a sideways`
              transforms/x.py:3:13
              |     sort_by='a sideways', partition_by=['a', 'a'], description=1, input_columns={'a'})
              |             ^^^^^^^^^^^^
              node: x
            error[E0402]: expected a text or a list of texts for `input_columns`, found a set
              transforms/x.py:3:81
              |     sort_by='a sideways', partition_by=['a', 'a'], description=1, input_columns={'a'})
              |                                                                                 ^^^^^
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "fn_args=1, fn_kwargs=[1], max_error_rate='many', zero_copy_batch='no', deterministic=0",
        expect![[r#"
            error[E0402]: expected a share such as `"2%"` or `0.02` for `max_error_rate`, found `"many"`
              transforms/x.py:3:46
              |     fn_args=1, fn_kwargs=[1], max_error_rate='many', zero_copy_batch='no', deterministic=0)
              |                                              ^^^^^^
              node: x
            error[E0402]: expected a list for `fn_args`, found `1`
              transforms/x.py:3:13
              |     fn_args=1, fn_kwargs=[1], max_error_rate='many', zero_copy_batch='no', deterministic=0)
              |             ^
              node: x
            error[E0402]: expected a dict for `fn_kwargs`, found a list
              transforms/x.py:3:26
              |     fn_args=1, fn_kwargs=[1], max_error_rate='many', zero_copy_batch='no', deterministic=0)
              |                          ^^^
              node: x
            error[E0402]: expected `True` or `False` for `zero_copy_batch`, found `"no"`
              transforms/x.py:3:70
              |     fn_args=1, fn_kwargs=[1], max_error_rate='many', zero_copy_batch='no', deterministic=0)
              |                                                                      ^^^^
              node: x
            error[E0402]: expected `True` or `False` for `deterministic`, found `0`
              transforms/x.py:3:90
              |     fn_args=1, fn_kwargs=[1], max_error_rate='many', zero_copy_batch='no', deterministic=0)
              |                                                                                          ^
              node: x
            broken: x
        "#]],
    );
}

#[test]
fn arguments_that_depend_on_each_other() {
    check_argument(
        "on_error='null'",
        expect![[r#"
            error[E0402]: `on_error="null"` needs `key`
              transforms/x.py:3:14
              |     on_error='null')
              |              ^^^^^^
              hint: rows that fail keep their key columns, so that they can be told apart
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "on_error='null', key=['id'], rows='many'",
        expect![[r#"
            error[E0402]: `on_error="null"` does not go with `rows="many"`
              transforms/x.py:3:14
              |     on_error='null', key=['id'], rows='many')
              |              ^^^^^^
              transforms/x.py:3:39
              |     on_error='null', key=['id'], rows='many')
              |                                       ------ any number of rows
              hint: a row that fails has no row of its own in the result: use `on_error="quarantine"`
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "max_errors=1, max_error_rate=0.5, max_bytes='1GiB'",
        expect![[r#"
            error[E0402]: `max_bytes` applies to `mode="table"` alone
              transforms/x.py:3:39
              |     max_errors=1, max_error_rate=0.5, max_bytes='1GiB')
              |                                       ^^^^^^^^^
              hint: remove the argument
              node: x
            error[E0402]: `max_errors` and `max_error_rate` are two answers to one question
              transforms/x.py:3:16
              |     max_errors=1, max_error_rate=0.5, max_bytes='1GiB')
              |                ^
              transforms/x.py:3:34
              |     max_errors=1, max_error_rate=0.5, max_bytes='1GiB')
              |                                  --- also here
              hint: keep one of them
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "inputs={'f': ref('features')}",
        expect![[r#"
            error[E0402]: `input` and `inputs` are given
              transforms/x.py:3:5
              |     inputs={'f': ref('features')})
              |     ^^^^^^
              transforms/x.py:2:12
              | @transform(input=ref("features"), columns={"id": "bigint", "p": "double"},
              |            ----- also here
              hint: keep one of them
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "mode='table', rows='many', batch_size=5, on_error='quarantine', requires={}",
        expect![[r#"
            error[E0402]: `mode="table"` has no rows that could fail one by one
              transforms/x.py:3:55
              |     mode='table', rows='many', batch_size=5, on_error='quarantine', requires={})
              |                                                       ^^^^^^^^^^^^
              hint: an exception fails the node: write `on_error="fail"`, or leave it out
              node: x
            error[E0402]: `batch_size` does not apply to `mode="table"`
              transforms/x.py:3:32
              |     mode='table', rows='many', batch_size=5, on_error='quarantine', requires={})
              |                                ^^^^^^^^^^
              hint: remove the argument
              node: x
            error[E0402]: `requires` does not apply to `mode="table"`
              transforms/x.py:3:69
              |     mode='table', rows='many', batch_size=5, on_error='quarantine', requires={})
              |                                                                     ^^^^^^^^
              hint: remove the argument
              node: x
            error[E0402]: `rows` does not apply to `mode="table"`
              transforms/x.py:3:19
              |     mode='table', rows='many', batch_size=5, on_error='quarantine', requires={})
              |                   ^^^^
              hint: remove the argument
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "key=['ip', 'zzz', 'zzz']",
        expect![[r#"
            error[E0402]: `key` names column `zzz` twice
              transforms/x.py:3:23
              |     key=['ip', 'zzz', 'zzz'])
              |                       ^^^^^
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "key=['ip', 'zzz']",
        expect![[r#"
            error[E0402]: `key` names `ip`, which `columns` does not have
              transforms/x.py:3:10
              |     key=['ip', 'zzz'])
              |          ^^^^ did you mean `p`?
              node: x
            error[E0402]: `key` names `zzz`, which `columns` does not have
              transforms/x.py:3:16
              |     key=['ip', 'zzz'])
              |                ^^^^^
              hint: the result keeps its key; its columns are `id`, `p`
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "requires={'not_nul': ['a'], 'sql': [1], 1: 2}",
        expect![[r#"
            error[E0402]: expected `"not_null"` or `"sql"` for `requires`, found `"not_nul"`
              transforms/x.py:3:15
              |     requires={'not_nul': ['a'], 'sql': [1], 1: 2})
              |               ^^^^^^^^^ did you mean `"not_null"`?
              node: x
            error[E0402]: expected a text for `requires`, found `1`
              transforms/x.py:3:41
              |     requires={'not_nul': ['a'], 'sql': [1], 1: 2})
              |                                         ^
              node: x
            error[E0402]: expected `"not_null"` or `"sql"` for `requires`, found `1`
              transforms/x.py:3:45
              |     requires={'not_nul': ['a'], 'sql': [1], 1: 2})
              |                                             ^
              hint: write `requires={"not_null": ["a"], "sql": ["b > 0"]}`
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "requires=['a'], key=1",
        expect![[r#"
            error[E0402]: expected a text or a list of texts for `key`, found `1`
              transforms/x.py:3:25
              |     requires=['a'], key=1)
              |                         ^
              node: x
            error[E0402]: expected a dict for `requires`, found a list
              transforms/x.py:3:14
              |     requires=['a'], key=1)
              |              ^^^^^
              hint: write `requires={"not_null": ["a"], "sql": ["b > 0"]}`
              node: x
            broken: x
        "#]],
    );
}
