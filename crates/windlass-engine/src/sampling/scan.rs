//! A table of which the chosen rows are read.
//!
//! Parquet decodes the columns of the key, and of the others only what was chosen. Other files are read and
//! filtered. No operator of ours takes part.

use std::sync::Arc;

use arrow::array::ArrayRef;
use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TableProviderFilterPushDown,
    Volatility,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::expressions::{Column, col};
use datafusion::physical_plan::filter::FilterExecBuilder;
use datafusion::physical_plan::filter_pushdown::PushedDown;
use datafusion::physical_plan::projection::ProjectionExec;

use super::{Sample, key};

/// Some rows of another table.
#[derive(Debug)]
pub(super) struct SampledTable {
    whole: Arc<dyn TableProvider>,
    sample: Sample,
    key: Vec<String>,
}

/// Whether a row is chosen, as a function of the columns of its key.
#[derive(Debug, PartialEq, Eq, Hash)]
struct IsChosen {
    sample: Sample,
    signature: Signature,
}

impl SampledTable {
    /// Returns the chosen rows of a table that has the columns of the key.
    pub(super) fn new(whole: Arc<dyn TableProvider>, sample: Sample, key: Vec<String>) -> Self {
        Self { whole, sample, key }
    }

    /// Returns the condition over the columns of a plan.
    fn condition(&self, state: &dyn Session, plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn PhysicalExpr>> {
        let schema = plan.schema();
        let columns = self.key.iter().map(|name| col(name, &schema)).collect::<Result<Vec<_>>>()?;
        let signature = Signature::variadic_any(Volatility::Immutable);
        let function = Arc::new(ScalarUDF::new_from_impl(IsChosen { sample: self.sample, signature }));
        let options = Arc::new(state.config_options().clone());
        Ok(Arc::new(ScalarFunctionExpr::try_new(function, columns, &schema, options)?))
    }
}

#[async_trait]
impl TableProvider for SampledTable {
    fn schema(&self) -> SchemaRef {
        self.whole.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // They leave out files; what is left is looked at above.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema();
        let wanted: Vec<usize> = match projection {
            Some(wanted) => wanted.clone(),
            None => (0..schema.fields().len()).collect(),
        };
        let mut read = wanted.clone();
        for name in &self.key {
            let column = schema.index_of(name)?;
            if !read.contains(&column) {
                read.push(column);
            }
        }
        let plan = self.whole.scan(state, Some(&read), filters, None).await?;
        let condition = self.condition(state, &plan)?;
        if let Some(chosen) = pushed(state, &plan, &condition)? {
            return if read.len() == wanted.len() { Ok(chosen) } else { first_columns(chosen, wanted.len()) };
        }
        let filter = FilterExecBuilder::new(condition, plan);
        Ok(Arc::new(filter.apply_projection(Some((0..wanted.len()).collect()))?.build()?))
    }
}

/// Returns a scan that applies the condition while it reads; `None` where its files cannot.
fn pushed(
    state: &dyn Session,
    plan: &Arc<dyn ExecutionPlan>,
    condition: &Arc<dyn PhysicalExpr>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(scan) = plan.downcast_ref::<DataSourceExec>() else { return Ok(None) };
    let mut options = state.config_options().clone();
    options.execution.parquet.pushdown_filters = true;
    let done = scan.data_source().try_pushdown_filters(vec![Arc::clone(condition)], &options)?;
    match (done.filters.as_slice(), done.updated_node) {
        ([PushedDown::Yes], Some(source)) => Ok(Some(Arc::new(scan.clone().with_data_source(source)))),
        _ => Ok(None),
    }
}

/// Leaves out the columns that only the key needs.
fn first_columns(plan: Arc<dyn ExecutionPlan>, count: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    let column = |at: usize| {
        let name = schema.field(at).name();
        (Arc::new(Column::new(name, at)) as Arc<dyn PhysicalExpr>, name.clone())
    };
    let columns: Vec<_> = (0..count).map(column).collect();
    Ok(Arc::new(ProjectionExec::try_new(columns, plan)?))
}

impl ScalarUDFImpl for IsChosen {
    fn name(&self) -> &str {
        "windlass_sample"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns =
            args.args.iter().map(|value| value.to_array(args.number_rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let chosen = key::chosen(self.sample, &columns, args.number_rows)?;
        Ok(ColumnarValue::Array(Arc::new(chosen)))
    }
}
