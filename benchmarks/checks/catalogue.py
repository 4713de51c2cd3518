"""The 45 checks, told once, and what each engine may say of them."""

from dataclasses import dataclass, field
from typing import Any

COLUMNS = [
    "event_id", "user_id", "ts", "amount", "score", "qty", "f1", "f2", "f3", "f4",
    "country", "status", "device", "email", "is_new",
]  # fmt: skip
COUNTRIES = [f"C{number:02}" for number in range(30)]
STATUSES = ["placed", "shipped", "delivered", "returned"]
DEVICES = ["phone", "tablet", "desktop", "other"]
EMAIL = r"^[a-z0-9]+@[a-z]+\.com$"
USERS = 500_000


@dataclass(frozen=True)
class Check:
    """A check: rules are answered by the number of offending rows, the others by a figure."""

    kind: str
    column: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    # How far the answers of two engines may be apart, as a share. Quantiles and distinct counts are
    # estimated by some.
    tolerance: float = 0.0

    @property
    def name(self) -> str:
        parts = [self.kind, self.column, self.arguments.get("statistic"), self.arguments.get("label")]
        return "_".join(str(part) for part in parts if part)


def figure(statistic: str, column: str, low: float, high: float, tolerance: float = 1e-9) -> Check:
    return Check("figure", column, {"statistic": statistic, "min": low, "max": high}, tolerance)


def quantile(column: str, p: float, low: float, high: float) -> Check:
    return Check("figure", column, {"statistic": "quantile", "p": p, "min": low, "max": high}, 0.03)


CHECKS = [
    *[Check("not_null", column) for column in COLUMNS],
    Check("range", "amount", {"min": 0, "max": 1_000_000}),
    Check("range", "score", {"min": -4, "max": 4}),
    Check("range", "qty", {"min": 1, "max": 99}),
    *[Check("range", column, {"min": -4, "max": 4}) for column in ("f1", "f2", "f3", "f4")],
    Check("unique", "event_id"),
    Check("accepted_values", "country", {"values": COUNTRIES}),
    Check("accepted_values", "status", {"values": STATUSES}),
    Check("accepted_values", "device", {"values": DEVICES}),
    Check("regex", "email", {"pattern": EMAIL}),
    Check("length", "email", {"min": 10, "max": 64}),
    Check("relationships", "user_id", {"to": "users", "field": "user_id"}),
    Check("row_count", None, {"min": 1}),
    Check("freshness", "ts", {"max_age_days": 36_500}),
    figure("mean", "amount", 0, 1000),
    figure("mean", "score", -1, 1),
    figure("stddev", "score", 0, 2, 1e-6),
    figure("sum", "qty", 0, 1e12),
    figure("min", "f3", -100, 0),
    figure("max", "f4", 0, 100),
    quantile("amount", 0.99, 0, 1e6),
    quantile("f1", 0.75, -1, 1),
    figure("distinct_count", "user_id", 1, 1e9, 0.05),
    figure("distinct_count", "email", 1, 1e9, 0.05),
    Check("rows_per_key", "user_id", {"max_over_mean": 10_000}, 1e-9),
    Check("null_rate", "amount", {"max": 0.01}, 1e-9),
    Check("expression", None, {"sql": "amount < 500 or qty < 95", "label": "large_orders"}),
    Check("pair", None, {"left": "f1", "operator": "<=", "right": "f2", "label": "f1_f2"}),
]  # fmt: skip
