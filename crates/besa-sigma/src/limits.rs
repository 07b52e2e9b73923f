//! What a stranger's rule may make us spend. Past a cap the rule is refused
//! with the cap in its reason; it is never cut short.

/// Bytes of one input.
pub const INPUT_BYTES_MAX: usize = 32 << 20;
/// Nesting of YAML lists and maps, aliases counted where they are used.
pub const YAML_DEPTH_MAX: usize = 64;
/// What aliases, merge keys and `action: global` may copy in one input: bytes
/// of text plus one for each node.
pub const COPIED_COST_MAX: usize = 4 << 20;
/// Nesting of parentheses and `not` in a condition.
pub const CONDITION_DEPTH_MAX: usize = 64;
/// Searches looked at to write out every `x of y` of one rule.
pub const CONDITION_EXPANSION_MAX: usize = 1 << 20;
/// Bytes of one regular expression.
pub const REGEX_BYTES_MAX: usize = 64 << 10;
/// Nesting of one regular expression.
pub const REGEX_DEPTH_MAX: u32 = 128;
/// Estimated size of one regular expression with its repetitions written out:
/// one for each literal byte and character range.
pub const REGEX_SIZE_MAX: usize = 4 << 20;
/// Values one value may become when its placeholders are replaced.
pub const EXPANSIONS_MAX: usize = 1 << 16;
/// Dashes of one value under `|windash` with an encoding; without an encoding
/// there is no cap, since the dashes stay one pattern.
pub const ENCODED_DASHES_MAX: usize = 3;
