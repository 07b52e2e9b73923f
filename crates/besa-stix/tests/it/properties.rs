//! Parse ∘ print, and the search for bindings against its slow twin.

use std::collections::BTreeSet;

use besa_stix::pattern::{
    Comparison, ComparisonExpr, Constant, Hit, ObjectPath, ObservationExpr, Op, Operand, Pattern, Qualifier,
    Step, combine,
};
use besa_stix::time::Instant;
use proptest::prelude::*;

fn instant() -> impl Strategy<Value = Instant> {
    // Years 0000 to 9999, which is what text can say.
    (-62_167_219_200i64..253_402_300_800, 0u32..1_000_000_000)
        .prop_map(|(seconds, nanos)| Instant::from_unix(seconds, nanos))
}

fn constant() -> impl Strategy<Value = Constant> {
    prop_oneof![
        any::<String>().prop_map(Constant::String),
        any::<i64>().prop_map(Constant::Integer),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Constant::Float),
        any::<bool>().prop_map(Constant::Boolean),
        any::<Vec<u8>>().prop_map(Constant::Binary),
        any::<Vec<u8>>().prop_map(Constant::Hex),
        instant().prop_map(Constant::Timestamp),
    ]
}

fn path() -> impl Strategy<Value = ObjectPath> {
    let name =
        prop_oneof!["[a-z_][a-z0-9_]{0,8}", any::<String>(), Just("IN".to_owned()), Just("t".to_owned())];
    let step = prop_oneof![
        name.clone().prop_map(Step::Property),
        any::<u32>().prop_map(|index| Step::Index(index.into())),
        Just(Step::AnyIndex),
    ];
    ("[a-z][a-z0-9-]{0,10}x", name, prop::collection::vec(step, 0..4)).prop_map(
        |(object_type, first, rest)| {
            let steps = std::iter::once(Step::Property(first)).chain(rest).collect();
            ObjectPath { object_type, steps }
        },
    )
}

fn comparison() -> impl Strategy<Value = ComparisonExpr> {
    let test = (
        path(),
        any::<bool>(),
        0..12usize,
        constant(),
        prop::collection::vec(constant(), 0..4),
        any::<String>(),
    )
        .prop_map(|(path, negated, op, constant, set, text)| {
            let (op, value) = match op {
                0 => (Op::Eq, Operand::One(constant)),
                1 => (Op::NotEq, Operand::One(constant)),
                2 => (Op::In, Operand::Set(set)),
                3 => (Op::Like, Operand::One(Constant::String(text))),
                4 => (Op::Matches, Operand::One(Constant::String(text))),
                5 => (Op::IsSubset, Operand::One(Constant::String(text))),
                6 => (Op::IsSuperset, Operand::One(Constant::String(text))),
                7 => (Op::Exists, Operand::None),
                order => {
                    let op = [Op::Lt, Op::Lte, Op::Gt, Op::Gte][order - 8];
                    let orderable = if matches!(constant, Constant::Boolean(_)) {
                        Constant::Integer(1)
                    } else {
                        constant
                    };
                    (op, Operand::One(orderable))
                }
            };
            let negated = negated && op != Op::Exists;
            ComparisonExpr::Test(Comparison { path, negated, op, value })
        });
    test.prop_recursive(3, 8, 3, |inner| {
        (prop::collection::vec(inner, 2..4), any::<bool>()).prop_map(|(parts, and)| {
            let mut flat = Vec::new();
            for part in parts {
                match part {
                    ComparisonExpr::And(inner) if and => flat.extend(inner),
                    ComparisonExpr::Or(inner) if !and => flat.extend(inner),
                    other => flat.push(other),
                }
            }
            if and { ComparisonExpr::And(flat) } else { ComparisonExpr::Or(flat) }
        })
    })
}

fn join(parts: Vec<ObservationExpr>, kind: u8) -> ObservationExpr {
    let mut flat = Vec::new();
    for part in parts {
        match part {
            ObservationExpr::And(inner) if kind == 0 => flat.extend(inner),
            ObservationExpr::Or(inner) if kind == 1 => flat.extend(inner),
            ObservationExpr::FollowedBy(inner) if kind == 2 => flat.extend(inner),
            other => flat.push(other),
        }
    }
    match kind {
        0 => ObservationExpr::And(flat),
        1 => ObservationExpr::Or(flat),
        _ => ObservationExpr::FollowedBy(flat),
    }
}

fn observation(
    leaf: impl Strategy<Value = ComparisonExpr> + 'static,
    qualifier: impl Strategy<Value = Qualifier> + Clone + 'static,
) -> impl Strategy<Value = ObservationExpr> {
    leaf.prop_map(ObservationExpr::Comparison).prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 2..4), 0..3u8).prop_map(|(parts, kind)| join(parts, kind)),
            (inner, qualifier.clone())
                .prop_map(|(inner, qualifier)| ObservationExpr::Qualified(Box::new(inner), qualifier)),
        ]
    })
}

fn any_qualifier() -> impl Strategy<Value = Qualifier> + Clone {
    prop_oneof![
        (1u64..i64::MAX as u64).prop_map(|times| Qualifier::Repeats { times }),
        (f64::MIN_POSITIVE..1e300).prop_map(|seconds| Qualifier::Within { seconds }),
        (0u32..9).prop_map(|seconds| Qualifier::Within { seconds: f64::from(seconds) + 1.0 }),
        (-62_167_219_200i64..253_402_300_800, 0u32..1_000_000_000).prop_map(|(seconds, nanos)| {
            let start = Instant::from_unix(seconds, nanos);
            Qualifier::StartStop { start, stop: start }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn printing_and_parsing_gives_the_same_tree(root in observation(comparison(), any_qualifier())) {
        let pattern = Pattern { root };
        let text = pattern.to_string();
        prop_assert_eq!(Pattern::parse(&text), Ok(pattern), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), inner in "[\\[\\]()'=!<>a-zA-Z:.,*0-9 \\\\-]{0,60}") {
        for text in [text.as_str(), &inner, &format!("[file:name = {inner}]"), &format!("[{inner}")] {
            if let Ok(pattern) = Pattern::parse(text) {
                pattern.check();
                prop_assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern));
            }
        }
    }

    #[test]
    fn the_search_finds_what_trying_everything_finds(
        root in observation(Just(dummy()), small_qualifier()),
        observed in prop::collection::vec((0i64..12, 0i64..4, 1u64..3, any::<u8>()), 1..8),
    ) {
        let pattern = Pattern { root };
        let hits: Vec<Vec<Hit>> = (0..pattern.comparison_exprs().len()).map(|leaf| {
            observed.iter().enumerate().filter(|(_, (.., leaves))| leaves >> (leaf % 8) & 1 == 1).map(|(place, hit)| Hit {
                observation: place,
                first: Instant::from_unix(hit.0, 0),
                last: Instant::from_unix(hit.0 + hit.1 / 2, 0),
                count: hit.2,
            }).collect()
        }).collect();
        let mut twin = Twin { hits: &hits, next_leaf: 0, observed: &observed, gave_up: false };
        let all = twin.bindings(&pattern.root);
        prop_assume!(!twin.gave_up);
        let found = combine(&pattern, &hits, 10_000_000).expect("the limit is far away");
        let sets: BTreeSet<Vec<usize>> = all.iter().map(|used| {
            used.iter().copied().collect::<BTreeSet<_>>().into_iter().collect()
        }).collect();
        match found {
            Some(binding) => prop_assert!(sets.contains(&binding.observations), "{} {:?} {:?}", pattern, binding, hits),
            None => prop_assert!(sets.is_empty(), "{} {:?} {:?}", pattern, sets, hits),
        }
    }
}

fn dummy() -> ComparisonExpr {
    let path = ObjectPath { object_type: "a".to_owned(), steps: vec![Step::Property("b".to_owned())] };
    ComparisonExpr::Test(Comparison { path, negated: false, op: Op::Exists, value: Operand::None })
}

fn small_qualifier() -> impl Strategy<Value = Qualifier> + Clone {
    prop_oneof![
        (1u64..4).prop_map(|times| Qualifier::Repeats { times }),
        (1u32..6).prop_map(|seconds| Qualifier::Within { seconds: seconds.into() }),
        (0i64..8, 1i64..9).prop_map(|(start, length)| Qualifier::StartStop {
            start: Instant::from_unix(start, 0),
            stop: Instant::from_unix(start + length, 0),
        }),
    ]
}

/// Section 9.5 word by word: all bindings, as observations with repetition, ascending.
struct Twin<'a> {
    hits: &'a [Vec<Hit>],
    next_leaf: usize,
    observed: &'a [(i64, i64, u64, u8)],
    gave_up: bool,
}

impl Twin<'_> {
    fn bindings(&mut self, expr: &ObservationExpr) -> BTreeSet<Vec<usize>> {
        match expr {
            ObservationExpr::Comparison(_) => {
                self.next_leaf += 1;
                self.hits[self.next_leaf - 1].iter().map(|hit| vec![hit.observation]).collect()
            }
            ObservationExpr::Or(parts) => parts.iter().flat_map(|part| self.bindings(part)).collect(),
            ObservationExpr::And(parts) => self.product(parts, false),
            ObservationExpr::FollowedBy(parts) => self.product(parts, true),
            ObservationExpr::Qualified(inner, Qualifier::Repeats { times }) => {
                let one = self.bindings(inner);
                (1..*times).fold(one.clone(), |all, _| self.pairs(&all, &one, false))
            }
            ObservationExpr::Qualified(inner, qualifier) => {
                let mut all = self.bindings(inner);
                all.retain(|used| {
                    let (latest_first, earliest_last) = self.span(used);
                    match qualifier {
                        Qualifier::Within { seconds } => ((latest_first - earliest_last) as f64) < *seconds,
                        Qualifier::StartStop { start, stop } => {
                            latest_first < stop.unix_seconds() && earliest_last >= start.unix_seconds()
                        }
                        Qualifier::Repeats { .. } => true,
                    }
                });
                all
            }
        }
    }

    fn product(&mut self, parts: &[ObservationExpr], in_order: bool) -> BTreeSet<Vec<usize>> {
        let mut all = self.bindings(&parts[0]);
        for part in &parts[1..] {
            let part = self.bindings(part);
            all = self.pairs(&all, &part, in_order);
        }
        all
    }

    fn pairs(
        &mut self,
        left: &BTreeSet<Vec<usize>>,
        right: &BTreeSet<Vec<usize>>,
        in_order: bool,
    ) -> BTreeSet<Vec<usize>> {
        let mut all = BTreeSet::new();
        if left.len() * right.len() > 20_000 {
            self.gave_up = true;
            return all;
        }
        for a in left {
            for b in right {
                let mut both = [a.as_slice(), b].concat();
                both.sort_unstable();
                let enough = both.iter().all(|place| {
                    both.iter().filter(|used| *used == place).count() as u64 <= self.observed[*place].2
                });
                if enough && (!in_order || self.span(a).0 <= self.span(b).1) {
                    all.insert(both);
                }
            }
        }
        all
    }

    fn span(&self, used: &[usize]) -> (i64, i64) {
        let latest_first = used.iter().map(|place| self.observed[*place].0).max().unwrap();
        let earliest_last =
            used.iter().map(|place| self.observed[*place].0 + self.observed[*place].1 / 2).min().unwrap();
        (latest_first, earliest_last)
    }
}
