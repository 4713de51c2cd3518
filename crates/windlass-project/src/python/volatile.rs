//! Finds calls that answer anew every time: random numbers without a seed, and the time of day.
//!
//! A guess from names, since nothing is run: whoever knows better says `deterministic=True` or
//! `deterministic=False`. Clocks that only measure (`perf_counter`, `monotonic`) do not count.

use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, ExprCall, Stmt};

/// Modules whose functions answer anew, save for those that take a seed.
const RANDOM_MODULES: [&str; 2] = ["random", "secrets"];
/// Makers of generators: with an argument they are seeded.
const SEEDABLE: [&str; 6] = ["default_rng", "RandomState", "Random", "SeedSequence", "PCG64", "Generator"];
/// What the classes of dates call the present.
const PRESENT: [&str; 3] = ["now", "utcnow", "today"];
/// Classes of dates.
const DATES: [&str; 3] = ["datetime", "date", "Timestamp"];
/// Functions by their whole name.
const NAMED: [&str; 5] = ["time.time", "time.time_ns", "os.urandom", "uuid.uuid1", "uuid.uuid4"];
/// Names that are imported by themselves often enough.
const BARE: [&str; 4] = ["uuid1", "uuid4", "urandom", "randint"];

/// Returns the first call of a file that answers anew every time, such as `np.random.rand`.
pub(super) fn find(body: &[Stmt]) -> Option<String> {
    let mut finder = Finder::default();
    finder.visit_body(body);
    match finder.is_seeded {
        true => finder.present,
        false => finder.random.or(finder.present),
    }
}

#[derive(Default)]
struct Finder {
    random: Option<String>,
    present: Option<String>,
    is_seeded: bool,
}

impl<'a> Visitor<'a> for Finder {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(call) = expr {
            self.look_at(call);
        }
        walk_expr(self, expr);
    }
}

impl Finder {
    fn look_at(&mut self, call: &ExprCall) {
        let Some(name) = dotted(&call.func) else { return };
        let parts: Vec<&str> = name.split('.').collect();
        let Some((last, before)) = parts.split_last() else { return };
        let has_arguments = !call.arguments.args.is_empty() || !call.arguments.keywords.is_empty();
        let is_of_random = before.iter().any(|part| RANDOM_MODULES.contains(part));
        if is_of_random && *last == "seed" {
            self.is_seeded = self.is_seeded || has_arguments;
        } else if (is_of_random || before.is_empty()) && SEEDABLE.contains(last) {
            if !has_arguments {
                self.random.get_or_insert(name);
            }
        } else if is_of_random || is_unseeded_sample(call, last, before) || (before.is_empty() && BARE.contains(last)) {
            self.random.get_or_insert(name);
        } else if NAMED.contains(&name.as_str())
            || (PRESENT.contains(last) && before.last().is_some_and(|class| DATES.contains(class)))
        {
            self.present.get_or_insert(name);
        }
    }
}

/// Returns whether a call draws rows of a frame without a seed.
fn is_unseeded_sample(call: &ExprCall, last: &str, before: &[&str]) -> bool {
    let keyword = |names: &[&str]| {
        let given = call.arguments.keywords.iter().filter_map(|keyword| keyword.arg.as_ref());
        given.into_iter().any(|given| names.contains(&given.as_str()))
    };
    last == "sample" && !before.is_empty() && keyword(&["n", "frac", "fraction"]) && !keyword(&["random_state", "seed"])
}

/// Returns a name with its dots: `np.random.rand`.
fn dotted(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Name(name) => Some(name.id.to_string()),
        Expr::Attribute(attribute) => Some(format!("{}.{}", dotted(&attribute.value)?, attribute.attr)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, expected: Option<&str>) {
        let parsed = ruff_python_parser::parse_module(code).unwrap();
        assert_eq!(find(&parsed.syntax().body).as_deref(), expected, "{code}");
    }

    #[test]
    fn random_numbers_without_a_seed_are_found() {
        check("def f(b):\n    return np.random.rand(len(b))\n", Some("np.random.rand"));
        check("x = [random.random() for _ in y]\n", Some("random.random"));
        check("rng = np.random.default_rng()\n", Some("np.random.default_rng"));
        check("rng = default_rng()\n", Some("default_rng"));
        check("key = uuid4()\n", Some("uuid4"));
        check("part = frame.sample(frac=0.1)\n", Some("frame.sample"));
    }

    #[test]
    fn seeds_make_them_the_same_every_time() {
        check("rng = np.random.default_rng(7)\n", None);
        check("random.seed(7)\nx = random.random()\n", None);
        check("part = frame.sample(frac=0.1, random_state=1)\n", None);
    }

    #[test]
    fn the_present_is_found_and_clocks_are_not() {
        check("at = datetime.datetime.now(tz)\n", Some("datetime.datetime.now"));
        check("at = pd.Timestamp.today()\n", Some("pd.Timestamp.today"));
        check("at = time.time()\n", Some("time.time"));
        check("random.seed(1)\nat = time.time()\n", Some("time.time"));
        check("at = time.perf_counter()\nx = order.now()\n", None);
    }
}
