//! `--locked`: whether the locks of all Python that a run needs are there and fit, before it begins.

use std::collections::{BTreeMap, BTreeSet};

use windlass_error::{Classify, Code, Diagnostic};
use windlass_project::{Algorithm, ModelPlace, Node, Project, PythonEnvironment};

use super::functions::request;
use super::{diagnose, environment_request, in_python, standing};
use crate::Engine;
use crate::models::tree_environment;
use crate::operators::python::PythonError;
use crate::planner::calls::{PythonFunction, functions_in};
use crate::planner::{Content, Plan};

impl Engine {
    /// Returns the locks of planned nodes, of their checks and of the functions that they call, that are missing or do
    /// not fit; none where locks may be written. Builds nothing.
    pub async fn lock_mistakes(&self, project: &Project, nodes: &BTreeSet<String>, plan: &Plan) -> Vec<Diagnostic> {
        let nodes = || nodes.iter().filter_map(|name| project.nodes.get(name));
        let mut mistakes = Vec::new();
        for (node, definition, check) in
            nodes().flat_map(|node| in_python(node).map(move |(at, check)| (node, at, check)))
        {
            if let Err(error) = self.workers.check_lock(&environment_request(&node.name, &check.code.environment)).await
            {
                mistakes.push(diagnose(project, &standing(node, definition), &PythonError::from(error)));
            }
        }
        for node in nodes() {
            let Some(python) = node.python() else { continue };
            let request = environment_request(&node.name, &python.code.environment);
            if let Err(error) = self.workers.check_lock(&request).await {
                mistakes.push(diagnose(project, node, &PythonError::from(error)));
            }
        }
        for (node, environment) in nodes().filter_map(|node| Some((node, of_model(node)?))) {
            if let Err(error) = self.workers.check_lock(&environment_request(&node.name, &environment)).await {
                mistakes.push(diagnose(project, node, &PythonError::from(error)));
            }
        }
        let called: BTreeMap<String, PythonFunction> = nodes().flat_map(|node| called(project, node, plan)).collect();
        for function in called.values() {
            if let Err(error) = self.workers.check_lock(&request(function, &project.root)).await {
                let code = error.code().unwrap_or(Code::LOCK);
                let mistake = Diagnostic::error(code, error.to_string()).at(function.definition().location.clone());
                mistakes.push(match error.hint() {
                    Some(hint) => mistake.hint(hint),
                    None => mistake,
                });
            }
        }
        mistakes
    }
}

/// Returns the packages that train a model, or score with a class of the project.
fn of_model(node: &Node) -> Option<PythonEnvironment> {
    if let Some(ModelPlace::Class(class)) = node.imported().map(|imported| &imported.place) {
        return Some(class.code.environment.clone());
    }
    match &node.model()?.algorithm {
        Algorithm::Trees(trees) => Some(tree_environment(trees)),
        Algorithm::Python(python) => Some(python.code.environment.clone()),
        _ => None,
    }
}

/// Returns the functions that a node calls: in its own query, or through the views that its code reads.
fn called(project: &Project, node: &Node, plan: &Plan) -> BTreeMap<String, PythonFunction> {
    let query_of = |name: &String| match plan.nodes.get(name).map(|planned| &planned.content) {
        Some(Content::Query(query)) => Some(query),
        _ => None,
    };
    let is_view = |name: &&String| project.nodes.get(*name).is_some_and(|node| !node.is_published());
    let views = node.python().into_iter().flat_map(|python| &python.inputs).map(|input| &input.node).filter(is_view);
    std::iter::once(&node.name).chain(views).filter_map(query_of).flat_map(|query| functions_in(query)).collect()
}
