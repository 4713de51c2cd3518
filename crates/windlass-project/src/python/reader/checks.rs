//! Reads the files of checks: what each defines, with the modules and packages that it needs.

use windlass_error::{Code, Diagnostic, Location};

use super::{Called, Own, PythonReader, User};
use crate::checks::{Singular, Written, in_python};
use crate::names::Names;
use crate::problems::Problems;
use crate::python::check::{Decorated, PythonCheck, read};
use crate::python::draft::resolve;
use crate::python::facts::Facts;
use crate::python::is_module;
use crate::python::literal::Reference;
use crate::python::module::with_module;
use crate::yaml::Entry;
use crate::{InputPart, error_table};

/// A check whose table has not been looked up.
#[derive(Debug)]
pub(crate) struct CheckDraft {
    on: Reference,
    settings: Vec<Entry>,
    check: PythonCheck,
    name: String,
    location: Location,
}

impl PythonReader<'_> {
    /// Reads the checks of all files below `checks/`.
    pub(crate) fn checks(&mut self, problems: &mut Problems) -> Vec<CheckDraft> {
        let mut drafts = Vec::new();
        let files = self.files.files.iter();
        for (path, file) in files.filter(|(path, file)| path.starts_with("checks/") && is_module(path, file)) {
            let vars = &self.vars;
            let found = with_module(file, |module| {
                let decorated = read(module, vars, problems);
                (Facts::of(module, vars, problems), decorated)
            });
            let (facts, decorated) = match found {
                Ok(found) => found,
                Err(problem) => {
                    problems.push(*problem);
                    continue;
                }
            };
            let tables: Vec<String> = decorated.iter().map(Decorated::table).collect();
            let user = match tables.split_first() {
                Some((table, others)) if others.iter().all(|other| other == table) => User::Node(table),
                _ => User::Functions,
            };
            let own = Own { path, file, facts, user };
            let common = self.common(&own, problems);
            drafts.extend(decorated.into_iter().map(|decorated| {
                let called = Called {
                    object: decorated.object.clone(),
                    is_class: decorated.is_class,
                    batch_format: decorated.batch_format,
                    workers: decorated.workers.clone(),
                };
                let code = self.code(&own, called, &common);
                CheckDraft {
                    check: PythonCheck {
                        code,
                        columns: decorated.columns,
                        batch_size: decorated.batch_size,
                        constructor_args: decorated.constructor_args,
                        constructor_kwargs: decorated.constructor_kwargs,
                        fn_args: decorated.fn_args,
                        fn_kwargs: decorated.fn_kwargs,
                        copy_inputs: decorated.copy_inputs,
                        deterministic: decorated.deterministic,
                    },
                    on: decorated.on,
                    settings: decorated.settings,
                    name: decorated.object,
                    location: decorated.location,
                }
            }));
        }
        drafts
    }
}

impl CheckDraft {
    /// Looks up the table that the check is for; reports one that does not exist.
    pub(crate) fn resolve(self, names: &Names, problems: &mut Problems) -> Option<Singular> {
        let input = match resolve(&self.on, names) {
            Ok(input) => input,
            Err(problem) => {
                problems.push(*problem);
                return None;
            }
        };
        if input.part == InputPart::Errors {
            let message = format!("`{}` is an error table, whose rows have failed already", error_table(&input.node));
            let problem = Diagnostic::error(Code::INVALID_CHECK, message).at(input.location);
            problems.push(problem.hint(format!("name the table itself: `ref(\"{}\")`", input.node)));
            return None;
        }
        let on = Written { text: input.node, location: input.location };
        in_python(self.settings, self.check, (on, self.name), &self.location, problems)
    }
}
