//! Python in plans, lists and shells: known from the files alone, with no environment at hand.

use expect_test::expect;

use crate::python_errors::SCORE;
use crate::support::Project;

#[test]
fn python_is_planned_and_listed_without_running_it() {
    let project = Project::new(SCORE);
    project.windlass(["plan"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          build  numbers   2 columns  not published yet
          build  score     2 columns  not published yet  python score in transforms/score.py

        2 to build, 0 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text, what Python answers.
    "#]]);
    let plan = project.json(["plan"]);
    assert_eq!((&plan["nodes"][1]["kind"], &plan["nodes"][1]["action"]), (&"python".into(), &"build".into()));
    project.windlass(["ls"]).check(expect![[r#"
        exit 0
        -- stdout
        numbers  table
        score    python
    "#]]);
    project.windlass(["ls", "kind:python", "--format", "tree"]).check(expect![[r#"
        exit 0
        -- stdout
        score  python
    "#]]);
    project.windlass(["show", "score", "--schema"]).check(expect![[r#"
        exit 0
        -- stdout
        id  bigint
        y   double
    "#]]);
    let shown = project.windlass(["show", "score", "--compiled"]);
    assert_eq!(shown.stdout, std::fs::read_to_string(project.path("transforms/score.py")).unwrap());
    project.windlass(["show", "score__errors", "--compiled"]).check(expect![[r#"
        exit 2
        -- stderr
        error: `score__errors` holds the error rows of `score`
          hint: what computes them: windlass show score --compiled
    "#]]);
    project.windlass(["show", "score__errors"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: table `score` has not been published yet
          --> transforms/score.py:11:5
           |
        11 | def score(batch):
           |     ^^^^^
           |
           = help: publish it too: windlass run +score
        windlass explain E0103
    "#]]);
    project.windlass(["show", "numbers__errors"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no node `numbers__errors`
          hint: did you mean `numbers`?
    "#]]);
}

#[test]
fn nodes_with_error_rows_are_completed() {
    let project = Project::new(SCORE);
    let complete = |words: &[&str]| {
        let index = words.len().to_string();
        let mut command = project.command(&[&["--", "windlass"], words].concat());
        let env = [("COMPLETE", "bash"), ("_CLAP_IFS", "\n"), ("_CLAP_COMPLETE_INDEX", &index)];
        project.answer(command.envs(env)).stdout
    };
    assert_eq!(complete(&["errors", ""]).lines().next(), Some("score"));
    assert_eq!(complete(&["try", "n"]), "numbers");
}

#[test]
fn what_turns_python_off_says_yes_or_no() {
    let project = Project::new(SCORE);
    project.windlass_with(["plan"], &[("WINDLASS_LOCKED", "maybe")]).check(expect![[r#"
        exit 2
        -- stderr
        error: WINDLASS_LOCKED is `maybe`, which is neither yes nor no
          hint: write 1 or true, 0 or false
    "#]]);
    let off = [("WINDLASS_LOCKED", "0"), ("WINDLASS_OFFLINE", "true")];
    assert_eq!(project.windlass_with(["plan"], &off).code, 0);
    let answer = project.windlass_with(["plan"], &[("WINDLASS_LOCKED", "true")]);
    assert!(answer.code == 2 && answer.stderr.contains("error[E0501]"), "its lock is missing: {answer}");
}
