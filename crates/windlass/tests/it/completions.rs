//! `windlass completions`, and what the script asks for.

use expect_test::expect;

use crate::run::SHOP;
use crate::support::Project;

/// Asks as the bash script does, for the last word.
fn complete(project: &Project, words: &[&str]) -> String {
    let index = words.len().to_string();
    let args: Vec<&str> = ["--", "windlass"].into_iter().chain(words.iter().copied()).collect();
    let mut command = project.command(&args);
    command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
    project.answer(command.env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "true")).stdout
}

#[test]
fn names_of_nodes_are_completed() {
    let project = Project::new(SHOP);
    expect![[r#"
        people
        profile"#]]
    .assert_eq(&complete(&project, &["run", "p"]));
    expect!["+spending"].assert_eq(&complete(&project, &["run", "-s", "+sp"]));
    expect![[r#"
        raw.clicks
        raw.orders"#]]
    .assert_eq(&complete(&project, &["show", "raw."]));
    expect![[r#"
        E0801
        E0802
        E0803
        E0804
        E0805
        E0806
        E0807"#]]
    .assert_eq(&complete(&project, &["explain", "E080"]));
    assert_eq!(complete(&Project::bare(), &["show", "x"]), "");
}

#[test]
fn scripts_are_printed() {
    let folder = Project::bare();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let answer = folder.windlass(["completions", shell]);
        assert!(answer.code == 0 && answer.stdout.contains("COMPLETE"), "{answer}");
        let answer = folder.windlass(["completions", shell, "--static"]);
        assert!(answer.code == 0 && answer.stdout.contains("keep-versions-for"), "{answer}");
    }
    assert_eq!(folder.windlass(["completions", "tcsh"]).code, 2);
}
