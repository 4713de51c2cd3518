//! Order, walks, and circles.

use expect_test::expect;

use super::Graph;
use crate::fixture::{problems, project};

fn diamond() -> Graph {
    Graph::new([("d", vec!["c", "b"]), ("c", vec!["a"]), ("b", vec!["a"]), ("e", vec!["d"]), ("z", vec![])])
}

#[test]
fn order_is_stable_and_ties_go_by_name() {
    assert_eq!(diamond().order(), ["a", "b", "c", "d", "e", "z"]);
    let chain = Graph::new([("a", vec!["m"]), ("m", vec!["z"]), ("b", vec![])]);
    assert_eq!(chain.order(), ["b", "z", "m", "a"]);
}

#[test]
fn neighbours_and_walks() {
    let graph = diamond();
    assert_eq!(graph.parents("d"), ["c", "b"]);
    assert_eq!(graph.children("a"), ["b", "c"]);
    assert_eq!(graph.ancestors("e"), ["d", "c", "b", "a"]);
    assert_eq!(graph.descendants("a"), ["b", "c", "d", "e"]);
    assert_eq!(graph.ancestors_within("e", 2), ["d", "c", "b"]);
    assert_eq!(graph.descendants_within("a", 0), [""; 0]);
    assert!(graph.contains("a") && !graph.contains("nope") && graph.parents("nope").is_empty());
}

#[test]
fn circles_are_printed_with_every_step() {
    let text = "\
-- transforms/a.sql --
select * from {{ ref('b') }}
-- transforms/b.sql --
select * from {{ ref('c') }} join {{ ref('a') }}
-- transforms/c.sql --
select * from {{ ref('a') }}
-- transforms/me.sql --
select * from {{ ref('me') }}
-- transforms/ok.sql --
select * from {{ ref('a') }}
";
    expect![[r#"
        error[E0206]: transforms need each other in a circle: a -> b -> a
          transforms/a.sql:1:22
          | select * from {{ ref('b') }}
          |                      ^^^ `a` reads `b` here
          transforms/b.sql:1:42
          | select * from {{ ref('c') }} join {{ ref('a') }}
          |                                          --- `b` reads `a` here
          note: also in a circle with them: `c`
          node: a
        error[E0206]: `me` reads itself
          transforms/me.sql:1:22
          | select * from {{ ref('me') }}
          |                      ^^^^
          node: me
        broken: a, b, c, me
    "#]]
    .assert_eq(&problems(text));
}

#[test]
fn every_member_of_a_circle_knows_why() {
    let loaded = crate::fixture::load(
        "-- transforms/a.sql --\nselect * from {{ ref('b') }}\n-- transforms/b.sql --\nselect * from {{ ref('a') }}\n-- transforms/c.sql --\nselect * from {{ ref('b') }}\n-- transforms/d.sql --\nselect {{ x }}\n",
    );
    assert_eq!(loaded.blockers("c"), ["a", "b"]);
    for node in ["a", "b", "c"] {
        let codes: Vec<_> = loaded.problems_for([node]).iter().map(|problem| problem.code.0).collect();
        assert_eq!(codes, ["E0206"], "{node}");
    }
    assert_eq!(loaded.problems_for(["d", "c"]).len(), 2);
}

#[test]
fn what_reads_a_broken_node_stays_and_knows_it() {
    let loaded = crate::fixture::load(
        "-- transforms/a.sql --\nselect {{ var('x') }}\n-- transforms/b.sql --\nselect * from {{ ref('a') }}\n",
    );
    let project = loaded.project.expect("it loads");
    assert_eq!(loaded.broken, ["a"]);
    assert_eq!(project.nodes.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(project.graph.order(), ["b"]);
    assert_eq!(project.graph.ancestors("b"), ["a"]);
}

#[test]
fn nodes_stand_in_graph_order() {
    let project = project("-- transforms/a.sql --\nselect * from {{ ref('z') }}\n-- transforms/z.sql --\nselect 1\n");
    assert_eq!(project.nodes.keys().collect::<Vec<_>>(), ["z", "a"]);
}
