//! What stands in for `observed.rs` in a build without debug assertions: it notes nothing.

use axum::http::request::Parts;

use super::parameters::Kind;

/// Notes nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observer;

impl Observer {
    pub(crate) fn of(_: &Parts) -> Observer {
        Observer
    }

    pub(crate) fn inside(&self, _: &str) -> Observer {
        Observer
    }

    pub(crate) fn read(&self, _: &str, _: impl FnOnce() -> Kind) {}

    pub(crate) fn required(&self, _: &str) {}
}

impl Kind {
    pub(crate) fn accepted(_: impl Fn(&str) -> bool) -> Kind {
        Kind::Text
    }
}
