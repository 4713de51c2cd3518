//! Models of an environment that become versions of its base, with the tables that score with them.

use expect_test::expect;

use crate::environments::TARGETS;
use crate::support::Project;

/// A line through ten points, and a table that scores with it.
fn project() -> Project {
    let points: String = (0..100).map(|i| format!("{i},{},{}\n", i % 10, 2 * (i % 10) + 1)).collect();
    let project = Project::new(&format!(
        "-- seeds/points.csv --\nid,x,y\n{points}-- models/line.sql --\n\
         create model line options (model_type = 'linear_reg', input_label_cols = ['y']) as\n\
         select x, y from {{{{ ref('points') }}}}\n-- transforms/scored.sql --\n\
         select id, round(line(x), 3) as y from {{{{ ref('points') }}}} where id < 3\n"
    ));
    project.add(TARGETS);
    project
}

fn scores(project: &Project) -> String {
    project.rows("select y from scored order by id").replace('\n', " ")
}

#[test]
fn a_model_is_promoted_with_the_tables_that_score_with_it() {
    let project = project();
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    let model = std::fs::read_to_string(project.path("models/line.sql")).unwrap();
    project.write("models/line.sql", &model.replace("select x, y from", "select x, 10 * y as y from"));
    assert_eq!(project.windlass(["run", "-q", "-e", "dev"]).code, 0);
    assert_eq!(scores(&project), r#"{"y":1.0} {"y":3.0} {"y":5.0}"#);
    // Without its model, a table would say what nobody in the base can repeat.
    let alone = project.windlass(["env", "promote", "dev", "scored"]);
    assert_eq!(alone.code, 2, "{alone}");
    assert!(alone.stderr.contains("scored: it reads `line` of this environment, which is not promoted"), "{alone}");
    project.windlass(["env", "promote", "dev", "--dry-run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ line               model  [SIZE]  champion version 1 of dev
          ✓ scored            3 rows  [SIZE]  version 0 of dev
        Would promote 2 tables and models of dev to prod
    "#]]);
    project.windlass(["env", "promote", "dev"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ line               model  [SIZE]  champion version 2 of prod  [TIME]
          ✓ scored            3 rows  [SIZE]  version 1 of prod  [TIME]
        Promoted 2 of 2 tables and models of dev to prod  [TIME]  run [RUN]
    "#]]);
    assert_eq!(scores(&project), r#"{"y":10.0} {"y":30.0} {"y":50.0}"#);
    let shown = project.json(["models", "show", "line@champion"]);
    assert_eq!(shown["version"]["version"], 2, "{shown}");
    // The base has what it would train and build now.
    let plan = project.windlass(["plan"]);
    assert!(plan.stdout.contains("0 to build"), "{plan}");
    project.windlass(["env", "promote", "dev"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ line    the same in prod
          ✓ scored  the same in prod
        Nothing to promote: prod has what dev has built
    "#]]);
    // And going back is one command, as after any promotion of a model.
    assert_eq!(project.windlass(["models", "rollback", "line"]).code, 0);
    assert_eq!(project.windlass(["run", "-q", "scored"]).code, 0);
    assert_eq!(scores(&project), r#"{"y":1.0} {"y":3.0} {"y":5.0}"#);
}

/// A version that missed its gate keeps its tables where they are.
#[test]
fn a_version_that_missed_a_gate_is_not_promoted() {
    let project = project();
    let model = std::fs::read_to_string(project.path("models/line.sql")).unwrap();
    project.write("models/line.sql", &model.replace("['y'])", "['y'], gates = ['r2 >= 2'])"));
    let run = project.windlass(["run", "-q", "-e", "dev"]);
    assert_eq!(run.code, 1, "{run}");
    assert_eq!(project.windlass(["models", "promote", "line@1", "--force", "-e", "dev"]).code, 0);
    assert_eq!(project.windlass(["run", "-q", "-e", "dev", "scored"]).code, 0);
    project.windlass(["env", "promote", "dev", "--allow-stale"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0907]: cannot promote dev to prod
          line: a version missed a gate: r2 >= 2, found 1
          hint: bring it up to date: windlass run -e dev
        windlass explain E0907
    "#]]);
}
