//! The columns that a model reads and writes.
//!
//! Types are MLflow's, so that a signature can be handed to its registry as it is, and each has one
//! Arrow type.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow::datatypes::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};

/// What a model reads and writes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// Columns that it reads, in the model's own order.
    pub inputs: Vec<Column>,
    /// Columns that it writes, in order.
    pub outputs: Vec<Column>,
}

/// A column of a [`Signature`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub data_type: ColumnType,
    /// Whether it may be NULL. An input that may not fails the row, not the batch.
    pub nullable: bool,
}

/// The type of a [`Column`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// True or false.
    Boolean,
    /// 32 bits with sign.
    Integer,
    /// 64 bits with sign.
    Long,
    /// 32 bits.
    Float,
    /// 64 bits.
    Double,
    /// Text.
    String,
    /// Bytes.
    Binary,
    /// A moment in UTC, to the microsecond.
    Datetime,
    /// As many doubles as there are classes, clusters or elements of a tensor's row.
    Vector(usize),
}

/// A class of a classifier, as training data had it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Long(i64),
    /// Another number.
    Double(f64),
    /// Text.
    String(String),
}

impl Column {
    /// Returns a column.
    pub fn new(name: &str, data_type: ColumnType, nullable: bool) -> Self {
        Self { name: name.to_owned(), data_type, nullable }
    }

    /// Returns it as an Arrow field.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.arrow(), self.nullable)
    }
}

impl ColumnType {
    /// Returns its Arrow type.
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int32,
            Self::Long => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::String => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Datetime => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Vector(width) => {
                let length = i32::try_from(*width).unwrap_or(i32::MAX);
                DataType::FixedSizeList(Arc::new(Field::new("item", DataType::Float64, false)), length)
            }
        }
    }

    /// Returns the type that holds an Arrow type's values; `None` where there is none.
    pub fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => Self::Integer,
            DataType::Int64 | DataType::UInt32 | DataType::UInt64 => Self::Long,
            DataType::Float16 | DataType::Float32 => Self::Float,
            DataType::Float64 | DataType::Decimal128(..) | DataType::Decimal256(..) => Self::Double,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::String,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Binary,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Self::Datetime,
            DataType::Dictionary(_, values) => return Self::of(values),
            _ => return None,
        })
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::Integer => f.write_str("integer"),
            Self::Long => f.write_str("long"),
            Self::Float => f.write_str("float"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Binary => f.write_str("binary"),
            Self::Datetime => f.write_str("datetime"),
            Self::Vector(width) => write!(f, "vector of {width}"),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Long(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value}"),
            Self::String(value) => f.write_str(value),
        }
    }
}

impl Label {
    /// Returns the one type that holds all labels: text where they are mixed.
    pub fn type_of(labels: &[Self]) -> ColumnType {
        let all = |fits: fn(&Self) -> bool| labels.iter().all(fits);
        if all(|label| matches!(label, Self::Boolean(_))) {
            ColumnType::Boolean
        } else if all(|label| matches!(label, Self::Long(_))) {
            ColumnType::Long
        } else if all(|label| matches!(label, Self::Long(_) | Self::Double(_))) {
            ColumnType::Double
        } else {
            ColumnType::String
        }
    }

    /// Returns a column of labels by number; `None` is NULL. A number beyond the last is NULL as well.
    pub fn column(labels: &[Self], numbers: &[Option<usize>]) -> ArrayRef {
        let chosen = numbers.iter().map(|number| number.and_then(|number| labels.get(number)));
        match Self::type_of(labels) {
            ColumnType::Boolean => {
                let mut builder = BooleanBuilder::with_capacity(numbers.len());
                chosen.for_each(|label| builder.append_option(label.map(|label| *label == Self::Boolean(true))));
                Arc::new(builder.finish())
            }
            ColumnType::Long => {
                let mut builder = Int64Builder::with_capacity(numbers.len());
                chosen.for_each(|label| builder.append_option(label.and_then(Self::as_long)));
                Arc::new(builder.finish())
            }
            ColumnType::Double => {
                let mut builder = Float64Builder::with_capacity(numbers.len());
                chosen.for_each(|label| builder.append_option(label.and_then(Self::as_double)));
                Arc::new(builder.finish())
            }
            _ => {
                let texts: Vec<String> = labels.iter().map(Self::to_string).collect();
                let mut builder = StringBuilder::new();
                for number in numbers {
                    builder.append_option(number.and_then(|number| texts.get(number)));
                }
                Arc::new(builder.finish())
            }
        }
    }

    fn as_long(&self) -> Option<i64> {
        match self {
            Self::Long(value) => Some(*value),
            _ => None,
        }
    }

    fn as_double(&self) -> Option<f64> {
        match self {
            Self::Double(value) => Some(*value),
            Self::Long(value) => Some(*value as f64),
            _ => None,
        }
    }
}
