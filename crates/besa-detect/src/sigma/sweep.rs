//! Says of a whole event at once that no keyword can occur in it.
//!
//! Keywords look at every value, which for a long record is most of the work. The values of an
//! event lie close together in the buffers of its batch (but for texts of a template, which all its
//! events share), so a sweep over one stretch or a few answers for all of them, and only if it meets
//! something the values are looked at one by one.
//!
//! Soundness: the sweep looks for a piece of each needed literal in bytes as they stand, with
//! ASCII letters folded. Pieces hold only characters that JSON has no short escape for; an escape
//! of the long form that could hide one of them (`\u00…`, and the two characters beyond ASCII that
//! fold to ASCII letters, as themselves and escaped) counts as something met.

use besa_event::Event;
use besa_simd::gate::Gate;
use memchr::memmem;

use super::index::literals_of;
use super::leaf::{Leaf, LeafId};

/// Escapes behind which a character of a piece may hide: ASCII, `ſ` (which folds to `s`) and the
/// Kelvin sign (`k`).
const ESCAPES: [&[u8]; 3] = [br"\u00", br"\u017f", br"\u212a"];
/// The same two characters as UTF-8.
const FOLDING_TO_ASCII: [&[u8]; 2] = ["\u{17f}".as_bytes(), "\u{212a}".as_bytes()];

/// Searches stretches of events for what any of the keywords needs.
#[derive(Debug)]
pub(crate) struct Sweep {
    gate: Gate,
}

impl Sweep {
    /// `None` if some keyword has no literal, or there are too many of them.
    pub(crate) fn build(keywords: &[LeafId], leaves: &[Leaf]) -> Option<Self> {
        let mut pieces: Vec<Vec<u8>> = ESCAPES.iter().map(|escape| escape.to_vec()).collect();
        for id in keywords {
            for literal in literals_of(&leaves[id.index()].kind)?.0 {
                pieces.push(longest_plain(&literal).to_vec());
            }
        }
        pieces.sort();
        pieces.dedup();
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        Gate::new(&pieces).map(|gate| Self { gate })
    }

    /// Whether a keyword may occur in the event; `false` is certain.
    pub(crate) fn may_hold(&self, event: Event<'_>) -> bool {
        event.any_stretch(|stretch| {
            let met = self.gate.meets(stretch);
            met.literal
                || !met.is_ascii && FOLDING_TO_ASCII.iter().any(|each| memmem::find(stretch, each).is_some())
        })
    }
}

/// The longest piece of a folded literal without characters that JSON escapes or folding changes.
fn longest_plain(literal: &[u8]) -> &[u8] {
    let pieces = literal.split(|byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\' | b'/'));
    pieces.max_by_key(|piece| piece.len()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use besa_event::{Batch, Dictionary, FieldId, Head, LogSources, Origin, Span, ValueKind};
    use proptest::prelude::*;

    use super::*;
    use crate::sigma::leaf::{LeafKind, PartAt};
    use crate::text::fold;

    /// Texts in which keywords stand in every spelling that folds to them or unescapes to them.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "mimikatz",
            "MIMIKATZ",
            "mimi",
            "\u{212a}atz",
            "ask",
            "a\u{17f}k",
            "AſK",
            " ",
            "/",
            "é",
            "ß",
            "x",
            r"\u006d",
            r"\u212A",
            r"\u017F",
            r"\n",
            r"\/",
            r"\\",
        ]);
        prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    fn keyword() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::sample::select(vec!["mimikatz", "katz", "ask", "KATZ", "mikatz/x", "é katz"])
                .prop_map(str::to_owned),
            "[a-zäéſ/ ]{3,9}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// What the sweep rules out, no keyword finds in any value.
        #[test]
        fn never_misses(
            keywords in prop::collection::vec(keyword(), 1..4),
            values in prop::collection::vec((text(), any::<bool>(), any::<bool>()), 1..4),
        ) {
            let leaf = |word: &String| Leaf {
                field: None,
                kind: LeafKind::Part { text: Arc::from(fold(word.as_bytes())), at: PartAt::Anywhere, cased: false },
            };
            let leaves: Vec<Leaf> = keywords.iter().map(leaf).collect();
            let ids: Vec<LeafId> = (0..).take(leaves.len()).map(LeafId).collect();
            let Some(sweep) = Sweep::build(&ids, &leaves) else { return Ok(()) };

            let (dictionary, sources) = (Dictionary::builder().build(), LogSources::new());
            let mut batch = Batch::default();
            let block: String = values.iter().map(|(text, ..)| text.as_str()).collect();
            batch.reset(Origin::new("-"), 0, block.into_bytes());
            let mut at = 0;
            for (text, is_decoded, is_escaped) in &values {
                let kind = if *is_escaped { ValueKind::JsonText } else { ValueKind::Text };
                let own = Span::new(at..at + text.len());
                at += text.len();
                let span = if *is_decoded { batch.append(text.as_bytes()) } else { own };
                batch.push_field(FieldId(0), kind, span);
            }
            batch.end_event(&dictionary, &sources, Head::default());
            let event = batch.event(0);
            let is_found = event.fields().any(|field| {
                let text = field.value.text();
                leaves.iter().any(|leaf| leaf.kind.holds(&text, &fold(&text)))
            });
            prop_assert!(!is_found || sweep.may_hold(event), "{keywords:?} {values:?}");
        }
    }
}
