//! Reads the files of models in Python: what each trains or scores, with the modules and packages that it needs.

use std::sync::Arc;

use windlass_error::{Code, Diagnostic, SourceFile, nearest};

use super::{Called, Own, PythonReader, User};
use crate::models::ClassDraft;
use crate::problems::Problems;
use crate::python::facts::Facts;
use crate::python::model::read;
use crate::python::module::with_module;
use crate::python::{ModelDraft, PythonBatchFormat, PythonCode};

impl PythonReader<'_> {
    /// Reads the model of a node; `None` where there is none, or none that can be used.
    pub(crate) fn model(
        &mut self,
        name: &str,
        path: &str,
        file: &Arc<SourceFile>,
        problems: &mut Problems,
    ) -> Option<ModelDraft> {
        let vars = &self.vars;
        let found = with_module(file, |module| {
            let decorated = read(module, vars, problems);
            (Facts::of(module, vars, problems), decorated)
        });
        let (facts, decorated) = match found {
            Ok((facts, decorated)) => (facts, decorated?),
            Err(problem) => {
                problems.push(*problem);
                return None;
            }
        };
        let own = Own { path, file, facts, user: User::Node(name) };
        let common = self.common(&own, problems);
        let called = Called {
            object: decorated.object.clone(),
            is_class: Some(false),
            // It asks for its rows in the form that it wants.
            batch_format: PythonBatchFormat::Pyarrow,
            workers: decorated.workers.clone(),
        };
        let code = self.code(&own, called, &common);
        Some(ModelDraft::new(decorated, code))
    }

    /// Reads the class that scores a model; `None` where there is none, or none that can be used.
    pub(crate) fn class(&mut self, model: &str, draft: &ClassDraft, problems: &mut Problems) -> Option<PythonCode> {
        let ClassDraft { path, object, location, .. } = draft;
        let Some(file) = self.files.files.get(path).map(Arc::clone) else {
            let message = format!("there is no file `{path}`");
            let problem = Diagnostic::error(Code::MISSING_FILE, message).at(location.clone());
            problems.push(problem.hint("a path is one below the project's folder: `class: lib/scorer.py:Scorer`"));
            return None;
        };
        let vars = &self.vars;
        let facts = match with_module(&file, |module| Facts::of(module, vars, problems)) {
            Ok(facts) => facts,
            Err(problem) => {
                problems.push(*problem);
                return None;
            }
        };
        let mut taken = facts.imports.iter().flat_map(|import| import.taken.iter().flatten());
        let is_imported = taken.any(|(_, local)| local == object);
        if facts.definitions.get(object) != Some(&true) && !is_imported {
            let message = format!("`{path}` defines no class `{object}`");
            let problem = Diagnostic::error(Code::INVALID_VALUE, message).at(location.clone());
            let classes = facts.definitions.iter().filter(|(_, is_class)| **is_class).map(|(name, _)| name.as_str());
            problems.push(match nearest(object, classes) {
                Some(near) => problem.label(format!("did you mean `{near}`?")),
                None => problem.hint("define it at module level: `class Scorer:` with `predict(self, rows)`"),
            });
            return None;
        }
        let own = Own { path, file: &file, facts, user: User::Node(model) };
        let common = self.common(&own, problems);
        let called = Called {
            object: object.clone(),
            is_class: Some(true),
            batch_format: draft.batch_format,
            workers: draft.workers().clone(),
        };
        Some(self.code(&own, called, &common))
    }
}
