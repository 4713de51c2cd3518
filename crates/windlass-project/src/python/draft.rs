//! A Python transform between reading its file and looking up what it reads.
//!
//! Whether a node has an error table is known only once all files have been read, so names are
//! looked up afterwards, in [`Draft::resolve`].

use serde_json::{Map, Value};
use windlass_error::{Diagnostic, Location};

use super::literal::Reference;
use super::{
    BatchSize, OnError, PythonBatchFormat, PythonMode, PythonRows, PythonTransform, Requirement, WorkerSettings,
};
use crate::config::Patch;
use crate::models::no_table;
use crate::names::{Names, quoted};
use crate::problems::Problems;
use crate::{Column, Input, InputPart, PythonCode};

/// A transform whose inputs have not been looked up.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) transform: PythonTransform,
    pub(crate) columns: Vec<Column>,
    pub(crate) patch: Patch,
    /// The function or class.
    pub(crate) location: Location,
    /// Its key, or else the decorator.
    pub(crate) key_at: Location,
    reads: Vec<Reference>,
}

/// What the decorator says, without what the file as a whole contributes.
#[derive(Debug)]
pub(super) struct Decorated {
    pub(super) object: String,
    /// `None` where the object is imported.
    pub(super) is_class: Option<bool>,
    pub(super) location: Location,
    pub(super) batch_format: PythonBatchFormat,
    pub(super) workers: WorkerSettings,
    pub(super) parts: Parts,
}

/// The arguments that only transforms have.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) reads: Vec<(String, Reference)>,
    pub(super) mode: PythonMode,
    pub(super) columns: Vec<Column>,
    pub(super) patch: Patch,
    pub(super) input_columns: Option<Vec<String>>,
    pub(super) key: Vec<String>,
    pub(super) key_at: Location,
    pub(super) requires: Vec<Requirement>,
    pub(super) batch_size: BatchSize,
    pub(super) rows: PythonRows,
    pub(super) rowwise: bool,
    pub(super) on_error: OnError,
    pub(super) constructor_args: Vec<Value>,
    pub(super) constructor_kwargs: Map<String, Value>,
    pub(super) fn_args: Vec<Value>,
    pub(super) fn_kwargs: Map<String, Value>,
    pub(super) copy_inputs: bool,
    pub(super) deterministic: Option<bool>,
}

impl Draft {
    pub(super) fn new(decorated: Decorated, code: PythonCode) -> Self {
        let Parts {
            reads,
            mode,
            columns,
            patch,
            input_columns,
            key,
            key_at,
            requires,
            batch_size,
            rows,
            rowwise,
            on_error,
            constructor_args,
            constructor_kwargs,
            fn_args,
            fn_kwargs,
            copy_inputs,
            deterministic,
        } = decorated.parts;
        let is_table = matches!(mode, PythonMode::Table { .. });
        let (arguments, reads): (Vec<_>, Vec<_>) = reads.into_iter().unzip();
        let transform = PythonTransform {
            code,
            inputs: Vec::new(),
            arguments: if is_table { arguments } else { Vec::new() },
            mode,
            input_columns,
            key,
            requires,
            batch_size,
            rows,
            rowwise,
            on_error,
            constructor_args,
            constructor_kwargs,
            fn_args,
            fn_kwargs,
            copy_inputs,
            deterministic,
        };
        Self { transform, columns, patch, location: decorated.location, key_at, reads }
    }

    /// Returns whether rows that fail go to a table of their own.
    pub(crate) fn has_error_table(&self) -> bool {
        self.transform.on_error == OnError::Quarantine
    }

    /// Looks up what the transform reads; reports what does not exist.
    pub(crate) fn resolve(&self, names: &Names, problems: &mut Problems) -> PythonTransform {
        let mut transform = self.transform.clone();
        for read in &self.reads {
            match resolve(read, names) {
                Ok(input) => transform.inputs.push(input),
                Err(problem) => problems.push(*problem),
            }
        }
        transform
    }
}

/// Returns the table that a reference names.
pub(super) fn resolve(read: &Reference, names: &Names) -> Result<Input, Box<Diagnostic>> {
    match read {
        Reference::Ref { name, at } => {
            let (node, part) = names.resolve_ref(name).map_err(|fault| Box::new(fault.at(at.clone())))?;
            if part == InputPart::Model {
                return Err(Box::new(no_table(&node, at.clone())));
            }
            Ok(Input { node, reference: quoted(name), location: at.clone(), part })
        }
        Reference::Source { source: (source, source_at), table: (table, table_at) } => {
            let node = names.resolve_source(source, table).map_err(|fault| {
                let at = if fault.index == 0 { source_at } else { table_at };
                Box::new(fault.at(at.clone()))
            })?;
            let reference = format!("{}.{}", quoted(source), quoted(table));
            Ok(Input { node, reference, location: table_at.clone(), part: InputPart::Result })
        }
    }
}
