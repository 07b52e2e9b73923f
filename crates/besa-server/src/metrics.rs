//! Counters in Prometheus' text format.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the histogram's buckets, in microseconds.
const BUCKETS_MICROS: [u64; 10] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000, 10_000_000];

/// What is counted.
#[derive(Default)]
pub(crate) struct Metrics {
    /// Responses by hundred: index 0 is 1xx.
    responses: [AtomicU64; 5],
    buckets: [AtomicU64; BUCKETS_MICROS.len()],
    micros: AtomicU64,
    count: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    pub(crate) logins_cached: AtomicU64,
    pub(crate) logins_checked: AtomicU64,
    pub(crate) logins_failed: AtomicU64,
    pub(crate) refused_by_limit: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) audit_lost: AtomicU64,
    pub(crate) audit_left_out: AtomicU64,
}

impl Metrics {
    pub(crate) fn request(&self, status: u16, took: Duration, bytes_in: u64, bytes_out: u64) {
        if let Some(counter) = self.responses.get(usize::from(status / 100).saturating_sub(1)) {
            counter.fetch_add(1, Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_MICROS.iter().position(|bound| micros <= *bound);
        if let Some(counter) = bucket.and_then(|bucket| self.buckets.get(bucket)) {
            counter.fetch_add(1, Relaxed);
        }
        self.micros.fetch_add(micros, Relaxed);
        self.count.fetch_add(1, Relaxed);
        self.bytes_in.fetch_add(bytes_in, Relaxed);
        self.bytes_out.fetch_add(bytes_out, Relaxed);
    }

    /// The text of `/metrics`.
    pub(crate) fn text(&self, last_commit: u64) -> String {
        let mut text = String::from("# TYPE besa_http_responses_total counter\n");
        for (index, counter) in self.responses.iter().enumerate() {
            let class = index + 1;
            writeln!(text, "besa_http_responses_total{{class=\"{class}xx\"}} {}", counter.load(Relaxed)).ok();
        }
        text.push_str("# TYPE besa_http_request_seconds histogram\n");
        let mut total = 0;
        for (bound, counter) in BUCKETS_MICROS.iter().zip(&self.buckets) {
            total += counter.load(Relaxed);
            let seconds = *bound as f64 / 1e6;
            writeln!(text, "besa_http_request_seconds_bucket{{le=\"{seconds}\"}} {total}").ok();
        }
        let count = self.count.load(Relaxed);
        writeln!(text, "besa_http_request_seconds_bucket{{le=\"+Inf\"}} {count}").ok();
        writeln!(text, "besa_http_request_seconds_sum {}", self.micros.load(Relaxed) as f64 / 1e6).ok();
        writeln!(text, "besa_http_request_seconds_count {count}").ok();
        for (name, kind, counter) in [
            ("http_request_bytes_total", "counter", &self.bytes_in),
            ("http_response_bytes_total", "counter", &self.bytes_out),
            ("logins_cached_total", "counter", &self.logins_cached),
            ("logins_checked_total", "counter", &self.logins_checked),
            ("logins_failed_total", "counter", &self.logins_failed),
            ("refused_by_limit_total", "counter", &self.refused_by_limit),
            ("audit_entries_lost_total", "counter", &self.audit_lost),
            ("audit_entries_left_out_total", "counter", &self.audit_left_out),
            ("connections", "gauge", &self.connections),
        ] {
            writeln!(text, "# TYPE besa_{name} {kind}\nbesa_{name} {}", counter.load(Relaxed)).ok();
        }
        writeln!(text, "# TYPE besa_last_commit gauge\nbesa_last_commit {last_commit}").ok();
        text
    }
}
