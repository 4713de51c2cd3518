//! From definitions to a program for a table's columns.
//!
//! Must stay true: a check that does not fit its table is a diagnostic at the user's line, before a
//! row is read; every other check is in the program.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use windlass_error::{Code, Diagnostic, nearest};
use windlass_project::PythonCheck;
use windlass_project::checks::{
    Baseline, Bound, CheckDefinition, CheckKind, DriftMethod, DriftRule, KeptDuplicate, SchemaRule, Statistic, Written,
};

use super::binned::Grid;
use super::columns::{is_integer, is_number, is_ordered, is_text, kernel_type};
use super::facts::Baselines;
use super::literal::{Allowed, Unfit, ValueSet};
use super::numbers::Wanted;
use super::order::Direction;
use super::pattern::Pattern;
use super::profile::Spread;
use super::program::{Answer, Compiled, Measure, MeasureKind, Program, RowCheck};
use super::rules::{Condition, Rule};
use super::stats::summary::Depth;
use super::suspects::{KeyRule, Suspected};

/// Categories beyond this number are no categories.
const CATEGORIES: usize = 100_000;

/// What checks are compiled against.
pub(crate) struct Target<'a> {
    /// The table.
    pub(crate) node: &'a str,
    /// Its columns.
    pub(crate) schema: &'a Schema,
    /// Names a type for people.
    pub(crate) type_name: fn(&DataType) -> String,
    /// Keys whose rows leave the table, where they are known already.
    pub(crate) suspects: &'a Suspected,
    /// The stored profiles that drift is measured from, where they have been read already.
    pub(crate) stored: &'a Baselines,
    /// Plans a SQL condition over the columns.
    pub(crate) condition: &'a dyn Fn(&Written) -> Result<Condition, Diagnostic>,
}

/// Compiles the checks of a table.
///
/// # Errors
///
/// One diagnostic for each check that does not fit.
pub(crate) fn compile(definitions: &[CheckDefinition], target: &Target<'_>) -> Result<Program, Vec<Diagnostic>> {
    let mut program = Program::default();
    let mut mistakes = Vec::new();
    for definition in definitions {
        match (Compiler { target, program: &mut program, definition }).answer() {
            Ok(answer) => program.checks.push(Compiled { definition: Arc::new(definition.clone()), answer }),
            Err(mistake) => mistakes.push(mistake.node(target.node)),
        }
    }
    if mistakes.is_empty() { Ok(program) } else { Err(mistakes) }
}

struct Compiler<'a, 'b> {
    target: &'a Target<'b>,
    program: &'a mut Program,
    definition: &'a CheckDefinition,
}

type Found<T> = Result<T, Diagnostic>;

impl Compiler<'_, '_> {
    fn answer(&mut self) -> Found<Answer> {
        let definition = self.definition;
        match &definition.kind {
            CheckKind::Schema(rule) => Ok(Answer::Known(self.schema_problems(rule))),
            CheckKind::NotNull | CheckKind::NullRate(_) => {
                let column = self.own()?;
                self.rule(Rule::NotNull { column })
            }
            CheckKind::Values { values, are_accepted } => self.values(values, *are_accepted),
            CheckKind::Range { min, max } => self.range(min.as_ref(), max.as_ref()),
            CheckKind::Length { min, max } => {
                let column = self.own_text()?;
                self.rule(Rule::Length { column, min: min.unwrap_or(0), max: max.unwrap_or(u64::MAX) })
            }
            CheckKind::Regex { pattern, must_match } => self.regex(pattern, *must_match),
            CheckKind::Pair { left, comparison, right } => {
                let (left, right) = (self.column(left)?, self.pair(left, right)?);
                self.rule(Rule::Pair { left, comparison: *comparison, right })
            }
            CheckKind::Expression { sql } => {
                let condition = (self.target.condition)(sql)?;
                self.rule(Rule::Condition { condition })
            }
            CheckKind::Monotonic { order_by: Some(by), .. } => {
                self.own_ordered()?;
                self.column(by)?;
                self.query()
            }
            CheckKind::Monotonic { descending, strict, order_by: None } => {
                let direction = Direction { descending: *descending, strict: *strict };
                let column = self.own_ordered()?;
                self.measure(MeasureKind::Order { column, direction, sample_rows: definition.kept_rows() })
            }
            CheckKind::Unique { columns, keep } => {
                let order = match keep {
                    KeptDuplicate::None => None,
                    KeptDuplicate::First { by, .. } => Some(self.ordered(by)?),
                };
                let key = self.keys(columns)?;
                let needs_values = key.len() == 1;
                match self.target.suspects.get(&definition.name).cloned() {
                    Some(suspects) => self.rule(Rule::Keys(KeyRule { key, order, needs_values, suspects })),
                    None => self.measure(MeasureKind::Unique { columns: key }),
                }
            }
            CheckKind::RowsPerKey { columns, .. } => {
                let columns = self.keys(columns)?;
                self.measure(MeasureKind::KeyCounts { columns, hashes: true })
            }
            kind => self.table_answer(kind),
        }
    }

    /// Compiles what is asked of the table as a whole.
    fn table_answer(&mut self, kind: &CheckKind) -> Found<Answer> {
        match kind {
            CheckKind::RowCount(_)
            | CheckKind::RowCountChange(_)
            | CheckKind::SameRowCount { .. }
            | CheckKind::Coverage { .. } => self.measure(MeasureKind::Rows),
            CheckKind::Freshness { column, .. } => self.freshness(column),
            CheckKind::Statistic { statistic, .. } => self.statistic(*statistic),
            CheckKind::Anomaly(rule) => match rule.statistic {
                Some(statistic) => self.statistic(statistic),
                None => self.measure(MeasureKind::Rows),
            },
            CheckKind::Drift(rule) => self.drift(rule),
            CheckKind::Relationships { columns, .. } => {
                let key = columns.iter().map(|column| self.column(column)).collect::<Found<Vec<usize>>>()?;
                match self.target.suspects.get(&self.definition.name).cloned() {
                    Some(suspects) => self.rule(Rule::Keys(KeyRule { key, order: None, needs_values: true, suspects })),
                    // Few different integers are held against the other table without reading the rows again.
                    None if key.len() == 1 && is_integer(self.data_type(key[0])) && !self.definition.quarantines() => {
                        self.measure(MeasureKind::KeyCounts { columns: key, hashes: false })
                    }
                    None => self.query(),
                }
            }
            CheckKind::Reconcile(rule) => {
                let tolerant = rule.tolerance.iter().map(|(column, _)| column);
                // What is excluded may be a column of the other table alone.
                for column in rule.key.iter().chain(tolerant) {
                    self.column(column)?;
                }
                self.query()
            }
            CheckKind::Python(check) => self.python(check),
            CheckKind::Sql { .. } => match &self.definition.filter {
                None => Ok(Answer::Query),
                Some(filter) => {
                    let mistake = Diagnostic::error(Code::INVALID_CHECK, "a query says itself which rows it looks at");
                    Err(mistake.at(filter.location.clone()).hint("move the condition into the query"))
                }
            },
            _ => self.query(),
        }
    }

    fn python(&mut self, check: &PythonCheck) -> Found<Answer> {
        let columns =
            check.columns.iter().flatten().map(|column| self.column(column)).collect::<Found<Vec<usize>>>()?;
        if !self.definition.quarantines() {
            return self.query();
        }
        let key = if check.columns.is_some() { columns } else { (0..self.target.schema.fields().len()).collect() };
        // Rows that leave are told by the values that the code was given.
        if let Some(column) = key.iter().find(|column| !is_comparable(self.data_type(**column))) {
            let mistake = self.misfit(*column, "values that can be compared to quarantine rows");
            return Err(mistake.hint("name the columns that the check reads, without this one: `columns=[...]`"));
        }
        match self.target.suspects.get(&self.definition.name).cloned() {
            Some(suspects) => self.rule(Rule::Keys(KeyRule { key, order: None, needs_values: false, suspects })),
            None => self.query(),
        }
    }

    fn query(&mut self) -> Found<Answer> {
        if let Some(filter) = &self.definition.filter {
            // Only to find mistakes: the query states the condition itself.
            (self.target.condition)(filter)?;
        }
        Ok(Answer::Query)
    }

    fn rule(&mut self, rule: Rule) -> Found<Answer> {
        let filter = self.filter()?;
        let (check, diverts) = (self.program.checks.len(), self.definition.quarantines());
        self.program.rules.push(RowCheck { rule, filter, check, diverts, sample_rows: self.definition.kept_rows() });
        Ok(Answer::Rule(self.program.rules.len() - 1))
    }

    fn measure(&mut self, kind: MeasureKind) -> Found<Answer> {
        let filter = self.filter()?;
        Ok(Answer::Measure(self.program.measure(Measure { filter, kind })))
    }

    fn filter(&mut self) -> Found<Option<usize>> {
        let Some(filter) = &self.definition.filter else { return Ok(None) };
        if let Some(at) = self.program.filter_texts.iter().position(|known| *known == filter.text) {
            return Ok(Some(at));
        }
        let condition = (self.target.condition)(filter)?;
        self.program.filters.push(condition);
        self.program.filter_texts.push(filter.text.clone());
        Ok(Some(self.program.filters.len() - 1))
    }

    /// Returns the column below which the check stands.
    fn own(&self) -> Found<usize> {
        let location = self.definition.location.clone();
        match &self.definition.column {
            Some(column) => self.column(&Written { text: column.clone(), location }),
            None => {
                let kind = self.definition.kind.name();
                let message = format!("`{kind}` looks at a column, and stands below none");
                Err(Diagnostic::error(Code::INVALID_CHECK, message)
                    .at(location)
                    .hint(format!("move it below a column, or add `column:` to `{kind}`")))
            }
        }
    }

    fn column(&self, name: &Written) -> Found<usize> {
        if let Ok(at) = self.target.schema.index_of(&name.text) {
            return Ok(at);
        }
        let known: Vec<&str> = self.target.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let message = format!(
            "check `{}` names column `{}`, which `{}` does not have",
            self.definition.name, name.text, self.target.node
        );
        let shown: Vec<String> = known.iter().take(12).map(|name| format!("`{name}`")).collect();
        let mistake = Diagnostic::error(Code::UNKNOWN_COLUMN, message).at(name.location.clone());
        Err(match nearest(&name.text, known.iter().copied()) {
            Some(near) => mistake.label(format!("did you mean `{near}`?")),
            None => mistake.note(format!("columns: {}", shown.join(", "))),
        })
    }

    fn data_type(&self, column: usize) -> &DataType {
        self.target.schema.field(column).data_type()
    }

    fn misfit(&self, column: usize, needs: &str) -> Diagnostic {
        let field = self.target.schema.field(column);
        let found = (self.target.type_name)(field.data_type());
        let message =
            format!("`{}` needs {needs}, and column `{}` is {found}", self.definition.kind.name(), field.name());
        Diagnostic::error(Code::INVALID_CHECK, message).at(self.definition.location.clone())
    }

    fn own_text(&self) -> Found<usize> {
        let column = self.own()?;
        if is_text(self.data_type(column)) { Ok(column) } else { Err(self.misfit(column, "a text")) }
    }

    fn own_ordered(&self) -> Found<usize> {
        let column = self.own()?;
        let fits = is_ordered(self.data_type(column));
        if fits { Ok(column) } else { Err(self.misfit(column, "a number, text, date or timestamp")) }
    }

    fn ordered(&self, name: &Written) -> Found<usize> {
        let column = self.column(name)?;
        let fits = is_ordered(self.data_type(column));
        if fits { Ok(column) } else { Err(self.misfit(column, "a number, text, date or timestamp")) }
    }

    fn own_number(&self) -> Found<usize> {
        let column = self.own()?;
        if is_number(self.data_type(column)) { Ok(column) } else { Err(self.misfit(column, "a number")) }
    }

    fn keys(&self, columns: &[Written]) -> Found<Vec<usize>> {
        let columns = columns.iter().map(|column| self.column(column)).collect::<Found<Vec<usize>>>()?;
        match columns.iter().find(|column| !is_comparable(self.data_type(**column))) {
            Some(column) => Err(self.misfit(*column, "values that can be compared")),
            None => Ok(columns),
        }
    }

    fn pair(&self, left: &Written, right: &Written) -> Found<usize> {
        let (a, b) = (self.column(left)?, self.column(right)?);
        let (left_type, right_type) = (kernel_type(self.data_type(a)), kernel_type(self.data_type(b)));
        let fits = (is_number(&left_type) && is_number(&right_type))
            || (is_text(&left_type) && is_text(&right_type))
            || (left_type == right_type && is_comparable(&left_type));
        if fits {
            return Ok(b);
        }
        let name = self.target.type_name;
        let message = format!(
            "`{}` is {} and `{}` is {}: they cannot be compared",
            left.text,
            name(&left_type),
            right.text,
            name(&right_type)
        );
        Err(Diagnostic::error(Code::INVALID_CHECK, message)
            .at(right.location.clone())
            .hint("cast one of them in the SQL"))
    }

    fn values(&mut self, values: &[Written], are_accepted: bool) -> Found<Answer> {
        let column = self.own()?;
        let texts: Vec<&str> = values.iter().map(|value| value.text.as_str()).collect();
        match ValueSet::of(&texts, self.data_type(column)) {
            Ok(set) => self.rule(Rule::Values { column, set, are_accepted }),
            Err(None) => Err(self.misfit(column, "values that can be written down")),
            Err(Some(at)) => Err(self.no_value(column, &values[at])),
        }
    }

    fn no_value(&self, column: usize, value: &Written) -> Diagnostic {
        let field = self.target.schema.field(column);
        let wanted = (self.target.type_name)(field.data_type());
        let message = format!("`{}` is no {wanted}, as column `{}` is", value.text, field.name());
        Diagnostic::error(Code::INVALID_CHECK, message).at(value.location.clone())
    }

    fn range(&mut self, min: Option<&Bound>, max: Option<&Bound>) -> Found<Answer> {
        let column = self.own()?;
        let limit = |bound: Option<&Bound>| bound.map(|bound| (bound.value.text.clone(), bound.is_inclusive));
        let (low, high) = (limit(min), limit(max));
        let low = low.as_ref().map(|(text, inclusive)| (text.as_str(), *inclusive));
        let high = high.as_ref().map(|(text, inclusive)| (text.as_str(), *inclusive));
        match (Allowed::between(low, high, self.data_type(column)), min, max) {
            (Ok(allowed), Some(min), Some(max)) if allowed.is_empty() => {
                let wanted = (self.target.type_name)(self.data_type(column));
                let message = format!("no {wanted} lies between `{}` and `{}`", min.value.text, max.value.text);
                Err(Diagnostic::error(Code::INVALID_CHECK, message).at(min.value.location.clone()))
            }
            (Ok(allowed), ..) => self.rule(Rule::Range { column, allowed }),
            (Err(Unfit::Lower), Some(bound), _) | (Err(Unfit::Upper), _, Some(bound)) => {
                Err(self.no_value(column, &bound.value))
            }
            (Err(_), ..) => Err(self.misfit(column, "a number, text, date or timestamp")),
        }
    }

    fn regex(&mut self, pattern: &Written, must_match: bool) -> Found<Answer> {
        let column = self.own_text()?;
        match Pattern::new(&pattern.text) {
            Ok(pattern) => self.rule(Rule::Regex { column, pattern, must_match }),
            Err(error) => {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_string();
                let mistake = Diagnostic::error(Code::INVALID_CHECK, "the regular expression cannot be parsed");
                Err(mistake
                    .at(pattern.location.clone())
                    .note(reason)
                    .hint("expressions follow Rust's `regex`, which has neither look-around nor back-references"))
            }
        }
    }

    fn freshness(&mut self, column: &Written) -> Found<Answer> {
        let at = self.column(column)?;
        match kernel_type(self.data_type(at)) {
            DataType::Timestamp(..) | DataType::Date32 => self.measure(MeasureKind::Newest { column: at }),
            _ => Err(self.misfit(at, "a date or timestamp")),
        }
    }

    fn statistic(&mut self, statistic: Statistic) -> Found<Answer> {
        match statistic {
            Statistic::DistinctCount => {
                let column = self.own()?;
                if !is_comparable(self.data_type(column)) {
                    return Err(self.misfit(column, "values that can be compared"));
                }
                self.measure(MeasureKind::Distinct { columns: vec![column] })
            }
            Statistic::Quantile(_) => self.numbers(Wanted { distribution: true, moments: Some(Depth::Bounds) }),
            Statistic::Mean => self.numbers(Wanted::moments(Depth::Mean)),
            Statistic::Deviation => self.numbers(Wanted::moments(Depth::Spread)),
            Statistic::Sum | Statistic::Min | Statistic::Max => self.numbers(Wanted::moments(Depth::Bounds)),
        }
    }

    fn numbers(&mut self, wanted: Wanted) -> Found<Answer> {
        let column = self.own_number()?;
        self.measure(MeasureKind::Numbers { column, wanted })
    }

    fn drift(&mut self, rule: &DriftRule) -> Found<Answer> {
        let column = self.own()?;
        if let (Baseline::Stored, Some(filter)) = (&rule.baseline, &self.definition.filter) {
            let message = "a stored profile is one of all rows, and `where` leaves some out";
            let mistake = Diagnostic::error(Code::INVALID_CHECK, message).at(filter.location.clone());
            return Err(mistake.hint("compare with `previous`, a version or a window"));
        }
        let data_type = self.data_type(column);
        if is_number(data_type) {
            if let Some(grid) = self.stored_bins(rule) {
                return self.measure(MeasureKind::Binned { column, grid });
            }
            return self.numbers(Wanted { distribution: true, moments: None });
        }
        let is_categorical = is_text(data_type) || *data_type == DataType::Boolean;
        match (is_categorical, rule.method) {
            (false, _) => Err(self.misfit(column, "a number, text or boolean")),
            (true, DriftMethod::KolmogorovSmirnov | DriftMethod::Wasserstein) => {
                Err(self.misfit(column, "a number for this method").hint("use `jensen_shannon`, `psi` or `chi_square`"))
            }
            (true, _) => self.measure(MeasureKind::Categories { column, most: CATEGORIES }),
        }
    }

    /// Returns the bins of the stored profile that drift is measured from, where it is known and has bins.
    fn stored_bins(&self, rule: &DriftRule) -> Option<Arc<Grid>> {
        let stored = self.target.stored.get(&self.definition.name).filter(|_| rule.baseline == Baseline::Stored);
        match &stored?.as_ref().ok()?.spread {
            Spread::Bins(bins) => Grid::new(bins).map(Arc::new),
            _ => None,
        }
    }

    /// Returns what is wrong with the table's columns.
    fn schema_problems(&self, rule: &SchemaRule) -> Vec<String> {
        let mut problems = Vec::new();
        let mut last = None;
        for (name, wanted) in &rule.columns {
            let Ok(at) = self.target.schema.index_of(&name.text) else {
                problems.push(format!("column `{}` is missing", name.text));
                continue;
            };
            let found = (self.target.type_name)(self.data_type(at));
            if let Some(wanted) = wanted.as_ref().filter(|wanted| canonical(&wanted.text) != canonical(&found)) {
                problems.push(format!("column `{}` is {found}, not {}", name.text, wanted.text));
            }
            if rule.is_ordered && last.is_some_and(|last| at < last) {
                problems.push(format!("column `{}` stands too early", name.text));
            }
            last = last.max(Some(at));
        }
        if !rule.allows_others {
            let is_known = |name: &str| rule.columns.iter().any(|(known, _)| known.text == name);
            let others = self.target.schema.fields().iter().filter(|field| !is_known(field.name()));
            problems.extend(others.map(|field| format!("column `{}` is not expected", field.name())));
        }
        problems
    }
}

/// Returns whether values of a type can be compared, and so be keys.
pub(crate) fn is_comparable(data_type: &DataType) -> bool {
    is_ordered(data_type) || kernel_type(data_type) == DataType::Boolean
}

/// Returns one spelling for the names of a type.
fn canonical(name: &str) -> String {
    let name = name.trim().to_lowercase().replace(' ', "");
    match name.as_str() {
        "string" | "text" | "utf8" | "charactervarying" => "varchar".to_string(),
        "int64" | "long" => "bigint".to_string(),
        "int32" | "integer" => "int".to_string(),
        "int16" => "smallint".to_string(),
        "int8" => "tinyint".to_string(),
        "float64" | "doubleprecision" => "double".to_string(),
        "float32" | "real" => "float".to_string(),
        "bool" => "boolean".to_string(),
        "timestamptz" => "timestampwithtimezone".to_string(),
        _ => name.strip_prefix("numeric").map_or(name.clone(), |rest| format!("decimal{rest}")),
    }
}
