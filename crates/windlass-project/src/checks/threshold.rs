//! How many offending rows are too many, and how two values compare.

/// How many offending rows are too many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// How the number compares.
    pub comparison: Comparison,
    /// With what, in rows, or as a share from 0 to 1.
    pub value: f64,
    /// The other end of `between`.
    pub upper: Option<f64>,
    /// Whether `value` is a share of the rows looked at.
    pub is_share: bool,
}

impl Threshold {
    /// Any offending row is one too many.
    pub const ANY: Self = Self { comparison: Comparison::NotEqual, value: 0.0, upper: None, is_share: false };

    /// However many rows offend, they are not too many.
    pub const NEVER: Self = Self { comparison: Comparison::Greater, value: 1.0, upper: None, is_share: true };

    /// Returns how many offending rows are not too many, where any larger number is: known of a number
    /// of rows that may not be passed, and of nothing else.
    pub fn most(&self) -> Option<u64> {
        if self.is_share || self.upper.is_some() || self.value < 0.0 {
            return None;
        }
        match self.comparison {
            Comparison::Greater => Some(self.value as u64),
            Comparison::GreaterOrEqual if self.value > 0.0 => Some(self.value.ceil() as u64 - 1),
            Comparison::NotEqual if self.value == 0.0 => Some(0),
            _ => None,
        }
    }

    /// Returns whether `failing` of `rows` rows are too many.
    pub fn is_met(&self, failing: u64, rows: u64) -> bool {
        let found = match self.is_share {
            true if rows == 0 => 0.0,
            true => failing as f64 / rows as f64,
            false => failing as f64,
        };
        self.holds(found)
    }

    /// Returns whether a number is as the bound says; one that is no number is not.
    pub fn holds(&self, found: f64) -> bool {
        match self.upper {
            Some(upper) => (self.value..=upper).contains(&found),
            None => !found.is_nan() && self.comparison.holds(found.partial_cmp(&self.value)),
        }
    }
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |value: f64| match self.is_share {
            true => format!("{} %", in_percent(value)),
            false => format!("{value}"),
        };
        match self.upper {
            Some(upper) => write!(f, "between {} and {}", number(self.value), number(upper)),
            None => write!(f, "{} {}", self.comparison.symbol(), number(self.value)),
        }
    }
}

/// Returns a share in percent as it was written, without what the multiplication adds behind its last digit.
pub fn in_percent(share: f64) -> f64 {
    const DIGITS: f64 = 1e12;
    let percent = share * 100.0;
    if percent.abs() < 1e3 { (percent * DIGITS).round() / DIGITS } else { percent }
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// Returns the comparison of an operator; `==`, `!=` and `<>` are understood too.
    pub fn of_symbol(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" | "==" => Self::Equal,
            "!=" | "<>" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// Returns its operator.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Returns whether it holds for values in this order. Values without an order differ.
    pub fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        let Some(order) = order else { return self == Self::NotEqual };
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}
