//! `windlass init`.

use expect_test::expect;

use crate::support::{Project, is_there};

#[test]
fn a_blank_project_runs() {
    let folder = Project::bare();
    folder.windlass(["init", "demo", "--template", "blank"]).check(expect![[r#"
        exit 0
        -- stderr
        Made a project in `demo`, 6 files. Next:

          cd demo
          windlass run
          windlass show greetings
    "#]]);
    expect![[r#"
        .gitignore
        seeds/people.csv
        targets.yml
        transforms/greetings.sql
        transforms/transforms.yml
        windlass.yml"#]]
    .assert_eq(&folder.files("demo").join("\n"));
    let answer = folder.windlass(["-p", "demo", "run"]);
    assert_eq!(answer.code, 0, "{answer}");
    folder.windlass(["-p", "demo", "show", "greetings"]).check(expect![[r#"
        exit 0
        -- stdout
        +----+---------------+
        | id | greeting      |
        +----+---------------+
        | 1  | Hello, Ada!   |
        | 2  | Hello, Grace! |
        | 3  | Hello, Edgar! |
        +----+---------------+
        -- stderr
        3 rows, version 0
    "#]]);
}

#[test]
fn the_flights_have_their_data() {
    let folder = Project::bare();
    folder.windlass(["init"]).check(expect![[r#"
        exit 0
        -- stderr
        Made a project in this folder, 34 files. Next:

          windlass ls --format tree
          windlass run
          windlass show carrier_summary
    "#]]);
    expect![[r#"
        .gitignore
        checks/score_flights.py
        data/README.md
        data/airlines.parquet
        data/airports.parquet
        data/flights.parquet
        data/make_data.py
        data/planes.parquet
        data/weather.parquet
        functions/features.py
        lib/delay_risk.py
        locks/5f6dfb7ef2c4.lock
        locks/a7f0470b3f7b.lock
        macros/delays.sql
        models/delay_model.sql
        models/delay_model_sklearn.py
        models/models.yml
        seeds/holidays.csv
        sources.yml
        targets.yml
        tests/feat_route_daily.yml
        tests/score_flights.yml
        transforms/features/feat_departure.sql
        transforms/features/feat_flight.sql
        transforms/features/feat_plane.sql
        transforms/features/feat_route_daily.sql
        transforms/features/feat_weather_hourly.sql
        transforms/marts/carrier_summary.sql
        transforms/ml/flight_risk.sql
        transforms/ml/score_flights.py
        transforms/staging/stg_airports.sql
        transforms/staging/stg_flights.sql
        transforms/transforms.yml
        windlass.yml"#]]
    .assert_eq(&folder.files(".").join("\n"));
    let answer = folder.windlass(["plan"]);
    assert_eq!(answer.code, 0, "{answer}");
}

#[test]
fn nothing_is_replaced() {
    let folder = Project::bare();
    folder.write("seeds/people.csv", "mine\n");
    folder.write(".gitignore", "mine\n");
    folder.windlass(["init", "--template", "blank"]).check(expect![[r#"
        exit 2
        -- stderr
        error: `seeds/people.csv` exists already
          hint: no file is replaced; name another folder: windlass init DIR
    "#]]);
    assert!(!is_there(&folder.path("windlass.yml")));
    std::fs::remove_file(folder.path("seeds/people.csv")).unwrap();
    assert_eq!(folder.windlass(["init", "--template", "blank"]).code, 0);
    assert_eq!(std::fs::read_to_string(folder.path(".gitignore")).unwrap(), "mine\n");
    folder.windlass(["init", "--template", "blank"]).check(expect![[r#"
        exit 2
        -- stderr
        error: this folder holds a project already
          hint: name another folder: windlass init DIR
    "#]]);
    folder.windlass(["init", "--template", "blnk"]).check(expect![[r#"
        exit 2
        -- stderr
        error: invalid value 'blnk' for '--template <TEMPLATE>'
          [possible values: flights, blank]

          tip: a similar value exists: 'blank'

        For more information, try '--help'.
    "#]]);
}
