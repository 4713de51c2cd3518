//! Gathers the unit tests of all files, and the project under each set of variables that they want.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, Location, SourceFile, nearest};

use super::decode::{Draft, decode};
use super::rows::Fixtures;
use super::{TestSuite, UNIT_TESTS, UnitTest, tables_read};
use crate::assemble::{Overrides, assemble, assemble_with};
use crate::checks::unknown_table;
use crate::decode::{Fields, list, missing_key, named};
use crate::load::FileSet;
use crate::manifest::parse_file;
use crate::problems::Problems;
use crate::template::{to_jinja, to_json};
use crate::yaml::duplicate;
use crate::{LoadOptions, Loaded};

/// Our own key, in files below `tests/`.
const TESTS: &str = "tests";

/// Reads all tests; pure. `tests` holds the files below `tests/`, `files` all others.
pub(crate) fn read_suite(files: &FileSet, tests: &FileSet, options: &LoadOptions) -> TestSuite {
    let mut problems = Problems::default();
    problems.extend(tests.problems.iter().map(|(_, problem)| problem.clone()));
    let drafts = unique(drafts(files, tests, &mut problems), &mut problems);
    let mut projects = vec![(String::new(), assemble(files, options))];
    let mut found = Vec::new();
    for Draft { mut test, vars } in drafts {
        let key = if vars.is_empty() { String::new() } else { spell(&vars) };
        test.project = projects.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            projects.push((key, assemble_with(files, options, &vars)));
            projects.len() - 1
        });
        let mut own = Problems::of_node(&test.node.text);
        check_names(&test, &projects[test.project].1, &mut own);
        if !own.has_errors() {
            found.push(test);
        }
        problems.absorb(own);
    }
    let projects = projects.into_iter().map(|(_, project)| project).collect();
    TestSuite { tests: found, projects, diagnostics: problems.list }
}

fn drafts(files: &FileSet, tests: &FileSet, problems: &mut Problems) -> Vec<Draft> {
    let is_yaml = |path: &str| path.ends_with(".yml") || path.ends_with(".yaml");
    let mut fixtures = Fixtures::new();
    for (path, file) in tests.files.iter().filter(|(path, _)| path.ends_with(".csv")) {
        let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".csv");
        if let Some(first) = fixtures.insert(name.to_owned(), Arc::clone(file)) {
            let start = |file: &Arc<SourceFile>| Location::new(file, 0..0);
            problems.push(duplicate(&format!("fixture `{name}`"), &start(&first), &start(file)));
        }
    }
    let mut drafts = Vec::new();
    for (_, file) in tests.files.iter().filter(|(path, _)| is_yaml(path)) {
        let Some(Some(yaml)) = parse_file(file, problems) else { continue };
        let what = format!("`{}`", file.path.display());
        let Some(fields) = Fields::open(&yaml, &what, &[TESTS, UNIT_TESTS, "version"], problems) else { continue };
        let lists: Vec<_> = [TESTS, UNIT_TESTS].into_iter().filter_map(|key| fields.get(key)).collect();
        if lists.is_empty() {
            problems.push(missing_key(TESTS, &what, &yaml.at));
        }
        for entry in lists {
            let items = named(&entry.value, &format!("`{}`", entry.key), problems);
            drafts.extend(items.iter().filter_map(|item| decode(item, &fixtures, problems)));
        }
    }
    let beside = files.files.iter().filter(|(path, _)| path.starts_with("transforms/") && is_yaml(path));
    for (_, file) in beside.filter(|(_, file)| file.text.contains(UNIT_TESTS)) {
        // What else is wrong with these files is said with their nodes.
        let mut said = Problems::default();
        let Some(Some(yaml)) = parse_file(file, &mut said) else { continue };
        let keys = ["transforms", "version", UNIT_TESTS];
        let Some(fields) = Fields::open(&yaml, "", &keys, &mut said) else { continue };
        let Some(entry) = fields.get(UNIT_TESTS) else { continue };
        let items = named(&entry.value, "`unit_tests`", problems);
        drafts.extend(items.iter().filter_map(|item| decode(item, &fixtures, problems)));
    }
    drafts
}

/// Reports names that stand twice and keeps the first of each.
fn unique(drafts: Vec<Draft>, problems: &mut Problems) -> Vec<Draft> {
    let mut unique: IndexMap<String, Draft> = IndexMap::new();
    for draft in drafts {
        match unique.get(&draft.test.name) {
            Some(first) => {
                let what = format!("test `{}`", draft.test.name);
                problems.push(duplicate(&what, &first.test.location, &draft.test.location).node(&draft.test.node.text));
            }
            None => {
                unique.insert(draft.test.name.clone(), draft);
            }
        }
    }
    unique.into_values().collect()
}

/// Returns variables as text; equal ones have equal texts.
fn spell(vars: &Overrides) -> String {
    let mut vars: Vec<String> =
        vars.iter().map(|(name, value)| format!("{name}={}", to_json(&to_jinja(value)))).collect();
    vars.sort();
    vars.join("\n")
}

/// Reports names of nodes and tables that mean nothing.
fn check_names(test: &UnitTest, loaded: &Loaded, problems: &mut Problems) {
    let Some(project) = &loaded.project else { return };
    let name = &test.node.text;
    let Some(node) = project.nodes.get(name) else {
        // What is wrong with a broken one is said with it.
        if !loaded.broken.contains(name) {
            let transforms = project.nodes.values().filter(|node| !node.inputs().is_empty() || node.python().is_some());
            let problem = Diagnostic::error(Code::UNKNOWN_NODE, format!("no transform `{name}`"));
            let problem = problem.at(test.node.location.clone());
            problems.push(match nearest(name, transforms.map(|node| node.name.as_str())) {
                Some(near) => problem.label(format!("did you mean `{near}`?")),
                None => problem.hint("a transform is named after its file below `transforms/`"),
            });
        }
        return;
    };
    if node.is_model() || (node.transform().is_none() && node.python().is_none()) {
        let message = format!("`{name}` is a {} and computes nothing", node.kind_name());
        problems.push(Diagnostic::error(Code::INVALID_VALUE, message).at(test.node.location.clone()));
        return;
    }
    let is_given = |table: &str| test.given.iter().any(|given| given.table.text == table);
    let (all, read) = (tables_read(project, name, |_| false), tables_read(project, name, is_given));
    let known: BTreeSet<String> = project.nodes.keys().chain(loaded.broken.iter()).chain(all.keys()).cloned().collect();
    for given in &test.given {
        let table = &given.table;
        if read.contains_key(&table.text) {
            continue;
        }
        if !known.contains(&table.text) {
            problems.push(unknown_table(&format!("test `{}`", test.name), table, &known));
            continue;
        }
        let reads: Vec<&String> = all.keys().collect();
        let (message, hint) = match all.contains_key(&table.text) {
            true => (
                format!("`{}` is read through a view that is given itself", table.text),
                "give one of the two".to_owned(),
            ),
            false if reads.is_empty() => {
                (format!("`{}` is not read by `{name}`", table.text), format!("`{name}` reads nothing"))
            }
            false => (format!("`{}` is not read by `{name}`", table.text), format!("`{name}` reads {}", list(&reads))),
        };
        problems.push(Diagnostic::error(Code::INVALID_VALUE, message).at(table.location.clone()).hint(hint));
    }
}
