"""The same checks as a project of Windlass: on a source, on a table that is written, and of drift."""

import json
import shutil
from pathlib import Path
from typing import Any

from catalogue import CHECKS, Check

DRIFTING = ["amount", "score", "qty", "f1", "f2", "f3", "f4", "country", "status", "device"]
TARGETS = {"lake": "./lake", "state": "./.windlass", "env": "prod"}


def write_project(folder: Path, data: Path, threads: int, checked: str | None, checks: dict[str, Any]) -> None:
    """Writes a project anew that copies the events; `checks` are those of the `source` or of the `table`."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "transforms").mkdir(parents=True)
    events = {"path": str(data / "events.parquet")} | (checks if checked == "source" else {})
    tables = {"events": events, "users": {"path": str(data / "users.parquet")}}
    targets = {"local": TARGETS | {"threads": threads, "memory": "70%"}}
    # JSON is YAML too.
    files = {
        "windlass.yml": {"name": "checks"},
        "targets.yml": {"default": "local", "targets": targets},
        "sources.yml": {"sources": {"shop": {"tables": tables}}},
    }
    if checked == "table":
        files["transforms/copied.yml"] = {"transforms": {"copied": checks}}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1))
    (folder / "transforms" / "copied.sql").write_text("select * from {{ source('shop', 'events') }}\n")


def all_checks() -> dict[str, Any]:
    """Returns the 45 checks for a table: those of columns, then those of the table as a whole."""
    columns: dict[str, list[dict[str, Any]]] = {}
    whole = []
    for check in CHECKS:
        item = definition(check)
        if check.column:
            columns.setdefault(check.column, []).append(item)
        else:
            whole.append(item)
    return {"checks": whole, "columns": {name: {"checks": items} for name, items in columns.items()}}


def definition(check: Check) -> dict[str, Any]:
    """Returns a check as Windlass reads it. Broken rules warn, so that the run goes on."""
    found = {key: value for key, value in check.arguments.items() if key not in ("label", "statistic")}
    kind = check.arguments.get("statistic", check.kind)
    if kind == "freshness":
        found = {"max_age": f"{found['max_age_days']}d"}
    if kind == "expression":
        found = {"expression": found["sql"]}
    if kind == "relationships":
        found = {"to": f"shop.{found['to']}", "field": found["field"]}
    return {kind: found, "name": check.name, "severity": "warn"}


def drift_checks() -> dict[str, Any]:
    """Returns a check of drift from the stored profile for ten columns."""
    columns = {name: {"checks": [{"drift": {"baseline": "stored"}, "severity": "warn"}]} for name in DRIFTING}
    return {"columns": columns}
