//! Mistakes in Python code and its packages: each is told at the user's line, with the way out.

use expect_test::{Expect, expect};

use crate::support::Project;

const NUMBERS: &str = r#"
-- transforms/numbers.sql --
select value as id, value * 0.5 as x, 'n' || value as name from generate_series(1, 100) t(value)
"#;

/// Runs `numbers` and a transform of it, and compares what is said.
#[track_caller]
fn check(code: &str, expected: Expect) {
    let project = Project::with_python(NUMBERS);
    project.write("transforms/node.py", code);
    let answer = project.windlass(["run"]);
    answer.check(expected);
    assert!(answer.stdout.is_empty());
    assert_eq!(project.files("lake/prod/node"), Vec::<String>::new(), "nothing is published and nothing left");
}

/// A transform whose function has this body.
fn transform(arguments: &str, body: &str) -> String {
    format!(
        "from windlass import ref, transform\n\n\n@transform(input=ref(\"numbers\"), {arguments})\ndef node(batch):\n{body}\n"
    )
}

const TWO: &str = "columns={\"id\": \"bigint\", \"y\": \"double\"}, key=[\"id\"]";

#[test]
fn a_column_is_missing() {
    check(
        &transform(TWO, "    return {\"id\": batch[\"id\"], \"Y\": batch[\"x\"]}"),
        expect![[r#"
            exit 1
            -- stderr
              ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
              ✗ node     failed  [TIME]
            error[E0405]: the result has no column `y` (it has `Y`; names are case-sensitive); it has `id`, `Y`, and `columns` declares `id`, `y`
             --> transforms/node.py:5:5
              |
            5 | def node(batch):
              |     ^^^^
            windlass explain E0405
            Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]],
    );
}

#[test]
fn a_column_is_too_much() {
    check(
        &transform(TWO, "    return {\"id\": batch[\"id\"], \"y\": batch[\"x\"], \"z\": batch[\"x\"]}"),
        expect![[r#"
            exit 1
            -- stderr
              ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
              ✗ node     failed  [TIME]
            error[E0405]: the result has a column `z` that `columns` does not declare: leave it out, or declare it; `columns` declares `id`, `y`
             --> transforms/node.py:5:5
              |
            5 | def node(batch):
              |     ^^^^
            windlass explain E0405
            Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]],
    );
}

#[test]
fn a_column_is_of_another_type() {
    check(
        &transform(TWO, "    return {\"id\": batch[\"id\"], \"y\": batch[\"name\"]}"),
        expect![[r#"
            exit 1
            -- stderr
              ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
              ✗ node     failed  [TIME]
            error[E0405]: column `y` is declared as `double` and came back as `string`: convert it before you return it, or declare `string`
             --> transforms/node.py:5:5
              |
            5 | def node(batch):
              |     ^^^^
            windlass explain E0405
            Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]],
    );
}

#[test]
fn values_do_not_fit_the_type() {
    let arguments = "columns={\"id\": \"bigint\", \"y\": \"tinyint\"}, key=[\"id\"]";
    check(
        &transform(arguments, "    return {\"id\": batch[\"id\"], \"y\": batch[\"id\"] * 2}"),
        expect![[r#"
            exit 1
            -- stderr
              ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
              ✗ node     failed  [TIME]
            error[E0405]: column `y` came back as `int64` and has values that do not fit the declared `int8`: Integer value 128 not in range: -128 to 127; convert them before you return them, or declare a wider type
             --> transforms/node.py:5:5
              |
            5 | def node(batch):
              |     ^^^^
            windlass explain E0405
            Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]],
    );
}

#[test]
fn rows_are_missing() {
    check(
        &transform(TWO, "    return {\"id\": batch[\"id\"][1:], \"y\": batch[\"x\"][1:]}"),
        expect![[r#"
            exit 1
            -- stderr
              ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
              ✗ node     failed  [TIME]
            error[E0405]: the result has 99 rows for a batch of 100: with `rows="one_to_one"` every row comes back, in order. Mark rows that cannot be worked on with `windlass.reject(mask, "why")`, or declare `rows="many"`
             --> transforms/node.py:5:5
              |
            5 | def node(batch):
              |     ^^^^
            windlass explain E0405
            Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]],
    );
}

#[test]
fn columns_are_of_different_length() {
    check(
        &transform(TWO, "    return {\"id\": batch[\"id\"], \"y\": batch[\"x\"][1:]}"),
        expect![[r#"
            exit 1
            -- stderr
              ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
              ✗ node     failed  [TIME]
            error[E0405]: column `y` has 99 values and column `id` has 100: every column of a result has one value per row
             --> transforms/node.py:5:5
              |
            5 | def node(batch):
              |     ^^^^
            windlass explain E0405
            Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]],
    );
}

#[test]
fn nothing_is_returned() {
    check(
        &transform(TWO, "    batch[\"y\"] = batch[\"x\"]"),
        expect![[r#"
            exit 1
            -- stderr
              ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
              ✗ node     failed  [TIME]
            error[E0405]: the function returned None: is a `return` missing?
             --> transforms/node.py:5:5
              |
            5 | def node(batch):
              |     ^^^^
            windlass explain E0405
            Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]],
    );
}

#[test]
fn the_key_is_changed() {
    check(
        &transform(TWO, "    return {\"id\": batch[\"id\"] + 1, \"y\": batch[\"x\"]}"),
        expect![[r#"
            exit 1
            -- stderr
              ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
              ✗ node     failed  [TIME]
            error[E0405]: key column `id` changed: row 0 was 1 and is 2; with `rows="one_to_one"` rows keep their order and their key. Return the rows as they came, or declare `rows="many"`
             --> transforms/node.py:5:5
              |
            5 | def node(batch):
              |     ^^^^
            windlass explain E0405
            Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]],
    );
}

#[test]
fn a_package_is_missing() {
    let arguments = format!("{TWO}, batch_format=\"pandas\"");
    check(
        &transform(&arguments, "    return batch"),
        expect![[r#"
        exit 1
        -- stderr
          ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
          ✗ node     failed  [TIME]
        error[E0503]: a worker of `node` could not start: `batch_format="pandas"` needs pandas: add it to the dependencies of node.py
         --> transforms/node.py:5:5
          |
        5 | def node(batch):
          |     ^^^^
        windlass explain E0503
        Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]],
    );
    check(
        &format!("import pandas as pd\n{}", transform(TWO, "    return batch")),
        expect![[r#"
            exit 1
            -- stderr
              ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
              ✗ node     failed  [TIME]
            error[E0406]: a worker of `node` could not start: ModuleNotFoundError: No module named 'pandas'
             --> transforms/node.py:1:1
              |
            1 | import pandas as pd
              | ^^^^^^^^^^^^^^^^^^^
              |
              = note: Traceback (most recent call last):
                        File "[DIR]/transforms/node.py", line 1, in <module>
                          import pandas as pd
                      ModuleNotFoundError: No module named 'pandas'
              = help: name the package of `pandas` in the file's `# /// script` block, or put `pandas.py` into `lib/`
            windlass explain E0406
            Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]],
    );
    check(
        &transform(TWO, "    import sklearn\n    return batch"),
        expect![[r#"
        exit 1
        -- stderr
          ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
          ✗ node     failed  [TIME]
        error[E0409]: `node`: 100 of 100 rows failed (100.00 %), more than the 1 % of `max_error_rate`
         --> transforms/node.py:6:5
          |
        6 |     import sklearn
          |     ^^^^^^^^^^^^^^
          |
          = note: 100 rows: ModuleNotFoundError: No module named 'sklearn'
          = note: Traceback (most recent call last):
                    File "[DIR]/transforms/node.py", line 6, in node
                      import sklearn
                  ModuleNotFoundError: No module named 'sklearn'
          = help: every row failed, so this is the code and not the data: windlass try
        windlass explain E0409
        Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]],
    );
}

#[test]
fn a_class_cannot_be_constructed() {
    check(
        r#"from windlass import ref, transform


def load(path):
    return open(path, "rb").read()


@transform(input=ref("numbers"), columns={"id": "bigint"}, key=["id"], fn_constructor_args=["no/such/model.bin"])
class Node:
    def __init__(self, path):
        self.model = load(path)

    def __call__(self, batch):
        return batch
"#,
        expect![[r#"
            exit 1
            -- stderr
              ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
              ✗ node     failed  [TIME]
            error[E0406]: a worker of `node` could not start: FileNotFoundError: [Errno 2] No such file or directory: 'no/such/model.bin'
             --> transforms/node.py:5:5
              |
            5 |     return open(path, "rb").read()
              |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = note: Traceback (most recent call last):
                        File "[DIR]/transforms/node.py", line 11, in __init__
                          self.model = load(path)
                        File "[DIR]/transforms/node.py", line 5, in load
                          return open(path, "rb").read()
                      FileNotFoundError: [Errno 2] No such file or directory: 'no/such/model.bin'
            windlass explain E0406
            Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]],
    );
}

#[test]
fn constructor_arguments_do_not_fit() {
    check(
        r#"from windlass import ref, transform


@transform(input=ref("numbers"), columns={"id": "bigint"}, key=["id"], fn_constructor_kwargs={"wieght": 1.0})
class Node:
    def __init__(self, weight):
        self.weight = weight

    def __call__(self, batch):
        return batch
"#,
        expect![[r#"
            exit 1
            -- stderr
              ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
              ✗ node     failed  [TIME]
            error[E0406]: a worker of `node` could not start: TypeError: Node.__init__() got an unexpected keyword argument 'wieght'
             --> transforms/node.py:5:7
              |
            5 | class Node:
              |       ^^^^
              |
              = note: TypeError: Node.__init__() got an unexpected keyword argument 'wieght'
            windlass explain E0406
            Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]],
    );
}

#[test]
fn a_module_cannot_be_imported() {
    let project = Project::with_python(NUMBERS);
    project.write("lib/broken.py", "LIMITS = {}\nLIMIT = LIMITS[\"upper\"]\n");
    project.write("transforms/node.py", &format!("from broken import LIMIT\n{}", transform(TWO, "    return batch")));
    project.windlass(["run", "-q"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ node     failed  [TIME]
        error[E0406]: a worker of `node` could not start: KeyError: 'upper'
         --> lib/broken.py:2:1
          |
        2 | LIMIT = LIMITS["upper"]
          | ^^^^^^^^^^^^^^^^^^^^^^^
          |
          = note: Traceback (most recent call last):
                    File "[DIR]/transforms/node.py", line 1, in <module>
                      from broken import LIMIT
                    File "[DIR]/lib/broken.py", line 2, in <module>
                      LIMIT = LIMITS["upper"]
                  KeyError: 'upper'
        windlass explain E0406
    "#]]);
}

#[test]
fn code_is_no_python() {
    check(
        &transform(TWO, "    return {\"id\": batch[\"id\"], \"y\": }"),
        expect![[r#"
        exit 2
        -- stderr
        error[E0401]: the Python file cannot be parsed: expected an expression
         --> transforms/node.py:6:37
          |
        6 |     return {"id": batch["id"], "y": }
          |                                     ^
        windlass explain E0401
    "#]],
    );
}

#[test]
fn decorators_are_literal() {
    check(
        &format!(
            "import os\n{}",
            transform("columns={\"id\": os.environ[\"TYPE\"]}, key=[\"id\"]", "    return batch")
        ),
        expect![[r#"
            exit 2
            -- stderr
            error[E0402]: an argument must be a literal, planning does not run Python
             --> transforms/node.py:5:49
              |
            5 | @transform(input=ref("numbers"), columns={"id": os.environ["TYPE"]}, key=["id"])
              |                                                 ^^^^^^^^^^^^^^^^^^
              |
              = help: write the value itself, a module-level constant, or `var("name")` for a value of `windlass.yml`
            windlass explain E0402
        "#]],
    );
    check(
        &transform("columns={\"id\": \"bigint\"}, key=[\"id\"], on_eror=\"fail\"", "    return batch"),
        expect![[r#"
            exit 2
            -- stderr
            error[E0402]: unknown argument `on_eror` of `@transform`
             --> transforms/node.py:4:72
              |
            4 | @transform(input=ref("numbers"), columns={"id": "bigint"}, key=["id"], on_eror="fail")
              |                                                                        ^^^^^^^ did you mean `on_error`?
            windlass explain E0402
        "#]],
    );
    check(
        &transform("columns={\"id\": \"bigint\"}, input_columns=[\"idd\"]", "    return batch"),
        expect![[r#"
        exit 2
        -- stderr
        error[E0102]: no column `idd` in `numbers`, named by `input_columns`
         --> transforms/node.py:5:5
          |
        5 | def node(batch):
          |     ^^^^ did you mean `id`?
          |
          = note: columns: `id`, `x`, `name`
        windlass explain E0102
    "#]],
    );
}

#[test]
fn rules_of_requires_are_checked_at_their_words() {
    let rule = |sql: &str| {
        transform(&format!("columns={{\"id\": \"bigint\"}}, requires={{\"sql\": [{sql}]}}"), "    return batch")
    };
    check(
        &rule("\"length(x) > \""),
        expect![[r#"
        exit 2
        -- stderr
        error[E0101]: the SQL ends too early: expected an expression
         --> transforms/node.py:4:89
          |
        4 | @transform(input=ref("numbers"), columns={"id": "bigint"}, requires={"sql": ["length(x) > "]})
          |                                                                                         ^
        windlass explain E0101
    "#]],
    );
    check(
        &rule("\"x > 0\", \"nam = 'ada' or idd > 3\""),
        expect![[r#"
        exit 2
        -- stderr
        error[E0102]: no column `nam`
         --> transforms/node.py:4:88
          |
        4 | @transform(input=ref("numbers"), columns={"id": "bigint"}, requires={"sql": ["x > 0", "nam = 'ada' or idd > 3"]})
          |                                                                                        ^^^ did you mean `name`?
          |
          = note: columns: `id`, `x`, `name`
        windlass explain E0102
    "#]],
    );
    check(
        &rule("\"length(name)\""),
        expect![[r#"
        exit 2
        -- stderr
        error[E0105]: `length(name)` is of type int, not boolean
         --> transforms/node.py:4:78
          |
        4 | @transform(input=ref("numbers"), columns={"id": "bigint"}, requires={"sql": ["length(name)"]})
          |                                                                              ^^^^^^^^^^^^^^
          |
          = help: write a condition, such as `x > 0`
        windlass explain E0105
    "#]],
    );
    check(
        &rule("\"id > name and x > date '2020-01-01'\""),
        expect![[r#"
        exit 2
        -- stderr
        error[E0105]: cannot infer common argument type for comparison operation double > date
         --> transforms/node.py:4:78
          |
        4 | @transform(input=ref("numbers"), columns={"id": "bigint"}, requires={"sql": ["id > name and x > date '2020-01-01'"]})
          |                                                                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          |
          = help: cast one side, for example `cast(x as bigint)`
        windlass explain E0105
    "#]],
    );
    check(
        &rule("\"x > avg(x)\""),
        expect![[r#"
        exit 2
        -- stderr
        error[E0107]: `requires` is a condition on one row: no aggregate, window function or subquery
         --> transforms/node.py:4:78
          |
        4 | @transform(input=ref("numbers"), columns={"id": "bigint"}, requires={"sql": ["x > avg(x)"]})
          |                                                                              ^^^^^^^^^^^^
          |
          = help: compute it in the SQL that the transform reads and require its column
        windlass explain E0107
    "#]],
    );
    check(
        &rule("\"lenght(name) > 1\""),
        expect![[r#"
        exit 2
        -- stderr
        error[E0104]: no function `lenght`
         --> transforms/node.py:4:79
          |
        4 | @transform(input=ref("numbers"), columns={"id": "bigint"}, requires={"sql": ["lenght(name) > 1"]})
          |                                                                               ^^^^^^ did you mean `length`?
        windlass explain E0104
    "#]],
    );
    // Escapes keep the words from being found, and the whole text is told.
    check(
        &rule("\"nam = \\'ada\\'\""),
        expect![[r#"
        exit 2
        -- stderr
        error[E0102]: no column `nam`
         --> transforms/node.py:4:78
          |
        4 | @transform(input=ref("numbers"), columns={"id": "bigint"}, requires={"sql": ["nam = \'ada\'"]})
          |                                                                              ^^^^^^^^^^^^^^^ did you mean `name`?
          |
          = note: columns: `id`, `x`, `name`
        windlass explain E0102
    "#]],
    );
}

/// A function where no Python has run yet.
#[test]
fn rules_of_requires_call_no_python() {
    let project = Project::with_python(NUMBERS);
    project.write(
        "functions/own.py",
        "from windlass import udf\n\n\n@udf(returns=\"boolean\")\ndef is_good(x):\n    return x > 0\n",
    );
    let decorator = "columns={\"id\": \"bigint\"}, requires={\"sql\": [\"id > 0 and is_good(x)\"]}";
    project.write("transforms/node.py", &transform(decorator, "    return batch"));
    project.windlass(["plan"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0412]: `is_good` is Python, and `requires` is evaluated before Python
         --> transforms/node.py:4:78
          |
        4 | @transform(input=ref("numbers"), columns={"id": "bigint"}, requires={"sql": ["id > 0 and is_good(x)"]})
          |                                                                              ^^^^^^^^^^^^^^^^^^^^^^^
          |
         ::: functions/own.py:5:5
          |
        5 | def is_good(x):
          |     ------- the function
          |
          = help: call it in the SQL that the transform reads and require its column, or use `reject`
        windlass explain E0412
    "#]]);
}

#[test]
fn several_nodes_fail_for_themselves() {
    let project = Project::with_python(NUMBERS);
    project.write("transforms/a.py", &transform(TWO, "    return {\"id\": batch[\"id\"]}"));
    project.write("transforms/b.sql", "select * from {{ ref('a') }}\n");
    project.write("transforms/c.py", &transform(TWO, "    return {\"id\": batch[\"id\"], \"y\": batch[\"x\"]}"));
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
          ✗ a        failed  [TIME]
        error[E0405]: the result has no column `y`; it has `id`, and `columns` declares `id`, `y`
         --> transforms/a.py:5:5
          |
        5 | def node(batch):
          |     ^^^^
          - b        skipped, it needs `a`
          ✓ c                100 rows  [SIZE]  version 0  [TIME]
        windlass explain E0405
        Published 2 of 4 to prod, 1 failed, 1 skipped  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}
