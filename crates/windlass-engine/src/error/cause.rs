//! Whose fault an error is: the chain of its sources, and what each library's error says.

use std::error::Error as StdError;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use deltalake_core::DeltaTableError;
use windlass_error::{Classify, Code, Fault, Retry};

use crate::operators::python::PythonError;
use crate::tables::publish::is_conflict;

/// Returns an error and its causes.
pub(super) fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |current| source_of(*current))
}

/// Answers whose fault an error is, whether to retry and its code, from the chain of its sources.
pub(super) fn classify(error: &(dyn StdError + 'static)) -> (Fault, Retry, Option<Code>) {
    // The deepest cause knows best: a full disk arrives inside three layers of wrapping.
    chain(error).filter_map(classify_one).last().unwrap_or((Fault::Internal, Retry::Never, None))
}

/// Returns the cause of an error, also where the library hides it from `source`.
pub(crate) fn source_of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<DataFusionError>() {
        Some(DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner)) => Some(inner.as_ref()),
        Some(DataFusionError::Shared(inner)) => Some(inner.as_ref()),
        Some(DataFusionError::Collection(all)) => all.first().map(|first| first as &(dyn StdError + 'static)),
        Some(DataFusionError::ArrowError(inner, _)) => Some(inner.as_ref()),
        Some(DataFusionError::External(inner)) => Some(inner.as_ref()),
        _ => match error.downcast_ref::<ArrowError>() {
            Some(ArrowError::ExternalError(inner)) => Some(inner.as_ref()),
            Some(ArrowError::IoError(_, inner)) => Some(inner),
            _ => match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
                // Its `source` is the cause of what it wraps, and skips that itself.
                Some(inner) => Some(inner),
                None => error.source(),
            },
        },
    }
}

/// Returns what is wrong with a number that has more digits than its decimal type.
pub(crate) fn decimal_overflow(error: &ArrowError) -> Option<String> {
    let ArrowError::InvalidArgumentError(text) = error else { return None };
    // "300.0 is too large to store in a Decimal128 of precision 3. Max is 99.9"
    let (value, rest) = text
        .split_once(" is too large to store in a Decimal")
        .or_else(|| text.split_once(" is too small to store in a Decimal"))?;
    let digits: String = rest.split_once(" of precision ")?.1.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("{value} does not fit a decimal of {digits} digits"))
}

fn classify_one(error: &(dyn StdError + 'static)) -> Option<(Fault, Retry, Option<Code>)> {
    if let Some(io) = error.downcast_ref::<std::io::Error>() {
        return Some(classify_io(io));
    }
    if let Some(store) = error.downcast_ref::<object_store::Error>() {
        return Some(classify_store(store));
    }
    if let Some(delta) = error.downcast_ref::<DeltaTableError>() {
        return Some(classify_delta(delta));
    }
    if let Some(arrow) = error.downcast_ref::<ArrowError>() {
        return Some(classify_arrow(arrow));
    }
    if let Some(code) = crate::build::unscored_code(error) {
        return Some((Fault::User, Retry::Never, Some(code)));
    }
    if let Some(python) = error.downcast_ref::<PythonError>() {
        return Some((python.fault(), python.retry(), python.code()));
    }
    let user = |code| Some((Fault::User, Retry::Never, Some(code)));
    match error.downcast_ref::<DataFusionError>()? {
        DataFusionError::ResourcesExhausted(_) => user(Code::MEMORY),
        DataFusionError::SQL(..) => user(Code::SQL_SYNTAX),
        DataFusionError::Plan(_) | DataFusionError::SchemaError(..) | DataFusionError::NotImplemented(_) => {
            user(Code::INVALID_SQL)
        }
        DataFusionError::Execution(_) => user(Code::EXECUTION),
        DataFusionError::ParquetError(_) => user(Code::BAD_FILE),
        DataFusionError::Internal(_) => Some((Fault::Internal, Retry::Never, Some(Code::EXECUTION))),
        _ => None,
    }
}

fn classify_io(error: &std::io::Error) -> (Fault, Retry, Option<Code>) {
    use std::io::ErrorKind;
    match error.kind() {
        // A full disk stays full for the seconds that a retry waits.
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (Fault::External, Retry::Never, Some(Code::DISK_FULL)),
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::FileTooLarge => (Fault::External, Retry::Never, Some(Code::STORAGE)),
        ErrorKind::NotFound => (Fault::User, Retry::Never, Some(Code::MISSING_FILE)),
        _ => (Fault::External, Retry::Backoff, Some(Code::STORAGE)),
    }
}

fn classify_store(error: &object_store::Error) -> (Fault, Retry, Option<Code>) {
    match error {
        object_store::Error::NotFound { .. } => (Fault::User, Retry::Never, Some(Code::MISSING_FILE)),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            (Fault::External, Retry::Never, Some(Code::STORAGE))
        }
        _ => (Fault::External, Retry::Backoff, Some(Code::STORAGE)),
    }
}

fn classify_delta(error: &DeltaTableError) -> (Fault, Retry, Option<Code>) {
    let code = if is_conflict(error) { Code::COMMIT_CONFLICT } else { Code::STORAGE };
    // What a store has answered to the kernel is left as text. `Generic` is object_store's word for all that has no name of
    // its own, such as a server that is away.
    let is_of_store = matches!(error, DeltaTableError::KernelError(_))
        && error.to_string().contains("Error interacting with object store: Generic");
    (Fault::External, if is_of_store { Retry::Backoff } else { Retry::Never }, Some(code))
}

fn classify_arrow(error: &ArrowError) -> (Fault, Retry, Option<Code>) {
    let code = match error {
        ArrowError::DivideByZero => Code::DIVISION_BY_ZERO,
        ArrowError::CastError(_) => Code::CAST,
        error if decimal_overflow(error).is_some() => Code::CAST,
        ArrowError::ArithmeticOverflow(_) => Code::OVERFLOW,
        ArrowError::CsvError(_)
        | ArrowError::JsonError(_)
        | ArrowError::ParquetError(_)
        | ArrowError::ParseError(_) => Code::BAD_FILE,
        ArrowError::MemoryError(_) => Code::MEMORY,
        _ => Code::EXECUTION,
    };
    (Fault::User, Retry::Never, Some(code))
}

/// Returns the code of a DataFusion error.
pub(crate) fn code_of(error: &DataFusionError) -> Option<Code> {
    classify(error).2
}
