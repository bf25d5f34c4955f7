//! What handlers read of their parameters, noted while tests run, so that the description of the API is made from it.
//!
//! In a build with debug assertions every read is noted under its route, and one that the description does not know ends
//! the request with a panic that names it: the tests of the whole program prove the description. Any other build has
//! `unobserved.rs` instead, which does nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::extract::MatchedPath;
use axum::http::request::Parts;

use super::parameters::{Kind, Others};

/// One parameter, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// As what.
    pub kind: Kind,
    /// Whether a request without it is refused.
    pub required: bool,
}

/// Notes what is read for one route; without a route it notes nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observer {
    route: Option<Arc<str>>,
    /// The parameter that is read now, when it is an object, and a dot.
    within: String,
}

/// Everything that was read since it was last taken, by route and name.
static READS: Mutex<BTreeMap<(String, String), Read>> = Mutex::new(BTreeMap::new());

fn reads() -> MutexGuard<'static, BTreeMap<(String, String), Read>> {
    READS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The words that are tried where a function says which ones it takes.
static VOCABULARY: OnceLock<Vec<String>> = OnceLock::new();

/// Begins to observe: no read is refused in this process any more, and where a function says which words it takes, these
/// are tried.
pub fn begin(vocabulary: Vec<String>) {
    VOCABULARY.get_or_init(|| vocabulary);
    take();
}

/// Takes what was read until now, by route and name.
pub fn take() -> BTreeMap<(String, String), Read> {
    std::mem::take(&mut *reads())
}

impl Kind {
    /// Returns the kind of a parameter of which a function says what it takes.
    pub(crate) fn accepted(takes: impl Fn(&str) -> bool) -> Kind {
        let number = |word: &&String| word.parse::<i64>().is_ok();
        let mut words: Vec<_> = VOCABULARY.get().into_iter().flatten().filter(|word| takes(word)).collect();
        // What is taken in any case is written in small letters.
        let all = words.clone();
        words.retain(|word| {
            let small = word.to_ascii_lowercase();
            **word == small || !all.contains(&&small)
        });
        // Numbers that nobody would think of.
        if ["7919", "1000003"].into_iter().all(&takes) {
            words.retain(|word| !number(word));
            if words.is_empty() {
                return Kind::Integer;
            }
            return Kind::Words(words.into_iter().cloned().collect(), Others::Integer);
        }
        if words.is_empty() {
            return Kind::Text;
        }
        Kind::Words(words.into_iter().cloned().collect(), Others::Refused)
    }
}

impl Observer {
    /// Returns the observer of a request.
    pub(crate) fn of(parts: &Parts) -> Observer {
        let method = match parts.method.as_str() {
            "HEAD" => "GET",
            method => method,
        };
        let route = parts.extensions.get::<MatchedPath>();
        Observer {
            route: route.map(|path| format!("{method} {}", path.as_str()).into()),
            within: String::new(),
        }
    }

    /// Returns the observer of what is in a parameter.
    pub(crate) fn inside(&self, name: &str) -> Observer {
        Observer { route: self.route.clone(), within: format!("{}{name}.", self.within) }
    }

    /// Notes a read. What is read in several steps is what the first one says it is.
    pub(crate) fn read(&self, name: &str, kind: impl FnOnce() -> Kind) {
        let Some(route) = &self.route else { return };
        let name = format!("{}{name}", self.within);
        let known = super::parameters::of_route(route)
            .is_none_or(|known| known.iter().any(|parameter| parameter.name == name));
        assert!(
            known || VOCABULARY.get().is_some(),
            "{route} reads the parameter {name}, which its description does not have; crates/web/src/openapi/parameters.txt \
             is made again with PORTCULLIS_REFRESH=1 cargo test -p portcullis --test openapi_parameters"
        );
        let mut reads = reads();
        let read =
            reads.entry((route.to_string(), name)).or_insert(Read { kind: Kind::Any, required: false });
        if read.kind == Kind::Any {
            read.kind = kind();
        }
    }

    /// Notes that a request without it is refused.
    pub(crate) fn required(&self, name: &str) {
        self.read(name, || Kind::Any);
        let Some(route) = &self.route else { return };
        let name = format!("{}{name}", self.within);
        if let Some(read) = reads().get_mut(&(route.to_string(), name)) {
            read.required = true;
        }
    }
}
