//! `docs/json.md` names every field of every object that `--format json` prints.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::run::SHOP;
use crate::support::{Project, parsed};

const DOCS: &str = include_str!("../../../../docs/json.md");

#[test]
fn every_field_is_documented() {
    let project = Project::new(SHOP);
    project.add("-- transforms/bad.sql --\nselect 1 / (spent - spent) as x from {{ ref('spending') }}\n");
    project.add("-- transforms/transforms.yml --\ntransforms:\n  bad: {columns: {x: double}}\n");
    let outputs = [
        ("run", project.command(&["run", "people", "spending"])),
        ("ls", project.command(&["ls"])),
        ("plan", project.command(&["plan"])),
        ("show", project.command(&["show", "people"])),
        ("show", project.command(&["show", "people", "--schema"])),
        ("show", project.command(&["show", "spending", "--compiled"])),
        ("show", project.command(&["show", "spending", "--explain"])),
        ("try", project.command(&["try", "spending"])),
        ("errors", project.command(&["errors"])),
        ("check", project.command(&["check"])),
        ("runs.ls", project.command(&["runs", "ls"])),
        ("runs.show", project.command(&["runs", "show"])),
        ("runs.logs", project.command(&["runs", "logs"])),
        ("gc", project.command(&["gc"])),
        ("lineage", project.command(&["lineage", "profile"])),
        ("explain", project.command(&["explain", "E0102"])),
    ];
    for (name, mut command) in outputs {
        let answer = project.answer(command.args(["--format", "json"]));
        assert_eq!(answer.code, 0, "{answer}");
        let output = parsed(&answer.stdout);
        let schema = format!("windlass.{name}/1");
        assert_eq!(output["schema"], schema.as_str());
        check(&schema, &output);
    }
}

#[test]
fn every_field_of_a_failure_is_documented() {
    let project = Project::new("-- transforms/a.sql --\nselect 1 / x as y from (values (0), (1)) t(x)\n");
    let run = project.windlass(["run", "--format", "json"]);
    check("windlass.run/1", &parsed(&run.stdout));
    project.add("-- transforms/b.sql --\nselect 1 as x from {{ ref('c') }}\n-- transforms/c.sql --\nselect 1 as x from {{ ref('b') }}\n");
    let plan = project.windlass(["plan", "--format", "json"]);
    check("windlass.plan/1", &parsed(&plan.stdout));
}

#[test]
fn every_field_about_error_rows_is_documented() {
    let project = Project::with_python(crate::python_errors::SCORE);
    let commands: [(&str, &[&str]); 7] = [
        ("run", &["run"]),
        ("try", &["try", "score"]),
        ("errors", &["errors"]),
        ("errors", &["errors", "score"]),
        ("errors", &["errors", "score", "--export", "rows.json"]),
        ("runs.logs", &["runs", "logs"]),
        ("run", &["errors", "score", "--replay"]),
    ];
    for (name, args) in commands {
        let answer = project.answer(project.command(args).args(["--format", "json"]));
        assert_eq!(answer.code, 0, "{answer}");
        check(&format!("windlass.{name}/1"), &parsed(&answer.stdout));
    }
}

#[track_caller]
fn check(schema: &str, output: &Value) {
    let (_, section) = DOCS.split_once(&format!("`{schema}`")).unwrap_or_else(|| panic!("{schema} has no section"));
    let section = section.split("\n## ").next().unwrap();
    let mut fields = BTreeSet::new();
    gather(&output["data"], &mut fields);
    let missing: Vec<_> = fields.iter().filter(|field| !section.contains(&format!("`{field}`"))).collect();
    assert!(missing.is_empty(), "docs/json.md does not describe {missing:?} of {schema}");
}

fn gather(value: &Value, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                fields.insert(name.clone());
                // The fields of a row are the user's.
                if name != "rows" && name != "example_row" {
                    gather(value, fields);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| gather(value, fields)),
        _ => {}
    }
}
