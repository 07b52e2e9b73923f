//! A whole pattern over many observations.

use super::ast::Pattern;
use super::combine::{Binding, Hit, combine};
use super::compare::CompiledComparison;
use crate::observation::Observation;

/// Work allowed by default in one search for a binding, in elementary steps (well below a second).
pub const DEFAULT_WORK: u64 = 20_000_000;

/// Why a pattern was not evaluated. None of these means "no match".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// MATCHES with an expression that is no PCRE, or one the engine does not have.
    #[error("the regular expression `{regex}` of `{path}` is invalid: {reason}")]
    InvalidRegex {
        /// The object path.
        path: String,
        /// The expression, cut off after 200 characters.
        regex: String,
        /// What the engine says.
        reason: String,
    },
    /// IN over constants of several types (section 9.6.1).
    #[error("the IN set of `{path}` mixes data types (section 9.6.1); split it by type")]
    MixedSet {
        /// The object path.
        path: String,
    },
    /// A regular expression ran into the backtracking limit on one value.
    #[error("the regular expression of `{path}` backtracks too often; write it without nested repetition")]
    RegexTooExpensive {
        /// The object path.
        path: String,
    },
    /// The search for a binding took more than the work allowed.
    #[error("no binding found within {limit} steps; narrow the pattern with WITHIN or START … STOP")]
    TooExpensive {
        /// The limit that was given.
        limit: u64,
    },
}

/// A pattern ready for evaluation. Compile once, evaluate often.
#[derive(Clone, Debug)]
pub struct CompiledPattern {
    pattern: Pattern,
    leaves: Vec<CompiledComparison>,
}

impl CompiledPattern {
    /// Compiles every comparison expression.
    pub fn new(pattern: Pattern) -> Result<Self, EvaluateError> {
        let leaves =
            pattern.comparison_exprs().into_iter().map(CompiledComparison::new).collect::<Result<_, _>>()?;
        Ok(Self { pattern, leaves })
    }

    /// The pattern it was compiled from.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The comparison expressions from left to right; a place here is a leaf number.
    pub fn leaves(&self) -> &[CompiledComparison] {
        &self.leaves
    }

    /// Searches a binding among hits found elsewhere: `hits[leaf]` is what satisfied that leaf.
    pub fn combine(&self, hits: &[Vec<Hit>], limit: u64) -> Result<Option<Binding>, EvaluateError> {
        combine(&self.pattern, hits, limit)
    }

    /// Tests every observation against every leaf and searches a binding. Observations are numbered
    /// by their place in the slice.
    pub fn evaluate(
        &self,
        observations: &[Observation],
        limit: u64,
    ) -> Result<Option<Binding>, EvaluateError> {
        let mut hits = vec![Vec::new(); self.leaves.len()];
        for (leaf, hits) in self.leaves.iter().zip(&mut hits) {
            for (place, observation) in observations.iter().enumerate() {
                if leaf.matches(observation)? {
                    hits.push(Hit {
                        observation: place,
                        first: observation.first_observed,
                        last: observation.last_observed,
                        count: observation.number_observed,
                    });
                }
            }
        }
        self.combine(&hits, limit)
    }
}

/// Compiles and evaluates; `limit` as for [`combine`], [`DEFAULT_WORK`] is a good value.
pub fn evaluate(
    pattern: &Pattern,
    observations: &[Observation],
    limit: u64,
) -> Result<Option<Binding>, EvaluateError> {
    CompiledPattern::new(pattern.clone())?.evaluate(observations, limit)
}
