//! Reads the files of models in Python: what each trains, with the modules and packages that it needs.

use std::sync::Arc;

use windlass_error::SourceFile;

use super::{Called, Own, PythonReader, User};
use crate::problems::Problems;
use crate::python::facts::Facts;
use crate::python::model::read;
use crate::python::module::with_module;
use crate::python::{ModelDraft, PythonBatchFormat};

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
}
