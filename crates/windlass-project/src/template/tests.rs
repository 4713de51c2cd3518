//! Rendering, and what goes wrong in templates.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use crate::fixture::{load, problems, project};
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

fn check(sql: &str, expected: Expect) {
    expected.assert_eq(&problems(&format!("{NODES}-- transforms/x.sql --\n{sql}")));
}

#[test]
fn unknown_names() {
    check(
        "select * from {{ ref('stg_flihgts') }} join {{ ref('flights') }} join {{ ref('zzz') }}",
        expect![[r#"
        error[E0302]: no node `stg_flihgts`
          transforms/x.sql:1:22
          | select * from {{ ref('stg_flihgts') }} join {{ ref('flights') }} join {{ ref('zzz') }}
          |                      ^^^^^^^^^^^^^ did you mean `stg_flights`?
          hint: a node is named after its file in `transforms/` or `seeds/`
          node: x
        error[E0302]: no node `flights`
          transforms/x.sql:1:52
          | select * from {{ ref('stg_flihgts') }} join {{ ref('flights') }} join {{ ref('zzz') }}
          |                                                    ^^^^^^^^^
          hint: `flights` is a table of source `nyc`: write `source('nyc', 'flights')`
          node: x
        error[E0302]: no node `zzz`
          transforms/x.sql:1:78
          | select * from {{ ref('stg_flihgts') }} join {{ ref('flights') }} join {{ ref('zzz') }}
          |                                                                              ^^^^^
          hint: a node is named after its file in `transforms/` or `seeds/`
          node: x
        broken: x
    "#]],
    );
    check(
        "select * from {{ source('nyc', 'flihgts') }}, {{ source('nyk', 'flights') }}, {{ source('nyc', 'zz') }}",
        expect![[r#"
        error[E0303]: source `nyc` has no table `flihgts`
          transforms/x.sql:1:32
          | select * from {{ source('nyc', 'flihgts') }}, {{ source('nyk', 'flights') }}, {{ source('nyc', 'zz') }}
          |                                ^^^^^^^^^ did you mean `flights`?
          hint: declare the table in `sources.yml`
          node: x
        error[E0303]: no source `nyk`
          transforms/x.sql:1:57
          | select * from {{ source('nyc', 'flihgts') }}, {{ source('nyk', 'flights') }}, {{ source('nyc', 'zz') }}
          |                                                         ^^^^^ did you mean `nyc`?
          hint: declare it in `sources.yml`; known sources: `nyc`
          node: x
        error[E0303]: source `nyc` has no table `zz`
          transforms/x.sql:1:96
          | select * from {{ source('nyc', 'flihgts') }}, {{ source('nyk', 'flights') }}, {{ source('nyc', 'zz') }}
          |                                                                                                ^^^^
          hint: declare the table in `sources.yml`
          node: x
        broken: x
    "#]],
    );
    check(
        "select {{ var('late_minutes') }}, {{ env_var('NOPE') }}, {{ env_var('WINDLASS_SECRET_TOKEN') }}",
        expect![[r#"
        error[E0304]: no variable `late_minutes`
          transforms/x.sql:1:15
          | select {{ var('late_minutes') }}, {{ env_var('NOPE') }}, {{ env_var('WINDLASS_SECRET_TOKEN') }}
          |               ^^^^^^^^^^^^^^
          hint: set it under `vars:` in `windlass.yml`, pass `--vars late_minutes=...`, or give a default
          node: x
        error[E0306]: the environment variable `NOPE` is not set
          transforms/x.sql:1:46
          | select {{ var('late_minutes') }}, {{ env_var('NOPE') }}, {{ env_var('WINDLASS_SECRET_TOKEN') }}
          |                                              ^^^^^^
          hint: set it, or give a default: `env_var('NOPE', '...')`
          node: x
        error[E0307]: the secret `WINDLASS_SECRET_TOKEN` cannot be used in SQL
          transforms/x.sql:1:69
          | select {{ var('late_minutes') }}, {{ env_var('NOPE') }}, {{ env_var('WINDLASS_SECRET_TOKEN') }}
          |                                                                     ^^^^^^^^^^^^^^^^^^^^^^^
          hint: name it in `targets.yml` or `sources.yml`, where it stays out of plans and logs
          node: x
        broken: x
    "#]],
    );
    check(
        "select {{ cents('a') }}",
        expect![[r#"
        error[E0305]: no macro or function `cents`
          transforms/x.sql:1:11
          | select {{ cents('a') }}
          |           ^^^^^^^^^^
          hint: define it as a macro in a file below `macros/`
          node: x
        broken: x
    "#]],
    );
    check(
        "select {{ reff('a') }}",
        expect![[r#"
        error[E0305]: no macro or function `reff`
          transforms/x.sql:1:11
          | select {{ reff('a') }}
          |           ^^^^^^^^^ did you mean `ref`?
          node: x
        broken: x
    "#]],
    );
    check(
        "select {{ amount }}",
        expect![[r#"
        error[E0305]: no variable `amount`
          transforms/x.sql:1:11
          | select {{ amount }}
          |           ^^^^^^
          hint: project variables are read with `var('name')`, text stands in quotes
          node: x
        broken: x
    "#]],
    );
    check(
        "select {{ target.nam }}",
        expect![[r#"
        error[E0307]: `target.nam` is undefined
          transforms/x.sql:1:11
          | select {{ target.nam }}
          |           ^^^^^^^^^^
          node: x
        broken: x
    "#]],
    );
    check(
        "select {{ 'a' | uper }}",
        expect![[r#"
        error[E0305]: no filter `uper`
          transforms/x.sql:1:17
          | select {{ 'a' | uper }}
          |                 ^^^^
          hint: see the filters and tests of MiniJinja
          node: x
        broken: x
    "#]],
    );
    check(
        "select {% if 1 is evn %}1{% endif %}",
        expect![[r#"
        error[E0305]: no template test `evn`
          transforms/x.sql:1:19
          | select {% if 1 is evn %}1{% endif %}
          |                   ^^^
          hint: see the filters and tests of MiniJinja
          node: x
        broken: x
    "#]],
    );
    check(
        "select 1 {% if isincremental() %} where {{ this }}{% endif %}",
        expect![[r#"
            error[E0305]: no macro or function `isincremental`
              transforms/x.sql:1:16
              | select 1 {% if isincremental() %} where {{ this }}{% endif %}
              |                ^^^^^^^^^^^^^^^ did you mean `is_incremental`?
              node: x
            broken: x
        "#]],
    );
    check(
        "{% import 'dats.sql' as d %}select 1",
        expect![[r#"
        error[E0305]: no macro file `tried to include non-existing template 'dats.sql'`
          transforms/x.sql:1:4
          | {% import 'dats.sql' as d %}select 1
          |    ^^^^^^^^^^^^^^^^^^^^^^
          hint: name the file below `macros/`, such as `{% import 'dates.sql' as dates %}`
          node: x
        broken: x
    "#]],
    );
}

#[test]
fn syntax_errors() {
    check(
        "select {{ ref('a' }} from t",
        expect![[r#"
        error[E0301]: the template cannot be parsed: unexpected `}`, expected `,`
          transforms/x.sql:1:19
          | select {{ ref('a' }} from t
          |                   ^
          node: x
        broken: x
    "#]],
    );
    check(
        "select 1\n{% if true %}\nfrom t",
        expect![[r#"
        error[E0301]: the template cannot be parsed: unexpected end of input, expected end of block
          transforms/x.sql:2:1
          | {% if true %}
          | ^^^^^^^^^^^^^ this is never closed
          node: x
        broken: x
    "#]],
    );
    check(
        "select {{ 'a }} from t",
        expect![[r#"
        error[E0301]: the template cannot be parsed: unexpected end of string
          transforms/x.sql:1:8
          | select {{ 'a }} from t
          |        ^^ this is never closed
          node: x
        broken: x
    "#]],
    );
    check(
        "select {% fro x in y %}",
        expect![[r#"
        error[E0301]: the template cannot be parsed: unknown statement fro
          transforms/x.sql:1:11
          | select {% fro x in y %}
          |           ^^^
          node: x
        broken: x
    "#]],
    );
    check(
        "select 1\n{% for x in [1] %}{% if x %}\n{% endif %}\nfrom t",
        expect![[r#"
        error[E0301]: the template cannot be parsed: unexpected end of input, expected end of block
          transforms/x.sql:2:1
          | {% for x in [1] %}{% if x %}
          | ^^^^^^^^^^^^^^^^^^ this is never closed
          node: x
        broken: x
    "#]],
    );
    check(
        "select {# open",
        expect![[r#"
        error[E0301]: the template cannot be parsed: unexpected end of comment
          transforms/x.sql:1:8
          | select {# open
          |        ^^ this is never closed
          node: x
        broken: x
    "#]],
    );
}

#[test]
fn failures_while_rendering() {
    check(
        "select {{ 1 / 0 }}",
        expect![[r#"
        error[E0307]: cannot render `1 / 0`: unable to calculate 1 / 0
          transforms/x.sql:1:11
          | select {{ 1 / 0 }}
          |           ^^^^^
          node: x
        broken: x
    "#]],
    );
    check(
        "select {{ ref() }}",
        expect![[r#"
        error[E0307]: cannot render `ref()`: missing argument
          transforms/x.sql:1:11
          | select {{ ref() }}
          |           ^^^^^
          node: x
        broken: x
    "#]],
    );
    check(
        "select {{ ref(1) }}",
        expect![[r#"
        error[E0307]: cannot render `ref(1)`: value is not a string
          transforms/x.sql:1:11
          | select {{ ref(1) }}
          |           ^^^^^^
          node: x
        broken: x
    "#]],
    );
    check(
        "select {{ config('view') }}",
        expect![[r#"
        error[E0307]: cannot render `config('view')`: too many arguments
          transforms/x.sql:1:11
          | select {{ config('view') }}
          |           ^^^^^^^^^^^^^^
          node: x
        broken: x
    "#]],
    );
    check(
        "select {{ env_var('S3_KEY') | int }}",
        expect![[r#"
        error[E0307]: cannot render `int`: invalid float literal
          transforms/x.sql:1:31
          | select {{ env_var('S3_KEY') | int }}
          |                               ^^^
          node: x
        broken: x
    "#]],
    );
}

#[test]
fn failures_in_macros_show_the_call() {
    let macros = "-- macros/m.sql --\n{% macro a(x) %}{{ b(x) }}{% endmacro %}\n-- macros/n.sql --\n{% macro b(x) %}{{ x.y.z }}{% endmacro %}\n{% macro f() %}{{ f() }}{% endmacro %}\n{% macro p() %}{{ q() }}{% endmacro %}\n-- macros/o.sql --\n{% macro q() %}{{ p() }}{% endmacro %}\n";
    let text = format!(
        "{NODES}{macros}-- transforms/x.sql --\nselect {{{{ a(1) }}}}\n-- transforms/y.sql --\nselect {{{{ f() }}}}\n-- transforms/z.sql --\nselect {{{{ a(ref('w')) }}}}\n-- transforms/cross.sql --\nselect {{{{ p() }}}}"
    );
    expect![[r#"
        error[E0307]: cannot render `p()`: macro `p` calls itself without end
          macros/o.sql:1:19
          | {% macro q() %}{{ p() }}{% endmacro %}
          |                   ^^^
          macros/n.sql:3:19
          | {% macro p() %}{{ q() }}{% endmacro %}
          |                   --- called here
          transforms/cross.sql:1:11
          | select {{ p() }}
          |           --- called here
          node: cross
        error[E0307]: `x.y.z` is undefined
          macros/n.sql:1:20
          | {% macro b(x) %}{{ x.y.z }}{% endmacro %}
          |                    ^^^^^
          macros/m.sql:1:20
          | {% macro a(x) %}{{ b(x) }}{% endmacro %}
          |                    ---- called here
          transforms/x.sql:1:11
          | select {{ a(1) }}
          |           ---- called here
          node: x
        error[E0307]: cannot render `f()`: recursion limit exceeded
          macros/n.sql:2:19
          | {% macro f() %}{{ f() }}{% endmacro %}
          |                   ^^^
          transforms/y.sql:1:11
          | select {{ f() }}
          |           --- called here
          node: y
        error[E0302]: no node `w`
          transforms/z.sql:1:17
          | select {{ a(ref('w')) }}
          |                 ^^^
          hint: a node is named after its file in `transforms/` or `seeds/`
          node: z
        broken: cross, x, y, z
    "#]]
    .assert_eq(&problems(&text));
}

#[test]
fn macros_that_clash() {
    let text = "-- macros/a.sql --\n{% macro ref(x) %}{% endmacro %}\n{% macro m() %}{% endmacro %}\n-- macros/b.sql --\n{% macro m() %}{% endmacro %}\n-- macros/c.sql --\n{% macro n( %}\n";
    expect![[r#"
        error[E0301]: the template cannot be parsed: unexpected `%`, expected identifier
          macros/c.sql:1:13
          | {% macro n( %}
          |             ^
        error[E0205]: the macro `ref` has the name of a built-in function
          macros/a.sql:1:10
          | {% macro ref(x) %}{% endmacro %}
          |          ^^^
          hint: give it another name
        error[E0205]: duplicate macro `m`
          macros/b.sql:1:10
          | {% macro m() %}{% endmacro %}
          |          ^ again here
          macros/a.sql:2:10
          | {% macro m() %}{% endmacro %}
          |          - first here
    "#]]
    .assert_eq(&problems(text));
}

#[test]
fn config_in_the_file() {
    check(
        "{{ config(materialized='incremental', tag=['a'], retries='many', sort_by=['a sideways'], owner=none) }} select 1",
        expect![[r#"
            error[E0202]: unknown key `tag` in the settings of transforms
              transforms/x.sql:1:39
              | {{ config(materialized='incremental', tag=['a'], retries='many', sort_by=['a sideways'], owner=none) }} select 1
              |                                       ^^^ did you mean `tags`?
              node: x
            error[E0203]: expected a whole number from 0 for `retries`, found `many`
              transforms/x.sql:1:58
              | {{ config(materialized='incremental', tag=['a'], retries='many', sort_by=['a sideways'], owner=none) }} select 1
              |                                                          ^^^^^^
              node: x
            error[E0203]: expected `column`, `column asc` or `column desc` for `sort_by`, found `a sideways`
              transforms/x.sql:1:74
              | {{ config(materialized='incremental', tag=['a'], retries='many', sort_by=['a sideways'], owner=none) }} select 1
              |                                                                          ^^^^^^^^^^^^^^
              node: x
            error[E0204]: `materialized: incremental` needs the key `strategy`
              transforms/x.sql:1:24
              | {{ config(materialized='incremental', tag=['a'], retries='many', sort_by=['a sideways'], owner=none) }} select 1
              |                        ^^^^^^^^^^^^^
              hint: say what new rows replace: `by_interval`, `merge` or `append`
              node: x
            broken: x
        "#]],
    );
    check(
        "{{ config(partition_by=['a', 'a']) }} select 1",
        expect![[r#"
        error[E0203]: `partition_by` names column `a` twice
          transforms/x.sql:1:24
          | {{ config(partition_by=['a', 'a']) }} select 1
          |                        ^^^^^^^^^^
          node: x
        broken: x
    "#]],
    );
}

#[test]
fn incremental_transforms_have_two_texts() {
    let text = "-- transforms/y.sql --\nselect 1\n-- transforms/x.sql --\n{{ config(materialized='incremental', \
                strategy='by_interval', time_column='t', interval='day', start='2013-01-01') }}\n\
                {%- if is_incremental() %} select * from {{ this }}, {{ ref('y') }} where t < {{ interval_end }}\n\
                {%- else %} select {{ var('v', 7) }}{% endif %}\n";
    let project = project(text);
    let whole = transform(&project);
    let adding = whole.incremental.as_ref().expect("it is incremental");
    expect![[r#"
         select 7
         select * from x, y where t < /*interval_end*/timestamp '2200-01-01 00:00:00'
        {"v": "7"}"#]]
    .assert_eq(&format!("{}\n{}\n{:?}", whole.sql, adding.sql, whole.vars));
    assert_eq!(whole.inputs.len(), 1, "readers wait for what either text reads");
    let at = adding.sql.find("y where").map(|start| adding.map.locate(start..start + 1).expect("it is in the file"));
    assert_eq!(at.map(|at| at.to_string()).as_deref(), Some("transforms/x.sql:2:57"));
}

#[test]
fn what_only_incremental_transforms_find() {
    check(
        "select 1 where {{ this }}",
        expect![[r#"
        error[E0305]: no variable `this`
          transforms/x.sql:1:19
          | select 1 where {{ this }}
          |                   ^^^^
          hint: it is there in transforms with `materialized: incremental`, inside of `{% if is_incremental() %}`
          node: x
        broken: x
    "#]],
    );
    check(
        "select {{ interval_start }}",
        expect![[r#"
        error[E0305]: no variable `interval_start`
          transforms/x.sql:1:11
          | select {{ interval_start }}
          |           ^^^^^^^^^^^^^^
          hint: it is there in transforms with `strategy: by_interval`
          node: x
        broken: x
    "#]],
    );
    check(
        "{{ config(materialized='incremental', strategy='by_interval', time_column='t', interval='day', start='2013') }}\n\
         select t from x where t < '{{ interval_end }}'",
        expect![[r#"
            error[E0307]: `interval_end` stands in quotes, and is a timestamp already
              transforms/x.sql:2:27
              | select t from x where t < '{{ interval_end }}'
              |                           ^
              hint: remove the quotes around it
              node: x
            broken: x
        "#]],
    );
    let config = "{{ config(materialized='incremental', strategy='append') }}";
    check(
        &format!("{config} select {{{{ interval_end }}}}"),
        expect![[r#"
        error[E0305]: no variable `interval_end`
          transforms/x.sql:1:71
          | {{ config(materialized='incremental', strategy='append') }} select {{ interval_end }}
          |                                                                       ^^^^^^^^^^^^
          hint: it is there in transforms with `strategy: by_interval`
          node: x
        broken: x
    "#]],
    );
    check(
        &format!("{config} select * from {{{{ this }}}}"),
        expect![[r#"
        error[E0305]: no variable `this`
          transforms/x.sql:1:78
          | {{ config(materialized='incremental', strategy='append') }} select * from {{ this }}
          |                                                                              ^^^^
          hint: it is there in transforms with `materialized: incremental`, inside of `{% if is_incremental() %}`
          node: x
        broken: x
    "#]],
    );
    check(
        &format!("{config} select 1{{% if is_incremental() %}} from {{{{ ref('nope') }}}}{{% endif %}}"),
        expect![[r#"
            error[E0302]: no node `nope`
              transforms/x.sql:1:107
              | {{ config(materialized='incremental', strategy='append') }} select 1{% if is_incremental() %} from {{ ref('nope') }}{% endif %}
              |                                                                                                           ^^^^^^
              hint: a node is named after its file in `transforms/` or `seeds/`
              node: x
            broken: x
        "#]],
    );
}

#[test]
fn values_of_variables_keep_their_type() {
    let text = "-- windlass.yml --\nname: demo\nvars:\n  days: [1, 2]\n  flag: true\n  text: '1'\n  map: {a: b}\n-- transforms/x.sql --\nselect {% for d in var('days') %}{{ d + 1 }},{% endfor %} {{ var('flag') and 'yes' }}, {{ var('text') }}, {{ var('map').a }}, {{ var('none', 7) }}, {{ target.name }}.{{ target.env }}";
    let project = project(text);
    let transform = transform(&project);
    expect![[r#"
        select 2,3, yes, 1, b, 7, local.prod
        {"days": "[1, 2]", "flag": "True", "text": "1", "map": "{'a': 'b'}", "none": "7"}"#]]
    .assert_eq(&format!("{}\n{:?}", transform.sql, transform.vars));
}

#[test]
fn references_are_quoted_where_needed() {
    let project = project(&format!(
        "{NODES}-- transforms/x.sql --\nselect * from {{{{ ref('Codes') }}}}, {{{{ ref('stg_flights') }}}}"
    ));
    assert_eq!(transform(&project).sql, "select * from \"Codes\", stg_flights");
}

#[test]
fn a_mention_in_a_branch_not_taken_is_no_input() {
    let project =
        project(&format!("{NODES}-- transforms/x.sql --\nselect 1 {{% if false %}}{{{{ ref('nope') }}}}{{% endif %}}"));
    assert!(transform(&project).inputs.is_empty());
}

proptest! {
    #[test]
    fn odd_templates_never_panic(template in "[{}%#a'\" \\-\\n(raw)(endraw)é]{0,40}") {
        let _ = load(&format!("-- transforms/x.sql --\n{template}"));
    }
}
