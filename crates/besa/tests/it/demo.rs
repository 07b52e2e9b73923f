//! The README's first command.

use serde_json::Value;

use crate::{code, run, stderr, stdout};

#[test]
fn the_demonstration_finds_the_attack_and_nothing_else() {
    let output = run(&["-q", "demo", "--exit", "--scale", "0.02", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let demo: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let key = &demo["key"];
    assert!(key["expected"].as_u64().unwrap() >= 300);
    assert_eq!(key["found"], key["expected"]);
    assert_eq!(key["correlations_found"], key["correlations_expected"]);
    assert_eq!((&key["lookalikes_reported"], &key["false_alarms"]), (&0.into(), &0.into()));
    assert_eq!(demo["dwell"]["months"], 14);
    assert_eq!(demo["members"][2]["findings"], 0);
    assert_eq!(demo["account"]["defects"]["count"], 0);
    let alliance = &demo["alliance"];
    assert_eq!(alliance["complete"], true, "{alliance}");
    let answer = |name: &str| {
        let answers = alliance["answers"].as_array().unwrap();
        answers.iter().find(|one| one["member"] == name).unwrap()["answer"].clone()
    };
    assert!(answer("ally-b")["seen"].as_u64().unwrap() > 0, "{alliance}");
    assert_eq!(answer("ally-c")["seen"], 0);
    assert!(!answer("ally-c")["searched"][2].as_array().unwrap().is_empty());
    assert_eq!(alliance["running"], serde_json::json!([]));
}

#[test]
fn it_fits_on_two_screens() {
    let output = run(&["demo", "--exit", "--scale", "0", "--color", "never"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let page = stdout(&output);
    assert!(page.lines().count() <= 110, "{} lines", page.lines().count());
    for said in ["TIMELINE", "DWELL TIME: 14 months", "WHERE TO LOOK NEXT", "ally-c    nothing found"] {
        assert!(page.contains(said), "{said} is missing in {page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 118), "a line is too long");
}
