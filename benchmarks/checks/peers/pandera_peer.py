"""The checks that Pandera has, with its Polars backend: all failures of one table are gathered."""

import json
import sys
from pathlib import Path

import pandera.polars as pa
import polars as pl

sys.path.append(str(Path(__file__).parent.parent))
from catalogue import CHECKS, Check  # noqa: E402  (shared with the other engines)

# No aggregates, foreign keys or figures: of these Pandera has none that are not code of the user.
KINDS = ("not_null", "range", "accepted_values", "regex", "length", "unique")


def rule(check: Check) -> pa.Check | None:
    """Returns a rule on the values of a column; nullability and uniqueness are settings of the column."""
    found = check.arguments
    match check.kind:
        case "range":
            return pa.Check.in_range(found["min"], found["max"], name=check.name)
        case "accepted_values":
            return pa.Check.isin(found["values"], name=check.name)
        case "regex":
            return pa.Check.str_matches(found["pattern"], name=check.name)
        case "length":
            return pa.Check.str_length(found["min"], found["max"], name=check.name)
    return None


def schema(checks: list[Check]) -> pa.DataFrameSchema:
    columns = {}
    for column in dict.fromkeys(check.column for check in checks):
        own = [check for check in checks if check.column == column]
        kinds = {check.kind for check in own}
        rules = [made for made in map(rule, own) if made]
        columns[column] = pa.Column(checks=rules, nullable="not_null" not in kinds, unique="unique" in kinds)
    return pa.DataFrameSchema(columns)


def main() -> None:
    data, output, _ = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    checks = [check for check in CHECKS if check.kind in KINDS]
    events = pl.read_parquet(data / "events.parquet")
    found = dict.fromkeys([check.name for check in checks], 0.0)
    names = {("not_nullable", check.column): check.name for check in checks if check.kind == "not_null"}
    names |= {("field_uniqueness", check.column): check.name for check in checks if check.kind == "unique"}
    try:
        schema(checks).validate(events, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases.group_by("column", "check").len()
        for column, check, rows in cases.iter_rows():
            name = names.get((check, column)) or next(
                known.name for known in checks if known.column == column and (known.name in check or fits(known, check))
            )
            found[name] = float(rows)
    output.write_text(json.dumps(found))


def fits(known: Check, text: str) -> bool:
    """Returns whether Pandera's text of a failed rule is that of a check."""
    words = {"range": "in_range", "accepted_values": "isin", "regex": "str_matches", "length": "str_length"}
    return text.startswith(words.get(known.kind, "\0"))


if __name__ == "__main__":
    main()
