//! The first thing that differs between what a table was made from and what it would be made from.
//!
//! Pure: two records in, one difference out. Things that people change come before what follows from
//! them: a variable before the plan that it changes.

use std::collections::BTreeMap;

use super::record::{Definition, EnvironmentRecord, InputVersion, Inputs};
use crate::sampling::SETTING;

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// The SQL of this node: the line at this place among those that have words.
    Sql { node: String, line: usize },
    /// The query, for a reason that its text does not show.
    Plan,
    /// The columns of a table that is read.
    Columns { table: String },
    /// A variable.
    Var { name: String, old: Option<String>, new: Option<String> },
    /// A setting.
    Setting { name: String },
    /// The share of rows of sources that was read.
    Sample { old: Option<String>, new: Option<String> },
    /// How a Python callable is called.
    Call { name: String },
    /// A Python file.
    File { path: String },
    /// A package.
    Package { name: String, old: Option<String>, new: Option<String> },
    /// The lock of a Python file, in something other than versions.
    Lock { file: String },
    /// Other rows of a table.
    Input { table: String, old: Option<InputVersion>, new: Option<InputVersion> },
}

/// Returns the first difference between two definitions.
pub(crate) fn changed_definition(old: &Definition, new: &Definition) -> Option<Difference> {
    let sample = |of: &Definition| of.settings.get(SETTING).cloned();
    if sample(old) != sample(new) {
        return Some(Difference::Sample { old: sample(old), new: sample(new) });
    }
    if let Some(name) = first_changed(&old.settings, &new.settings) {
        return Some(Difference::Setting { name });
    }
    if let Some(difference) = changed_query(old, new) {
        return Some(difference);
    }
    if let Some(name) = first_changed(&old.vars, &new.vars) {
        return Some(var(name, &old.vars, &new.vars));
    }
    if let Some(path) = first_changed(&old.files, &new.files) {
        return Some(Difference::File { path });
    }
    if let Some(name) = first_changed(&old.calls, &new.calls) {
        return Some(Difference::Call { name });
    }
    let file = first_changed(&old.environments, &new.environments)?;
    Some(changed_environment(&file, old.environments.get(&file), new.environments.get(&file)))
}

/// Returns the first input that has other rows.
pub(crate) fn changed_input(old: &Inputs, new: &Inputs) -> Option<Difference> {
    let tables = old.keys().chain(new.keys());
    let is_changed = |table: &&String| match (old.get(*table), new.get(*table)) {
        (Some(old), Some(new)) => !old.is_same(new),
        (old, new) => old.is_some() || new.is_some(),
    };
    let table = tables.min_by_key(|table| (!is_changed(table), (*table).clone())).filter(is_changed)?;
    Some(Difference::Input { table: table.clone(), old: old.get(table).cloned(), new: new.get(table).cloned() })
}

fn changed_query(old: &Definition, new: &Definition) -> Option<Difference> {
    let words = |of: &Definition| -> Vec<String> { of.sql.values().map(|text| text.words.clone()).collect() };
    let has_same_text = old.sql.keys().eq(new.sql.keys()) && words(old) == words(new);
    // The same text over the same columns means the same, however this version plans it.
    let table = changed_columns(old, new);
    let is_same = old.plan == new.plan || (has_same_text && table.is_none());
    if !is_same {
        if let Some(name) = first_changed(&old.sql_vars, &new.sql_vars) {
            return Some(var(name, &old.sql_vars, &new.sql_vars));
        }
        if let Some((node, line)) = changed_line(old, new) {
            return Some(Difference::Sql { node, line });
        }
    }
    if let Some(table) = table {
        return Some(Difference::Columns { table });
    }
    (!is_same).then_some(Difference::Plan)
}

/// Returns the first table whose columns are others; where both know which of them are read, only those count.
fn changed_columns(old: &Definition, new: &Definition) -> Option<String> {
    let is_same_read = |table: &&String| {
        let (old, new) = (old.read_columns.get(*table), new.read_columns.get(*table));
        old.is_some() && old == new
    };
    let of = |columns: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        let counted = columns.iter().filter(|(table, _)| !is_same_read(table));
        counted.map(|(table, columns)| (table.clone(), columns.clone())).collect()
    };
    first_changed(&of(&old.columns), &of(&new.columns))
}

/// Returns the first line that differs, with the node or view that it is in.
fn changed_line(old: &Definition, new: &Definition) -> Option<(String, usize)> {
    new.sql.iter().find_map(|(node, text)| {
        let known = old.sql.get(node).map(|text| text.lines.as_slice()).unwrap_or_default();
        let common = text.lines.iter().zip(known).take_while(|(new, old)| new == old).count();
        (common < text.lines.len() || common < known.len()).then(|| (node.clone(), common))
    })
}

fn changed_environment(file: &str, old: Option<&EnvironmentRecord>, new: Option<&EnvironmentRecord>) -> Difference {
    let (Some(old), Some(new)) = (old, new) else { return Difference::Lock { file: file.to_string() } };
    match first_changed(&old.packages, &new.packages) {
        Some(name) => {
            let (old, new) = (old.packages.get(&name).cloned(), new.packages.get(&name).cloned());
            Difference::Package { name, old, new }
        }
        None => Difference::Lock { file: file.to_string() },
    }
}

fn var(name: String, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Difference {
    let (old, new) = (old.get(&name).cloned(), new.get(&name).cloned());
    Difference::Var { name, old, new }
}

/// Returns the first key whose value is another one, or is on one side only.
fn first_changed<V: PartialEq>(old: &BTreeMap<String, V>, new: &BTreeMap<String, V>) -> Option<String> {
    let gone = old.keys().find(|key| !new.contains_key(*key));
    let other = new.iter().find(|(key, value)| old.get(*key) != Some(value)).map(|(key, _)| key);
    other.or(gone).cloned()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::record::SqlText;
    use super::*;

    fn definition() -> Definition {
        let text =
            |words: &str| SqlText { words: words.to_string(), lines: words.split(';').map(str::to_string).collect() };
        let map = |name: &str, value: &str| BTreeMap::from([(name.to_string(), value.to_string())]);
        let packages = map("scikit-learn", "1.9.0");
        Definition {
            plan: "p1".to_string(),
            sql: BTreeMap::from([("t".to_string(), text("select;a;from v")), ("v".to_string(), text("select;b"))]),
            columns: map("s.a", "c1"),
            read_columns: BTreeMap::new(),
            sql_vars: map("limit", "15"),
            vars: map("seed", "1"),
            settings: map("partition_by", "day"),
            calls: map("Score", "d1"),
            files: map("lib/geo.py", "f1"),
            environments: BTreeMap::from([(
                "transforms/t.py".to_string(),
                EnvironmentRecord { lock: "l1".to_string(), packages },
            )]),
        }
    }

    fn check(change: impl Fn(&mut Definition), expected: Expect) {
        let (old, mut new) = (definition(), definition());
        change(&mut new);
        let found = changed_definition(&old, &new);
        expected.assert_eq(&found.map_or_else(|| "same".to_string(), |found| format!("{found:?}")));
    }

    fn other(map: &mut BTreeMap<String, String>, value: &str) {
        for known in map.values_mut() {
            *known = value.to_string();
        }
    }

    #[test]
    fn what_changes_no_row_is_no_difference() {
        check(|_| (), expect!["same"]);
        // Another layout of the same query.
        check(|new| new.sql.get_mut("t").unwrap().lines.truncate(1), expect!["same"]);
        // Another version plans the same text differently.
        check(|new| new.plan = "p2".to_string(), expect!["same"]);
    }

    #[test]
    fn causes_come_before_what_follows_from_them() {
        let edit = |new: &mut Definition, node: &str, line: usize| {
            new.plan = "p2".to_string();
            let text = new.sql.get_mut(node).unwrap();
            text.words.push('!');
            text.lines[line].push('!');
        };
        check(|new| edit(new, "t", 1), expect![[r#"Sql { node: "t", line: 1 }"#]]);
        check(|new| edit(new, "v", 0), expect![[r#"Sql { node: "v", line: 0 }"#]]);
        check(
            |new| {
                edit(new, "t", 1);
                other(&mut new.sql_vars, "20");
            },
            expect![[r#"Var { name: "limit", old: Some("15"), new: Some("20") }"#]],
        );
        check(|new| other(&mut new.columns, "c2"), expect![[r#"Columns { table: "s.a" }"#]]);
        check(|new| other(&mut new.vars, "2"), expect![[r#"Var { name: "seed", old: Some("1"), new: Some("2") }"#]]);
        check(|new| other(&mut new.settings, "x"), expect![[r#"Setting { name: "partition_by" }"#]]);
        let sampled = |new: &mut Definition| {
            new.settings.insert(SETTING.to_string(), "1%".to_string());
        };
        check(sampled, expect![[r#"Sample { old: None, new: Some("1%") }"#]]);
        check(|new| other(&mut new.calls, "d2"), expect![[r#"Call { name: "Score" }"#]]);
        check(|new| other(&mut new.files, "f2"), expect![[r#"File { path: "lib/geo.py" }"#]]);
        check(|new| new.files.clear(), expect![[r#"File { path: "lib/geo.py" }"#]]);
    }

    #[test]
    fn columns_that_are_not_read_do_not_count() {
        let read = |of: &mut Definition, text: &str| {
            of.read_columns = BTreeMap::from([("s.a".to_string(), text.to_string())]);
        };
        let check = |old_read: Option<&str>, new_read: Option<&str>, is_same: bool| {
            let (mut old, mut new) = (definition(), definition());
            other(&mut new.columns, "c2");
            new.plan = "p2".to_string();
            old_read.into_iter().for_each(|text| read(&mut old, text));
            new_read.into_iter().for_each(|text| read(&mut new, text));
            assert_eq!(changed_definition(&old, &new).is_none(), is_same, "{old_read:?} {new_read:?}");
        };
        check(Some("r1"), Some("r1"), true);
        check(Some("r1"), Some("r2"), false);
        check(None, Some("r1"), false);
        check(Some("r1"), None, false);
    }

    #[test]
    fn inputs_with_equal_columns_are_the_same() {
        let input = |identity: &str, columns: Option<&str>| InputVersion {
            identity: identity.to_string(),
            content: Some(identity.to_string()),
            columns: columns.map(str::to_string),
        };
        assert!(input("version 1", Some("[a] x")).is_same(&input("version 2", Some("[a] x"))));
        assert!(!input("version 1", Some("[a] x")).is_same(&input("version 2", Some("[a] y"))));
        assert!(!input("version 1", Some("[a] x")).is_same(&input("version 2", Some("[b] x"))));
        assert!(!input("version 1", None).is_same(&input("version 2", None)));
    }

    #[test]
    fn packages_are_named() {
        let environment = |new: &mut Definition, packages: &[(&str, &str)]| {
            let record = new.environments.get_mut("transforms/t.py").unwrap();
            record.lock = "l2".to_string();
            let named = packages.iter().map(|(name, version)| ((*name).to_string(), (*version).to_string()));
            record.packages = named.collect();
        };
        check(
            |new| environment(new, &[("scikit-learn", "1.9.1")]),
            expect![[r#"Package { name: "scikit-learn", old: Some("1.9.0"), new: Some("1.9.1") }"#]],
        );
        check(
            |new| environment(new, &[("scikit-learn", "1.9.0"), ("scipy", "1.17.1")]),
            expect![[r#"Package { name: "scipy", old: None, new: Some("1.17.1") }"#]],
        );
        check(|new| environment(new, &[("scikit-learn", "1.9.0")]), expect![[r#"Lock { file: "transforms/t.py" }"#]]);
    }

    #[test]
    fn inputs_with_equal_rows_are_the_same() {
        let input = |identity: &str, content: Option<&str>| {
            let content = content.map(str::to_string);
            Inputs::from([("a".to_string(), InputVersion { identity: identity.to_string(), content, columns: None })])
        };
        assert_eq!(changed_input(&input("version 1", Some("x")), &input("version 2", Some("x"))), None);
        assert_eq!(changed_input(&input("version 1", None), &input("version 1", Some("x"))), None);
        assert!(changed_input(&input("version 1", Some("x")), &input("version 2", Some("y"))).is_some());
        assert!(changed_input(&input("version 1", None), &input("version 2", None)).is_some());
        assert!(changed_input(&Inputs::new(), &input("version 2", None)).is_some());
    }
}
