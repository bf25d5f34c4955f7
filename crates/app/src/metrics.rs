//! What the forge counts, for Prometheus (OpenMetrics text format 1.0).

use std::fmt::Write as _;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What became of a presented token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum TokenCheck {
    Accepted,
    Refused,
    Throttled,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    outcome: &'static str,
}

/// Through which door a request came and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// `api`, `git`, `operations` or `none`.
    pub door: &'static str,
    /// The class of the answer: `2xx`, `3xx`, `4xx` or `5xx`.
    pub outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// The counters of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    token_checks: Family<CheckLabels, Counter>,
    git_running: Gauge,
    git_waiting: Gauge,
    git_started: Gauge,
    git_refused: Gauge,
    git_answers_reused: Gauge,
    git_answer_bytes: Gauge,
    jobs_waiting: Gauge,
    jobs_done: Counter,
    jobs_failed: Counter,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("portcullis");
        let (requests, token_checks) = (Family::default(), Family::default());
        let (git_running, git_waiting, git_started, git_refused) =
            (Gauge::default(), Gauge::default(), Gauge::default(), Gauge::default());
        let (git_answers_reused, git_answer_bytes) = (Gauge::default(), Gauge::default());
        let (jobs_waiting, jobs_done, jobs_failed) =
            (Gauge::default(), Counter::default(), Counter::default());
        registry.register("requests", "Requests by door and class of answer", Family::clone(&requests));
        registry.register("token_checks", "Presented tokens by outcome", Family::clone(&token_checks));
        registry.register("git_processes_running", "Git exchanges that run now", git_running.clone());
        registry.register(
            "git_processes_waiting",
            "Git exchanges that wait for their turn",
            git_waiting.clone(),
        );
        registry.register(
            "git_processes_started",
            "Git exchanges started since the process began",
            git_started.clone(),
        );
        registry.register(
            "git_processes_refused",
            "Git exchanges refused because the queue was full",
            git_refused.clone(),
        );
        registry.register(
            "git_answers_reused",
            "Fetches answered by what was computed for another one",
            git_answers_reused.clone(),
        );
        registry.register(
            "git_answer_bytes",
            "Bytes that kept answers to fetches take now",
            git_answer_bytes.clone(),
        );
        registry.register("jobs_waiting", "Background jobs that wait or run", jobs_waiting.clone());
        registry.register("jobs_done", "Background jobs that ended well", jobs_done.clone());
        registry.register("jobs_failed", "Attempts at background jobs that failed", jobs_failed.clone());
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "The version of this process", build);
        Metrics {
            registry,
            requests,
            token_checks,
            git_running,
            git_waiting,
            git_started,
            git_refused,
            git_answers_reused,
            git_answer_bytes,
            jobs_waiting,
            jobs_done,
            jobs_failed,
        }
    }
}

impl Metrics {
    /// Counts a request.
    pub fn request(&self, labels: RequestLabels) {
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts a presented token.
    pub fn token_check(&self, outcome: TokenCheck) {
        let outcome = match outcome {
            TokenCheck::Accepted => "accepted",
            TokenCheck::Refused => "refused",
            TokenCheck::Throttled => "throttled",
        };
        self.token_checks.get_or_create(&CheckLabels { outcome }).inc();
    }

    /// Counts a finished attempt at a job.
    pub(crate) fn job(&self, well: bool) {
        if well {
            self.jobs_done.inc()
        } else {
            self.jobs_failed.inc()
        };
    }

    /// Returns everything as text, with the states that are asked for at this moment.
    pub(crate) fn render(&self, git: &portcullis_git::Stats, jobs_waiting: i64) -> String {
        let number = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.git_running.set(number(git.running));
        self.git_waiting.set(number(git.waiting));
        self.git_started.set(i64::try_from(git.started_total).unwrap_or(i64::MAX));
        self.git_refused.set(i64::try_from(git.refused_total).unwrap_or(i64::MAX));
        self.git_answers_reused.set(i64::try_from(git.answers_reused_total).unwrap_or(i64::MAX));
        self.git_answer_bytes.set(i64::try_from(git.answer_bytes).unwrap_or(i64::MAX));
        self.jobs_waiting.set(jobs_waiting);
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            text.clear();
            let _ = write!(text, "# EOF");
        }
        text
    }
}
