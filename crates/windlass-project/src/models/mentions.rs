//! The models that some SQL scores with, found in its text.
//!
//! `ML.PREDICT(MODEL m, …)` and its relatives name a model after the word `MODEL`; a call `m(…)` of the
//! name of a model of the project is a call of that model. Both may ask for a version: `m@3`, `m@challenger`.

use std::collections::BTreeSet;
use std::ops::Range;

use windlass_error::{Code, Diagnostic, Location, nearest};

use super::tokens::{Token, tokens};
use crate::names::NameFault;

/// One mention of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelMention {
    /// The node.
    pub(crate) node: String,
    /// What SQL says: `delay` or `delay@challenger`.
    pub(crate) reference: String,
    /// Where.
    pub(crate) span: Range<usize>,
}

/// Returns the models that a query names, in order of their first mention, and the names that mean nothing.
pub(crate) fn mentions(sql: &str, models: &BTreeSet<String>) -> (Vec<ModelMention>, Vec<(NameFault, Range<usize>)>) {
    let (mut found, mut faults): (Vec<ModelMention>, Vec<(NameFault, Range<usize>)>) = Default::default();
    let tokens = tokens(sql);
    for at in 0..tokens.len() {
        let Some((written, span)) = argument(&tokens[at..]).or_else(|| call(&tokens, at, models)) else { continue };
        let (node, version) = match written.split_once('@') {
            Some((node, version)) => (node, Some(version)),
            None => (written.as_str(), None),
        };
        if !models.contains(node) {
            faults.push((unknown(node, models), span));
        } else if version == Some("") {
            faults.push((no_version(node), span));
        } else if !found.iter().any(|known| known.reference == written) {
            found.push(ModelMention { node: node.to_owned(), reference: written, span });
        }
    }
    (found, faults)
}

/// Returns whether a query scores rows: `ML.PREDICT(MODEL m, …)`, or a call of a model. Other functions of `ML` tell of
/// a model as a whole.
pub(super) fn scores(sql: &str, models: &BTreeSet<String>) -> bool {
    let tokens = tokens(sql);
    let predicts = |at: usize| argument(&tokens[at..]).is_some() && tokens[at + 2].is_word("predict");
    (0..tokens.len()).any(|at| predicts(at) || call(&tokens, at, models).is_some())
}

/// Returns the name after `ML.<function>(MODEL`.
fn argument(tokens: &[Token]) -> Option<(String, Range<usize>)> {
    let [ml, dot, function, open, model, name, ..] = tokens else { return None };
    let is_call = ml.is_word("ml") && dot.is_sign('.') && function.name().is_some() && open.is_sign('(');
    if !is_call || !model.is_word("model") {
        return None;
    }
    Some((name.name()?, name.span.clone()))
}

/// Returns the name of a model that is called at a place.
fn call(tokens: &[Token], at: usize, models: &BTreeSet<String>) -> Option<(String, Range<usize>)> {
    let token = &tokens[at];
    let name = token.name()?;
    let is_model = models.contains(name.split_once('@').map_or(name.as_str(), |(node, _)| node));
    let is_called = tokens.get(at + 1).is_some_and(|next| next.is_sign('('));
    let is_qualified = at > 0 && tokens[at - 1].is_sign('.');
    (is_model && is_called && !is_qualified).then(|| (name, token.span.clone()))
}

/// Returns the mistake of reading a model as if it were a table.
pub(crate) fn no_table(model: &str, at: Location) -> Diagnostic {
    let problem = Diagnostic::error(Code::CREATE_MODEL, format!("`{model}` is a model, not a table")).at(at);
    problem.hint(format!("score with it: `select * from ml.predict(model {model}, table …)`, or `{model}(…)`"))
}

fn unknown(name: &str, models: &BTreeSet<String>) -> NameFault {
    let near = nearest(name, models.iter().map(String::as_str));
    let hint = match models.is_empty() {
        true => "a model is defined by a file in `models/`, and the project has none".to_owned(),
        false => "a model is named after its file in `models/`".to_owned(),
    };
    NameFault {
        code: Code::UNKNOWN_MODEL,
        message: format!("no model `{name}`"),
        label: near.map(|near| format!("did you mean `{near}`?")),
        hint: Some(hint),
        index: 0,
    }
}

fn no_version(name: &str) -> NameFault {
    NameFault {
        code: Code::UNKNOWN_MODEL,
        message: format!("`{name}@` names no version"),
        label: None,
        hint: Some(format!(
            "write a number or an alias after `@`, such as `{name}@3` or `{name}@challenger`, without a space"
        )),
        index: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, expected: &[&str]) {
        let models = BTreeSet::from(["delay".to_owned(), "churn".to_owned()]);
        let (found, faults) = mentions(sql, &models);
        let found = found.into_iter().map(|found| found.reference);
        let faults = faults.into_iter().map(|(fault, span)| format!("{} at `{}`", fault.message, &sql[span]));
        assert_eq!(found.chain(faults).collect::<Vec<_>>(), expected, "{sql}");
    }

    #[test]
    fn models_are_found_where_they_are_used() {
        check("select * from ml.predict(model delay, table t)", &["delay"]);
        check("select * from ML.PREDICT ( MODEL Delay@Challenger, (select 1) )", &["delay@challenger"]);
        check("select delay(a, b), delay (c), churn@3(a) from t", &["delay", "churn@3"]);
        check("select * from ml.evaluate(model \"delay\")", &["delay"]);
    }

    #[test]
    fn other_uses_of_the_name_are_none() {
        check("select delay, t.delay(1), 'delay(1)' from delay -- delay(1)", &[]);
        check("select model from t where predict(model) > 1", &[]);
    }

    #[test]
    fn what_is_not_there_is_said() {
        check("select * from ml.predict(model dely, table t)", &["no model `dely` at `dely`"]);
        check("select * from ml.predict(model delay@ , table t)", &["`delay@` names no version at `delay@`"]);
    }
}
