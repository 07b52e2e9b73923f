//! Members, charter, keys, signed releases and the policy that decides what may leave.
