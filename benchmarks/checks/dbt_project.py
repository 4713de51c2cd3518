"""The same checks as a dbt project: generic tests where dbt has them, a query in a file where not."""

import json
from pathlib import Path
from typing import Any

from catalogue import CHECKS, Check

GENERIC = ("not_null", "unique", "accepted_values", "relationships")


def write_dbt_project(folder: Path, data: Path, threads: int) -> None:
    """Writes the project; both tables are views of their files."""
    for name in ("models", "tests"):
        (folder / name).mkdir(parents=True)
    for table in ("events", "users"):
        (folder / "models" / f"{table}.sql").write_text(f"select * from read_parquet('{data / table}.parquet')\n")
    output = {"type": "duckdb", "path": str(folder / "checks.duckdb"), "threads": threads}
    defaults = {"+severity": "warn"}
    # JSON is YAML too.
    files = {
        "dbt_project.yml": {"name": "checks", "version": "1.0", "profile": "checks", "data_tests": defaults},
        "profiles.yml": {"checks": {"target": "local", "outputs": {"local": output}}},
        "models/events.yml": {"version": 2, "models": [{"name": "events", "columns": columns()}]},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1))
    for check in CHECKS:
        if check.kind not in GENERIC:
            (folder / "tests" / f"{check.name}.sql").write_text(query(check) + "\n")


def columns() -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for check in CHECKS:
        if check.kind in GENERIC:
            found.setdefault(check.column or "", []).append({check.kind: {"name": check.name} | arguments(check)})
    return [{"name": name, "data_tests": tests} for name, tests in found.items()]


def arguments(check: Check) -> dict[str, Any]:
    match check.kind:
        case "accepted_values":
            return {"arguments": {"values": check.arguments["values"]}}
        case "relationships":
            return {"arguments": {"to": f"ref('{check.arguments['to']}')", "field": check.arguments["field"]}}
    return {}


def query(check: Check) -> str:
    """Returns the query for a test of its own: offending rows, or one row where a figure is out of bounds."""
    column, found, table = check.column, check.arguments, "{{ ref('events') }}"
    rows = f"select * from {table} where"
    match check.kind:
        case "range":
            return f"{rows} {column} < {found['min']} or {column} > {found['max']}"
        case "regex":
            return f"{rows} not regexp_matches({column}, '{found['pattern']}')"
        case "length":
            return f"{rows} length({column}) not between {found['min']} and {found['max']}"
        case "expression":
            return f"{rows} not ({found['sql']})"
        case "pair":
            return f"{rows} not ({found['left']} {found['operator']} {found['right']})"
    return f"select * from (select {figure(check)} as figure from {table}) where not (figure {bound(check)})"


def figure(check: Check) -> str:
    column = check.column
    match check.kind:
        case "row_count":
            return "count(*)"
        case "freshness":
            return f"date_diff('day', max({column}), now())"
        case "null_rate":
            return f"avg(({column} is null)::double)"
        case "rows_per_key":
            keys = f"(select count(*) as n from {{{{ ref('events') }}}} group by {column})"
            return f"(select max(n) / avg(n) from {keys})"
    match check.arguments["statistic"]:
        case "quantile":
            return f"approx_quantile({column}, {check.arguments['p']})"
        case "distinct_count":
            return f"approx_count_distinct({column})"
        case "mean":
            return f"avg({column})"
        case name:
            return f"{name}({column})"


def bound(check: Check) -> str:
    found = check.arguments
    match check.kind:
        case "freshness":
            return f"<= {found['max_age_days']}"
        case "rows_per_key":
            return f"<= {found['max_over_mean']}"
    bounds = [("min", ">="), ("max", "<=")]
    return " and figure ".join(f"{sign} {found[key]}" for key, sign in bounds if key in found)
