"""Compacts a Delta table as another writer would: many small files become few, and no row changes.

`compact_table.py FOLDER` needs the package `deltalake`. Prints how many files were replaced.
"""

import sys

from deltalake import DeltaTable


def main() -> None:
    metrics = DeltaTable(sys.argv[1]).optimize.compact()
    print(metrics["numFilesRemoved"])


if __name__ == "__main__":
    main()
