"""Serves a small package index from a folder until it is killed: prints its port, then waits.

Its packages hold one module with the version; those named `pyarrow` and `numpy` are no more than
that either.
"""

import functools
import http.server
import pathlib
import sys
import zipfile

PACKAGES = [
    ("tiny", "1.0", []),
    ("tiny", "2.0", []),
    ("other", "1.0", ["tiny<2"]),
    ("numpy", "2.4.0", []),
    ("pyarrow", "14.0.2", []),
    ("pyarrow", "26.0.1", []),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def write(root, name, version, requires):
    folder = root / "simple" / name
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
    metadata += [f"Requires-Dist: {requirement}\n" for requirement in requires]
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": "".join(metadata),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    links = "".join(f'<a href="{wheel.name}">{wheel.name}</a>\n' for wheel in sorted(folder.glob("*.whl")))
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>\n{links}</body></html>\n")


def main():
    root = pathlib.Path(sys.argv[1])
    for name, version, requires in PACKAGES:
        write(root, name, version, requires)
    handler = functools.partial(Quiet, directory=root)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


main()
