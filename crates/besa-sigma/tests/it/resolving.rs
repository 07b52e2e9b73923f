//! Filters, correlations, `action` and duplicates across documents.

use besa_sigma::{
    Comparison, CorrelationKind, CorrelationOp, Level, Loader, Placeholders, RuleSet, Target,
    TemporalExpression,
};

use crate::show;

fn rule(name: &str) -> String {
    format!(
        "title: {name}\nname: {name}\nid: ID-{name}\nlogsource: {{product: windows, category: process_creation}}\n\
         detection: {{s: {{A: x}}, condition: s}}\n---\n"
    )
}

fn correlation(name: &str, body: &str) -> String {
    format!("title: {name}\nname: {name}\ncorrelation: {{{body}}}\n---\n")
}

fn count_of(name: &str, rules: &str) -> String {
    correlation(
        name,
        &format!("type: event_count, rules: {rules}, group-by: [H], timespan: 5m, condition: {{gte: 3}}"),
    )
}

fn load(text: &str) -> RuleSet {
    let mut loader = Loader::new(Placeholders::new());
    loader.add("set.yml", text.as_bytes());
    loader.finish()
}

fn reasons(set: &RuleSet) -> Vec<&str> {
    set.refused.iter().map(|refusal| refusal.reason.as_str()).collect()
}

#[test]
fn a_correlation_is_read_whole() {
    let text = rule("a")
        + &rule("b")
        + &correlation(
            "c",
            "type: value_count, rules: [a, id-B], group-by: [H, who], timespan: 2h, generate: true, \
             condition: {gt: 1, lte: 5, field: [U, V]}, \
             aliases: {who: {a: User, b: SubjectUser}}",
        );
    let set = load(&text);
    assert_eq!(reasons(&set), [""; 0]);
    let correlation = &set.correlations[0];
    assert_eq!(correlation.kind, CorrelationKind::ValueCount);
    let targets: Vec<_> = correlation.rules.iter().map(|rule| rule.targets[0]).collect();
    assert_eq!(targets, [Target::Rule(0), Target::Rule(1)]);
    assert_eq!(correlation.group_by, ["H", "who"]);
    assert_eq!(correlation.timespan_seconds, 7_200);
    let comparison = |op, number| Comparison { op, number };
    assert_eq!(
        correlation.condition.comparisons,
        [comparison(CorrelationOp::Gt, 1.0), comparison(CorrelationOp::Lte, 5.0)]
    );
    assert_eq!(correlation.condition.fields, ["U", "V"]);
    let alias = &correlation.aliases[0];
    let fields: Vec<_> = alias.fields.iter().map(|of| (of.rule, of.field.as_str())).collect();
    assert_eq!(fields, [(0, "User"), (1, "SubjectUser")]);
    assert!(set.rules.iter().all(|rule| rule.generates), "generate: true");
}

#[test]
fn temporal_conditions() {
    let extended = |body: &str| load(&(rule("a") + &rule("b") + &correlation("c", body)));
    let set = extended("type: temporal, timespan: 10s, condition: a and not b");
    assert_eq!(reasons(&set), [""; 0]);
    let correlation = &set.correlations[0];
    assert_eq!(correlation.rules.len(), 2);
    assert_eq!(
        correlation.condition.expression,
        Some(TemporalExpression::All(vec![
            TemporalExpression::Rule(0),
            TemporalExpression::Not(Box::new(TemporalExpression::Rule(1))),
        ]))
    );
    let set = extended("type: temporal_ordered, rules: [b, a], timespan: 1d");
    assert_eq!(reasons(&set), [""; 0]);
    assert_eq!(set.correlations[0].condition, Default::default());
}

#[test]
fn refused_correlations() {
    fn check(body: &str, expected: &str) {
        let set = load(&(rule("a") + &correlation("c", body)));
        assert!(set.correlations.is_empty(), "{body}");
        assert!(reasons(&set)[0].contains(expected), "{body}\n{:?}\n{expected}", set.refused);
        assert!(set.rules[0].generates, "a rule of a refused correlation fires on its own");
    }
    let all = "type: event_count, rules: [a], timespan: 1m, condition: {gte: 1}";
    check(&all.replace("event_count", "events"), "correlation type `events` is unknown");
    check(&all.replace("type: event_count, ", ""), "has no `type`");
    check(&all.replace("[a]", "[z]"), "refers to `z`, which is the id or name of no rule");
    check(&all.replace("rules: [a], ", ""), "names no `rules`");
    check(&all.replace("timespan: 1m, ", ""), "has no `timespan`");
    for timespan in ["0m", "5", "m", "1 m", "1H", "-1s", "99999999999999999999s", "9999999999999999d"] {
        check(&all.replace("1m", timespan), &format!("timespan `{timespan}` is not"));
    }
    check(&all.replace(", condition: {gte: 1}", ""), "`event_count` needs a `condition`");
    check(&all.replace("gte: 1", "gte: x"), "`x` is no number");
    check(&all.replace("gte: 1", "ge: 1"), "`condition` has `ge`");
    check(&all.replace("gte: 1", "field: A"), "no comparison");
    check(&all.replace("gte: 1", "gte: 1, field: A"), "looks at no `field`");
    check(&all.replace("{gte: 1}", "a and b"), "has to be a map");
    check(&all.replace("event_count", "value_sum"), "needs a `field`");
    check(
        &all.replace("event_count", "value_avg").replace("gte: 1", "gte: 1, field: [A, B]"),
        "one `field` only",
    );
    check(
        &all.replace("event_count", "value_percentile").replace("gte: 1", "gte: 1, field: A"),
        "needs `percentile`",
    );
    check(&(all.to_owned() + ", generate: maybe"), "`generate` has to be");
    check(&(all.to_owned() + ", aliases: {x: {z: F}}"), "alias `x` refers to `z`");
    check("type: temporal, rules: [a], timespan: 1s, condition: a and z", "condition names `z`");
}

#[test]
fn correlations_stand_after_those_they_refer_to() {
    let text = count_of("top", "[mid, a]")
        + &count_of("mid", "[low]")
        + &count_of("low", "[a, b]")
        + &rule("a")
        + &rule("b");
    let set = load(&text);
    assert_eq!(reasons(&set), [""; 0]);
    let shown: Vec<_> = set
        .correlations
        .iter()
        .map(|correlation| (correlation.meta.title.as_str(), correlation.generates))
        .collect();
    assert_eq!(shown, [("low", false), ("mid", false), ("top", true)]);
    assert_eq!(set.correlations[2].rules[0].targets, [Target::Correlation(1)]);
    assert!(set.rules.iter().all(|rule| !rule.generates));
}

#[test]
fn cycles_and_what_hangs_on_the_refused() {
    let text = rule("a")
        + &count_of("x", "[y]")
        + &count_of("y", "[x]")
        + &count_of("on_x", "[x, a]")
        + &count_of("on_gone", "[gone]")
        + &count_of("on_on_gone", "[on_gone]")
        + &count_of("good", "[a]");
    let set = load(&text);
    let mut shown: Vec<(String, bool)> = set
        .refused
        .iter()
        .map(|refusal| {
            (refusal.title.clone().unwrap_or_default(), refusal.reason.contains("refers to itself"))
        })
        .collect();
    shown.sort();
    let expected = [("on_gone", false), ("on_on_gone", false), ("on_x", true), ("x", true), ("y", true)];
    assert_eq!(shown, expected.map(|(title, cycle)| (title.to_owned(), cycle)));
    assert_eq!(set.correlations.len(), 1);
}

#[test]
fn filters() {
    fn check(filter: &str, expected: &str, warning: Option<&str>) {
        let text = rule("a") + &format!("title: f\nlogsource: {{product: windows}}\nfilter: {{{filter}}}\n");
        let set = load(&text);
        let shown = match set.refused.first() {
            Some(refusal) => refusal.reason.clone(),
            None => show::condition(&set.rules[0].condition, &set.rules[0]),
        };
        assert_eq!(shown, expected, "{filter}");
        let warnings: Vec<_> = set.warnings.iter().map(|warning| warning.message.as_str()).collect();
        assert_eq!(warnings.len(), usize::from(warning.is_some()), "{warnings:?}");
        if let Some(expected) = warning {
            assert!(warnings[0].contains(expected), "{warnings:?}");
        }
    }
    let drop = "s: {U: adm}, condition: not s";
    check(&format!("rules: any, {drop}"), "all(s, not(filter f: s))", None);
    check(&format!("rules: a, {drop}"), "all(s, not(filter f: s))", None);
    check(&format!("rules: [ID-A], {drop}"), "all(s, not(filter f: s))", None);
    check(
        "rules: any, s: {U: adm}, t: {U: x}, condition: not 1 of them",
        "all(s, not(any(filter f: s, filter f: t)))",
        None,
    );
    check("rules: any, s: {U|neq: adm}, condition: s", "all(s, filter f: s)", None);
    check("rules: any, s: {U: adm}, condition: s", "all(s, filter f: s)", Some("has no `not`"));
    check(drop, "filter has no `rules`; list ids or names, or write `any`", None);
    check("rules: any, s: {U: adm}", "`filter` has no `condition`", None);
    check("rules: any, s: {U: adm}, condition: [not s]", "a filter has one `condition`, no list", None);

    let elsewhere = rule("a")
        + "title: f\nlogsource: {product: linux}\nfilter: {rules: [a, z], s: {U: x}, condition: not s}\n";
    let set = load(&elsewhere);
    assert_eq!(set.filters[0].applied_to, [0; 0]);
    let warnings: Vec<_> = set.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert!(warnings[0].contains("names the rule `z`"), "{warnings:?}");
    assert!(warnings[1].contains("applies to no rule"), "{warnings:?}");
}

#[test]
fn sigma_1_actions() {
    let text = "action: global\ntitle: t\nlevel: high\ndetection: {condition: s}\n---\n\
                logsource: {product: a}\ndetection: {s: {A: x}}\n---\n\
                action: repeat\nlogsource: {product: b}\n---\n\
                action: reset\ntitle: u\nlogsource: {product: c}\ndetection: {s: {A: x}, condition: s}\n---\n\
                action: other\ntitle: v\n---\naction: global\ntitle: w\n";
    let set = load(text);
    let shown: Vec<_> = set
        .rules
        .iter()
        .map(|rule| (rule.meta.title.as_str(), rule.meta.level, rule.logsource.to_string()))
        .collect();
    let high = Some(Level::High);
    let expected = [("t", high, "a/*/*"), ("t", high, "b/*/*"), ("u", None, "c/*/*")];
    assert_eq!(shown, expected.map(|(title, level, source)| (title, level, source.to_owned())));
    assert_eq!(reasons(&set).len(), 2);
    assert!(reasons(&set)[0].contains("action `other` is unknown"));
    assert!(reasons(&set)[1].contains("no rule follows"));
}

#[test]
fn doubts_are_told() {
    fn check(text: &str, expected: &str) {
        let set = load(text);
        let warnings: Vec<_> = set.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [expected], "{:?}", set.refused);
    }
    check(
        &(rule("a") + &rule("a").replace("name: a\n", "").replace("ID-", "id-")),
        "set.yml:7: id `id-a` is already that of the rule at set.yml:1; both are kept",
    );
    check(
        &rule("a").replace("A: x", "A|all: x"),
        "set.yml:5: `A|all`: `all` has no meaning with a single value (the specification forbids it)",
    );
    check(
        &rule("a").replace("condition: s", "condition: s, timeframe: 5m"),
        "set.yml:5: `timeframe` belongs to Sigma 1 and is not looked at; write a correlation rule",
    );
    check(
        &rule("a").replace("name: a", "level: severe"),
        "set.yml:2: level `severe` is none of the specification's; the rule counts as one without a level",
    );
    check(
        &(rule("a") + &count_of("c", "[a]").replace("group-by", "group_by")),
        "set.yml:9: `correlation` has the unknown key `group_by`",
    );
}
