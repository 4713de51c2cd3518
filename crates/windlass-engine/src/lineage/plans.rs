//! Follows the columns of a logical plan back to the tables that it scans.
//!
//! Columns are told apart by their place in a schema, so names that occur twice do no harm. Plans
//! nest as deeply as the SQL does, so the stack grows where it must.

use std::sync::Arc;

use datafusion::common::{Column, DFSchema, DFSchemaRef, JoinType};
use datafusion::error::Result;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Join, LogicalPlan, RecursiveQuery, SortExpr, TableScan, Union, Unnest,
};

use super::inputs::{ColumnInputs, ColumnRef, Use};
use crate::planner::name_of;

/// The least that is left of the stack, and by how much it grows.
pub(super) const STACK: usize = 1 << 20;

/// What the columns of a plan are computed from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Traced {
    /// By place in the plan's schema.
    pub(super) columns: Vec<ColumnInputs>,
    /// What decides which rows there are.
    pub(super) rows: ColumnInputs,
}

/// The columns that expressions see.
pub(super) struct Scope<'a> {
    pub(super) schema: DFSchemaRef,
    pub(super) columns: &'a [ColumnInputs],
    /// Those of the query around a subquery.
    pub(super) outer: Option<&'a Scope<'a>>,
}

/// Follows columns; knows what recursive queries around it have come to so far.
#[derive(Default)]
pub(super) struct Tracer {
    work_tables: Vec<(String, Traced)>,
}

/// Returns what the columns of a query are computed from.
pub(super) fn trace(plan: &LogicalPlan) -> Result<Traced> {
    Tracer::default().plan(plan, None)
}

impl Tracer {
    pub(super) fn plan(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Result<Traced> {
        stacker::maybe_grow(STACK, STACK, || self.node(plan, outer))
    }

    fn node(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Result<Traced> {
        match plan {
            LogicalPlan::TableScan(node) => Ok(self.scan(node)),
            LogicalPlan::Projection(node) => {
                let input = self.plan(&node.input, outer)?;
                let columns = self.each(&node.expr, &scope(node.input.schema(), &input, outer))?;
                Ok(Traced { columns, rows: input.rows })
            }
            LogicalPlan::Filter(node) => {
                let input = self.plan(&node.input, outer)?;
                let decides = self.expression(&node.predicate, &scope(node.input.schema(), &input, outer))?;
                Ok(input.deciding(decides, Use::Filter))
            }
            LogicalPlan::Sort(node) => {
                let input = self.plan(&node.input, outer)?;
                let decides = self.keys(&node.expr, &scope(node.input.schema(), &input, outer))?;
                Ok(input.deciding(decides, Use::Sort))
            }
            LogicalPlan::Window(node) => {
                let mut input = self.plan(&node.input, outer)?;
                let added = self.each(&node.window_expr, &scope(node.input.schema(), &input, outer))?;
                input.columns.extend(added);
                Ok(input)
            }
            LogicalPlan::Aggregate(node) => self.aggregate(node, outer),
            LogicalPlan::Join(node) => self.join(node, outer),
            LogicalPlan::Union(node) => self.union(node, outer),
            LogicalPlan::Distinct(node) => self.distinct(node, outer),
            LogicalPlan::Unnest(node) => self.unnest(node, outer),
            LogicalPlan::RecursiveQuery(node) => self.recursive(node, outer),
            LogicalPlan::Values(node) => {
                let nothing = Traced::default();
                let scope = scope(DFSchema::empty_ref(), &nothing, outer);
                let mut columns = vec![ColumnInputs::default(); node.schema.fields().len()];
                for row in &node.values {
                    for (column, value) in columns.iter_mut().zip(self.each(row, &scope)?) {
                        column.merge(value);
                    }
                }
                Ok(Traced { columns, rows: ColumnInputs::default() })
            }
            LogicalPlan::EmptyRelation(node) => {
                Ok(Traced { columns: vec![ColumnInputs::default(); node.schema.fields().len()], ..Traced::default() })
            }
            LogicalPlan::Limit(node) => self.plan(&node.input, outer),
            LogicalPlan::Repartition(node) => self.plan(&node.input, outer),
            LogicalPlan::SubqueryAlias(node) => self.plan(&node.input, outer),
            LogicalPlan::Subquery(node) => self.plan(&node.subquery, outer),
            other => self.unknown(other, outer),
        }
    }

    fn scan(&self, scan: &TableScan) -> Traced {
        let table = name_of(&scan.table_name);
        if let Some((_, known)) = self.work_tables.iter().rev().find(|(name, _)| *name == table) {
            return known.clone();
        }
        let column = |name: &str| ColumnRef::new(table.clone(), name);
        let fields = scan.projected_schema.fields().iter();
        let mut rows = ColumnInputs::default();
        for read in scan.filters.iter().flat_map(Expr::column_refs) {
            rows.add(column(&read.name), Use::Filter);
        }
        Traced { columns: fields.map(|field| ColumnInputs::of(column(field.name()))).collect(), rows }
    }

    fn aggregate(&mut self, node: &Aggregate, outer: Option<&Scope<'_>>) -> Result<Traced> {
        let input = self.plan(&node.input, outer)?;
        let scope = scope(node.input.schema(), &input, outer);
        let groups = grouping_set_to_exprlist(&node.group_expr)?;
        let mut columns = Vec::with_capacity(node.schema.fields().len());
        for group in groups {
            columns.push(self.expression(group, &scope)?);
        }
        let decides = ColumnInputs::union(columns.iter().cloned());
        // With grouping sets, a column says which set a row belongs to.
        let sets = node.schema.fields().len().saturating_sub(columns.len() + node.aggr_expr.len());
        columns.extend(vec![ColumnInputs::default(); sets]);
        columns.extend(self.each(&node.aggr_expr, &scope)?);
        Ok(Traced { columns, rows: input.rows }.deciding(decides, Use::GroupBy))
    }

    fn join(&mut self, node: &Join, outer: Option<&Scope<'_>>) -> Result<Traced> {
        let left = self.plan(&node.left, outer)?;
        let left_scope = scope(node.left.schema(), &left, outer);
        // A lateral right side reads columns of the left one.
        let right = self.plan(&node.right, Some(&left_scope))?;
        let right_scope = scope(node.right.schema(), &right, outer);
        let mut decides = ColumnInputs::default();
        for (of_left, of_right) in &node.on {
            decides.merge(self.expression(of_left, &left_scope)?);
            decides.merge(self.expression(of_right, &right_scope)?);
        }
        if let Some(filter) = &node.filter {
            let both = Arc::new(node.left.schema().join(node.right.schema())?);
            let columns = [left.columns.as_slice(), right.columns.as_slice()].concat();
            decides.merge(self.expression(filter, &Scope { schema: both, columns: &columns, outer })?);
        }
        let mark = || vec![decides.clone().used_as(Use::Join)];
        let columns = match node.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                [left.columns, right.columns].concat()
            }
            JoinType::LeftSemi | JoinType::LeftAnti => left.columns,
            JoinType::RightSemi | JoinType::RightAnti => right.columns,
            JoinType::LeftMark => [left.columns, mark()].concat(),
            JoinType::RightMark => [right.columns, mark()].concat(),
        };
        let rows = ColumnInputs::union([left.rows, right.rows]);
        Ok(Traced { columns, rows }.deciding(decides, Use::Join))
    }

    fn union(&mut self, node: &Union, outer: Option<&Scope<'_>>) -> Result<Traced> {
        let mut union =
            Traced { columns: vec![ColumnInputs::default(); node.schema.fields().len()], ..Traced::default() };
        for input in &node.inputs {
            union.merge(self.plan(input, outer)?);
        }
        Ok(union)
    }

    fn distinct(&mut self, node: &Distinct, outer: Option<&Scope<'_>>) -> Result<Traced> {
        let input = self.plan(node.input(), outer)?;
        match node {
            Distinct::All(_) => Ok(input.without_duplicates()),
            Distinct::On(node) => {
                let scope = scope(node.input.schema(), &input, outer);
                let columns = self.each(&node.select_expr, &scope)?;
                let groups = ColumnInputs::union(self.each(&node.on_expr, &scope)?);
                let order = self.keys(node.sort_expr.as_deref().unwrap_or_default(), &scope)?;
                let traced = Traced { columns, rows: input.rows.clone() };
                Ok(traced.deciding(groups, Use::GroupBy).deciding(order, Use::Sort))
            }
        }
    }

    /// The lengths of lists decide how often the other columns are repeated, as in a join.
    fn unnest(&mut self, node: &Unnest, outer: Option<&Scope<'_>>) -> Result<Traced> {
        let input = self.plan(&node.input, outer)?;
        let lists = || node.list_type_columns.iter().map(|(place, _)| *place);
        let is_taken_apart =
            |place: usize| lists().chain(node.struct_type_columns.iter().copied()).any(|at| at == place);
        let at = |place: usize| input.columns.get(place).cloned().unwrap_or_default();
        let columns = node.dependency_indices.iter().map(|place| match is_taken_apart(*place) {
            true => at(*place).used_as(Use::Transformation),
            false => at(*place),
        });
        let columns = columns.collect();
        let decides = ColumnInputs::union(lists().map(at));
        Ok(Traced { columns, rows: input.rows }.deciding(decides, Use::Join))
    }

    /// Every round can only add to what is known of finitely many columns, so there is a last one.
    fn recursive(&mut self, node: &RecursiveQuery, outer: Option<&Scope<'_>>) -> Result<Traced> {
        let mut known = self.plan(&node.static_term, outer)?;
        loop {
            self.work_tables.push((node.name.clone(), known.clone()));
            let round = self.plan(&node.recursive_term, outer);
            self.work_tables.pop();
            let before = known.clone();
            known.merge(round?);
            if known == before {
                return Ok(if node.is_distinct { known.without_duplicates() } else { known });
            }
        }
    }

    /// Everything below may be in every column.
    fn unknown(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Result<Traced> {
        let (mut all, mut rows) = (ColumnInputs::default(), ColumnInputs::default());
        for input in plan.inputs() {
            let input = self.plan(input, outer)?;
            all.merge(ColumnInputs::union(input.columns));
            rows.merge(input.rows);
        }
        let columns = vec![all.used_as(Use::Transformation); plan.schema().fields().len()];
        Ok(Traced { columns, rows })
    }

    fn each(&mut self, exprs: &[Expr], scope: &Scope<'_>) -> Result<Vec<ColumnInputs>> {
        exprs.iter().map(|expr| self.expression(expr, scope)).collect()
    }

    /// Returns what the keys of an order are computed from.
    pub(super) fn keys(&mut self, keys: &[SortExpr], scope: &Scope<'_>) -> Result<ColumnInputs> {
        let each = keys.iter().map(|key| self.expression(&key.expr, scope));
        Ok(ColumnInputs::union(each.collect::<Result<Vec<_>>>()?))
    }
}

impl Traced {
    /// Adds what decides about rows.
    fn deciding(mut self, decides: ColumnInputs, usage: Use) -> Self {
        self.rows.merge(decides.used_as(usage));
        self
    }

    fn without_duplicates(self) -> Self {
        let decides = ColumnInputs::union(self.columns.iter().cloned());
        self.deciding(decides, Use::GroupBy)
    }

    fn merge(&mut self, other: Self) {
        for (column, of_other) in self.columns.iter_mut().zip(other.columns) {
            column.merge(of_other);
        }
        self.rows.merge(other.rows);
    }
}

impl Scope<'_> {
    /// Returns what a column is computed from; everything where it is not found.
    pub(super) fn column(&self, column: &Column) -> ColumnInputs {
        let found = self.schema.maybe_index_of_column(column).and_then(|place| self.columns.get(place));
        found.cloned().unwrap_or_else(|| self.everything())
    }

    /// Returns what a column of a query around this one is computed from.
    pub(super) fn outer_column(&self, column: &Column) -> ColumnInputs {
        let mut around = self.outer;
        while let Some(scope) = around {
            if scope.schema.has_column(column) {
                return scope.column(column);
            }
            around = scope.outer;
        }
        self.outer.map(Scope::everything).unwrap_or_default()
    }

    fn everything(&self) -> ColumnInputs {
        ColumnInputs::union(self.columns.iter().cloned()).used_as(Use::Transformation)
    }
}

fn scope<'a>(schema: &DFSchemaRef, input: &'a Traced, outer: Option<&'a Scope<'a>>) -> Scope<'a> {
    Scope { schema: Arc::clone(schema), columns: &input.columns, outer }
}
