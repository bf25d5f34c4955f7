//! Every list, with every filter and every order, on both engines. What a filter leaves over must be what is left when
//! the whole list is filtered by hand; so the engines agree with each other, and with what the filter says.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test, with functions that serve the tests")]

mod audit_events;
mod containers;
mod conversations;
#[path = "../engines/mod.rs"]
mod engines;
mod events;
mod issues;
mod members;
mod merge_requests;
mod namespaces;
mod notes;
mod planning;
mod projects;
mod protected_branches;
mod tokens;
mod users;
mod world;

use std::cmp::Ordering;
use std::fmt::Debug;

use portcullis_store::select::{Listing, Window};

use audit_events::audit_events_are_listed;
use containers::{
    a_link_that_no_manifest_needs_goes_and_no_other, cleanup_policies_are_found_when_they_are_due,
    container_repositories_are_listed, container_tags_are_listed,
    what_blobs_take_is_counted_once_in_each_place,
};
use conversations::{
    discussions_are_listed, issue_links_are_listed_as_far_as_the_rules_show_them,
    reactions_and_times_are_counted, todos_are_listed_as_far_as_the_rules_show_them,
};
use engines::on_both_engines;
use events::events_are_listed;
use issues::issues_are_listed;
use members::members_are_listed;
use merge_requests::{
    merge_requests_are_listed, merge_requests_of_several_projects_are_listed_as_far_as_they_may_be_read,
    two_open_merge_requests_never_have_the_same_branches,
    what_belongs_to_a_merge_request_is_found_and_goes_with_it,
};
use namespaces::namespaces_are_listed;
use notes::notes_are_listed;
use planning::{
    commit_statuses_are_listed, labels_are_listed, labels_that_were_texts_become_labels,
    milestones_are_listed, releases_are_listed,
};
use projects::projects_are_listed;
use protected_branches::protected_branches_are_listed;
use tokens::tokens_are_listed;
use users::users_are_listed;

on_both_engines! {
    users_are_listed,
    namespaces_are_listed,
    projects_are_listed,
    members_are_listed,
    tokens_are_listed,
    issues_are_listed,
    merge_requests_are_listed,
    merge_requests_of_several_projects_are_listed_as_far_as_they_may_be_read,
    two_open_merge_requests_never_have_the_same_branches,
    what_belongs_to_a_merge_request_is_found_and_goes_with_it,
    notes_are_listed,
    discussions_are_listed,
    reactions_and_times_are_counted,
    todos_are_listed_as_far_as_the_rules_show_them,
    issue_links_are_listed_as_far_as_the_rules_show_them,
    labels_are_listed,
    labels_that_were_texts_become_labels,
    milestones_are_listed,
    commit_statuses_are_listed,
    releases_are_listed,
    events_are_listed,
    audit_events_are_listed,
    protected_branches_are_listed,
    container_repositories_are_listed,
    container_tags_are_listed,
    cleanup_policies_are_found_when_they_are_due,
    what_blobs_take_is_counted_once_in_each_place,
    a_link_that_no_manifest_needs_goes_and_no_other,
}

/// Now, in Unix microseconds; small, so that the times of the tests are readable.
const NOW: i64 = 1_000;

const WHOLE: Window = Window { limit: 100, offset: 0 };

const PART: Window = Window { limit: 2, offset: 1 };

/// Which rows of the whole list a filter leaves over.
type Keep<T> = Box<dyn Fn(&T) -> bool>;

fn keys<T>(items: &[T], key: impl Fn(&T) -> i64) -> Vec<i64> {
    items.iter().map(key).collect()
}

/// Compares a narrowed list with what is left of the whole one by hand. A case that keeps everything or nothing would
/// prove nothing.
#[track_caller]
fn kept<T: Debug>(
    case: impl Debug,
    found: &Listing<T>,
    all: &[T],
    key: impl Fn(&T) -> i64,
    keep: impl Fn(&T) -> bool,
) {
    let expected: Vec<_> = all.iter().filter(|item| keep(item)).map(&key).collect();
    assert!(
        !expected.is_empty() && expected.len() < all.len(),
        "{case:?} keeps {} of {}",
        expected.len(),
        all.len()
    );
    assert_eq!(keys(&found.items, &key), expected, "{case:?}");
    assert_eq!(found.total, Some(expected.len() as i64), "{case:?}");
}

/// Compares an order with the one by hand.
#[track_caller]
fn sorted<T>(
    case: impl Debug,
    found: &Listing<T>,
    all: &[T],
    key: impl Fn(&T) -> i64,
    by: impl Fn(&T, &T) -> Ordering,
) {
    let mut expected: Vec<_> = all.iter().collect();
    expected.sort_by(|a, b| by(a, b));
    assert_eq!(keys(&found.items, &key), expected.into_iter().map(&key).collect::<Vec<_>>(), "{case:?}");
}

/// Compares a window with the same part of the whole list. The total stays that of the whole.
#[track_caller]
fn part_of<T>(found: &Listing<T>, all: &[T], key: impl Fn(&T) -> i64) {
    assert!(all.len() > 3, "a list too short to have parts");
    assert_eq!(keys(&found.items, &key), keys(&all[1..3], &key));
    assert_eq!(found.total, Some(all.len() as i64));
}
