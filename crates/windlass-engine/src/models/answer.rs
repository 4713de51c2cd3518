//! Takes one column out of all that a model answers.
//!
//! DataFusion's own function for fields of structs is moved below projections, past the columns that a model reads,
//! where two of them may have one name. This one stays where it stands.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The function for one column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Answer {
    name: String,
    field: String,
    data_type: DataType,
    signature: Signature,
}

/// Returns a column of what a model answers, which `scores` holds.
pub(super) fn answer(field: &Field, scores: Expr) -> Expr {
    let function = Answer {
        name: format!("ml.answer[{}]", field.name()),
        field: field.name().clone(),
        data_type: field.data_type().clone(),
        signature: Signature::any(1, Volatility::Immutable),
    };
    ScalarUDF::new_from_impl(function).call(vec![scores])
}

impl ScalarUDFImpl for Answer {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let lost = || DataFusionError::Internal(format!("a model answers no `{}`", self.field));
        let arrays = ColumnarValue::values_to_arrays(&call.args)?;
        let answers = arrays.first().and_then(|array| array.as_struct_opt()).ok_or_else(lost)?;
        let column = answers.column_by_name(&self.field).ok_or_else(lost)?;
        Ok(ColumnarValue::Array(std::sync::Arc::clone(column)))
    }
}
