//! The columns that something is computed from, and what each is used for.

use std::collections::{BTreeMap, BTreeSet};

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnRef {
    /// The node, or the error table of one.
    pub table: String,
    /// The column.
    pub column: String,
}

/// What a column is used for; ordered from a plain copy to a figure over many rows, then what only
/// decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// Its values are the result.
    Identity,
    /// Its values are turned into others, row by row.
    Transformation,
    /// Its values of many rows become one.
    Aggregation,
    /// It decides between values, as in CASE.
    Conditional,
    /// It decides which rows there are.
    Filter,
    /// It decides which rows are joined.
    Join,
    /// It decides which rows make a group.
    GroupBy,
    /// It decides an order.
    Sort,
    /// It decides which rows a window holds.
    Window,
}

/// Columns with what they are used for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnInputs(BTreeMap<ColumnRef, BTreeSet<Use>>);

impl ColumnRef {
    /// Returns a column of a table.
    pub fn new(table: impl Into<String>, column: impl Into<String>) -> Self {
        Self { table: table.into(), column: column.into() }
    }
}

impl std::fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

impl Use {
    /// Returns whether values flow.
    pub fn is_direct(self) -> bool {
        matches!(self, Self::Identity | Self::Transformation | Self::Aggregation)
    }

    /// Returns the stable name, such as `group_by`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Transformation => "transformation",
            Self::Aggregation => "aggregation",
            Self::Conditional => "conditional",
            Self::Filter => "filter",
            Self::Join => "join",
            Self::GroupBy => "group_by",
            Self::Sort => "sort",
            Self::Window => "window",
        }
    }

    /// Returns what something used as `self` is used for where the result is used as `outer`.
    fn within(self, outer: Self) -> Self {
        match (self.is_direct(), outer.is_direct()) {
            (true, true) => self.max(outer),
            (true, false) => outer,
            (false, _) => self,
        }
    }
}

impl ColumnInputs {
    /// Returns one column, used as it is.
    pub(crate) fn of(column: ColumnRef) -> Self {
        Self(BTreeMap::from([(column, BTreeSet::from([Use::Identity]))]))
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all columns with what they are used for, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&ColumnRef, &BTreeSet<Use>)> {
        self.0.iter()
    }

    /// Returns what a column is used for; `None` where it is not used.
    pub fn get(&self, column: &ColumnRef) -> Option<&BTreeSet<Use>> {
        self.0.get(column)
    }

    /// Adds those of another.
    pub(crate) fn merge(&mut self, other: Self) {
        for (column, uses) in other.0 {
            self.0.entry(column).or_default().extend(uses);
        }
    }

    /// Adds one use of a column.
    pub(crate) fn add(&mut self, column: ColumnRef, usage: Use) {
        self.0.entry(column).or_default().insert(usage);
    }

    /// Returns the columns of a value that is itself used for something.
    pub(crate) fn used_as(self, usage: Use) -> Self {
        let within = |uses: BTreeSet<Use>| uses.into_iter().map(|inner| inner.within(usage)).collect();
        Self(self.0.into_iter().map(|(column, uses)| (column, within(uses))).collect())
    }

    /// Returns all of them together.
    pub(crate) fn union(all: impl IntoIterator<Item = Self>) -> Self {
        let mut union = Self::default();
        for inputs in all {
            union.merge(inputs);
        }
        union
    }
}
