"""All checks in one DuckDB query: one scan for all that a scan can answer, subqueries for the rest."""

import json
import sys
from pathlib import Path

import duckdb

sys.path.append(str(Path(__file__).parent.parent))
from catalogue import CHECKS, Check  # noqa: E402  (shared with the other engines)


def expression(check: Check) -> str:
    """Returns the SQL that answers a check: offending rows, or the figure."""
    column, found = check.column, check.arguments
    match check.kind:
        case "not_null":
            return f"count(*) filter ({column} is null)"
        case "range":
            return f"count(*) filter ({column} < {found['min']} or {column} > {found['max']})"
        case "accepted_values":
            values = ", ".join(f"'{value}'" for value in found["values"])
            return f"count(*) filter ({column} not in ({values}))"
        case "regex":
            return f"count(*) filter (not regexp_matches({column}, '{found['pattern']}'))"
        case "length":
            return f"count(*) filter (length({column}) not between {found['min']} and {found['max']})"
        case "row_count":
            return "count(*)"
        case "freshness":
            return f"epoch(max({column}))"
        case "null_rate":
            return f"avg(({column} is null)::double)"
        case "expression":
            return f"count(*) filter (not ({found['sql']}))"
        case "pair":
            return f"count(*) filter (not ({found['left']} {found['operator']} {found['right']}))"
        case "unique":
            groups = f"select count(*) as n from events where {column} is not null group by {column} having n > 1"
            return f"(select coalesce(sum(n), 0) from ({groups}))"
        case "relationships":
            known = f"select 1 from {found['to']} u where u.{found['field']} = e.{column}"
            return f"(select count(*) from events e where e.{column} is not null and not exists ({known}))"
        case "rows_per_key":
            return f"(select max(n) / avg(n) from (select count(*) as n from events group by {column}))"
        case "figure":
            return statistic(column, found)
    raise ValueError(check.kind)


def statistic(column: str | None, found: dict) -> str:
    match found["statistic"]:
        case "quantile":
            return f"approx_quantile({column}, {found['p']})"
        case "distinct_count":
            return f"approx_count_distinct({column})"
        case "mean":
            return f"avg({column})"
        case name:
            return f"{name}({column})"


def main() -> None:
    data, output, threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    connection = duckdb.connect(config={"threads": threads})
    for table in ("events", "users"):
        connection.execute(f"create view {table} as select * from read_parquet('{data / table}.parquet')")
    query = ", ".join(f'{expression(check)} as "{check.name}"' for check in CHECKS)
    answer = connection.execute(f"select {query} from events").fetchone()
    output.write_text(json.dumps({check.name: float(value) for check, value in zip(CHECKS, answer, strict=True)}))


if __name__ == "__main__":
    main()
