"""The checks that Great Expectations has, over a pandas table, with its shortest result format."""

import json
import sys
from pathlib import Path

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

sys.path.append(str(Path(__file__).parent.parent))
from catalogue import CHECKS, Check  # noqa: E402  (shared with the other engines)


def expectation(check: Check) -> gxe.Expectation | None:
    """Returns the expectation for a check. Quantiles raise in this version, and other kinds there are none."""
    column, found = check.column, check.arguments
    match check.kind:
        case "not_null":
            return gxe.ExpectColumnValuesToNotBeNull(column=column)
        case "range":
            return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=found["min"], max_value=found["max"])
        case "accepted_values":
            return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=found["values"])
        case "regex":
            return gxe.ExpectColumnValuesToMatchRegex(column=column, regex=found["pattern"])
        case "length":
            low, high = found["min"], found["max"]
            return gxe.ExpectColumnValueLengthsToBeBetween(column=column, min_value=low, max_value=high)
        case "unique":
            return gxe.ExpectColumnValuesToBeUnique(column=column)
        case "row_count":
            return gxe.ExpectTableRowCountToBeBetween(min_value=found["min"])
        case "figure":
            return statistic(column, found)
    return None


def statistic(column: str | None, found: dict) -> gxe.Expectation | None:
    kinds = {
        "mean": gxe.ExpectColumnMeanToBeBetween,
        "stddev": gxe.ExpectColumnStdevToBeBetween,
        "sum": gxe.ExpectColumnSumToBeBetween,
        "min": gxe.ExpectColumnMinToBeBetween,
        "max": gxe.ExpectColumnMaxToBeBetween,
        "distinct_count": gxe.ExpectColumnUniqueValueCountToBeBetween,
    }
    kind = kinds.get(found["statistic"])
    return kind and kind(column=column, min_value=found["min"], max_value=found["max"])


def main() -> None:
    data, output, _ = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    events = pd.read_parquet(data / "events.parquet")
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("events")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": events})
    pairs = [(check, made) for check in CHECKS if (made := expectation(check)) is not None]
    suite = gx.ExpectationSuite(name="suite", expectations=[made for _, made in pairs])
    results = batch.validate(suite, result_format="SUMMARY").results
    by_text = {key(result.expectation_config): result.result for result in results}
    found = {check.name: answer(by_text[key(made.configuration)]) for check, made in pairs}
    output.write_text(json.dumps(found))


def key(configuration: object) -> str:
    """Returns a text by which an expectation is found again: results come in another order."""
    kwargs = {name: value for name, value in configuration.kwargs.items() if name != "batch_id" and value is not None}
    return f"{configuration.type} {json.dumps(kwargs, sort_keys=True, default=str)}"


def answer(result: dict) -> float:
    """Returns offending rows, or the figure."""
    return float(result.get("unexpected_count", result.get("observed_value")))


if __name__ == "__main__":
    main()
