//! Reading from the disk: what is found, skipped and refused.

use std::path::Path;

use super::{LoadOptions, find_root, load};
use crate::fixture::{render, split};

fn write(root: &Path, text: &str) {
    for (path, content) in split(text) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

fn options(root: &Path) -> LoadOptions {
    LoadOptions { root: root.to_path_buf(), version: "0.1.0".into(), ..LoadOptions::default() }
}

const PROJECT: &str = "\
-- windlass.yml --
name: demo
-- sources/a.yml --
sources: {s: {path: 'data/{name}.csv', tables: [t]}}
-- seeds/codes.csv --
a,b
-- macros/deep/m.sql --
{% macro one() %}1{% endmacro %}
-- transforms/deep/x.sql --
select {{ one() }}
-- transforms/.hidden/y.sql --
select 2
-- transforms/.z.sql --
select 3
-- transforms/notes.txt --
not read
-- transforms/x.yaml --
transforms: {x: {tags: [a]}}
";

#[test]
fn a_folder_is_read() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), PROJECT);
    let loaded = load(&options(folder.path()));
    assert_eq!(render(&loaded.diagnostics), "");
    let project = loaded.project.unwrap();
    assert_eq!(project.nodes.keys().collect::<Vec<_>>(), ["codes", "s.t", "x"]);
    assert_eq!(project.nodes["x"].transform().unwrap().sql, "select 1");
    assert_eq!(project.nodes["x"].config.tags, ["a"]);
    assert!(project.target.lake.starts_with(folder.path().to_str().unwrap()));
}

#[test]
fn the_root_is_found_from_below() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), PROJECT);
    assert_eq!(find_root(&folder.path().join("transforms/deep")).unwrap(), folder.path());
    assert_eq!(find_root(Path::new("/")), None);
}

#[test]
fn no_project() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = load(&options(folder.path()));
    assert!(loaded.project.is_none());
    let text = render(&loaded.diagnostics).replace(folder.path().to_str().unwrap(), "FOLDER");
    expect_test::expect![[r#"
        error[E0905]: no `windlass.yml` in `FOLDER`
          hint: run `windlass init` to make a project, or name its folder with `--project`
    "#]]
    .assert_eq(&text);
}

#[test]
fn files_that_cannot_be_read_break_only_their_node() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), PROJECT);
    std::fs::write(folder.path().join("transforms/latin.sql"), b"select\n'\xe9'").unwrap();
    std::fs::write(folder.path().join("transforms/reader.sql"), "\u{feff}select * from {{ ref('latin') }}").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path().join("transforms"), folder.path().join("transforms/deep/loop")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", folder.path().join("transforms/gone.sql")).unwrap();
    let loaded = load(&options(folder.path()));
    expect_test::expect![[r#"
        error[E0703]: the link `transforms/deep/loop` leads back to a folder around it
          hint: remove the link
        error[E0703]: cannot read `transforms/gone.sql`
          note: No such file or directory (os error 2)
          node: gone
        error[E0704]: `transforms/latin.sql` is not UTF-8 text
          note: the first byte that is not stands in line 2
          hint: save the file as UTF-8
          node: latin
    "#]]
    .assert_eq(&render(&loaded.diagnostics));
    assert_eq!(loaded.broken, ["gone", "latin"]);
    let project = loaded.project.unwrap();
    assert_eq!(project.nodes["reader"].transform().unwrap().sql, "select * from latin");
}

#[test]
fn python_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "\
-- windlass.yml --
name: demo
-- transforms/a.sql --
select 1
-- transforms/ml/x.py --
from windlass import ref, transform
import deep.shared
@transform(ref('a'), columns={'id': 'bigint'})
def score(batch): ...
-- transforms/ml/pyproject.toml --
[project]
-- transforms/ml/uv.lock --
-- transforms/ml/__pycache__/y.py --
not read (
-- transforms/ml/.venv/z.py --
not read (
-- transforms/notes.toml --
not read
-- functions/f.py --
from windlass import udf
@udf(returns='double')
def half(x): ...
-- functions/requirements.txt --
numpy
-- lib/deep/shared.py --
-- lib/data.json --
",
    );
    let loaded = load(&options(folder.path()));
    assert_eq!(render(&loaded.diagnostics), "");
    let project = loaded.project.unwrap();
    assert_eq!(project.nodes.keys().collect::<Vec<_>>(), ["a", "x"]);
    assert_eq!(project.lib, [folder.path().join("lib")]);
    let code = &project.nodes["x"].python().unwrap().code;
    assert_eq!(code.path, folder.path().join("transforms/ml/x.py"));
    assert_eq!(code.sources.keys().collect::<Vec<_>>(), ["transforms/ml/x.py", "lib/deep/shared.py"]);
    assert_eq!(code.environment.origin, crate::PythonOrigin::Project { folder: folder.path().join("transforms/ml") });
    assert_eq!(project.functions["half"].code.environment.dependencies, ["numpy"]);
}

#[test]
fn python_files_that_cannot_be_read_break_only_their_node() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "-- windlass.yml --\nname: demo\n-- transforms/a.sql --\nselect 1 from {{ ref('x__errors') }}\n",
    );
    std::fs::write(folder.path().join("transforms/x.py"), b"'\xe9'").unwrap();
    std::fs::create_dir(folder.path().join("lib")).unwrap();
    let loaded = load(&options(folder.path()));
    assert_eq!(loaded.broken, ["x"]);
    assert_eq!(loaded.diagnostics.len(), 1);
    assert_eq!(loaded.blockers("a"), ["x"]);
    assert_eq!(loaded.project.unwrap().lib, [folder.path().join("lib")]);
}
