//! How many exchanges run at once, and who waits for whom.
//!
//! There is one first-come-first-served queue for the engine and one for each repository. An exchange first takes a
//! place of its repository and only then stands in the engine's queue, so however busy one repository is, at most
//! its own few places stand before anybody else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{Error, Settings};

/// The queues of one engine.
pub(crate) struct Limits {
    engine: Arc<Semaphore>,
    engine_places: usize,
    places_per_repository: usize,
    queue_length: usize,
    queue_wait: Duration,
    repositories: Mutex<HashMap<i64, Arc<Gate>>>,
    waiting: AtomicUsize,
    refused: AtomicU64,
}

/// The queue of one repository. It exists while somebody uses it.
struct Gate {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    removed: CancellationToken,
}

/// A place among the running exchanges; given back when dropped.
pub(crate) struct Place {
    _engine: OwnedSemaphorePermit,
    _repository: OwnedSemaphorePermit,
    gate: GateUse,
}

impl Place {
    /// Returns a token that is cancelled when the repository is taken away.
    pub(crate) fn removed(&self) -> CancellationToken {
        self.gate.gate.removed.clone()
    }
}

impl Limits {
    pub(crate) fn new(settings: &Settings) -> Arc<Limits> {
        let engine_places = settings.max_processes.max(1);
        Arc::new(Limits {
            engine: Arc::new(Semaphore::new(engine_places)),
            engine_places,
            places_per_repository: settings.max_per_repository.clamp(1, engine_places),
            queue_length: settings.queue_length,
            queue_wait: settings.queue_wait,
            repositories: Mutex::new(HashMap::new()),
            waiting: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// Takes a place for an exchange with a repository, waiting in turn when there is none.
    pub(crate) async fn enter(self: &Arc<Limits>, id: i64) -> Result<Place, Error> {
        let gate = self.gate(id);
        let places = Arc::clone(&gate.gate.places);
        // Semaphores of tokio hand a freed permit to whoever waits longest, so trying first overtakes nobody.
        if let Ok(repository) = Arc::clone(&places).try_acquire_owned()
            && let Ok(engine) = Arc::clone(&self.engine).try_acquire_owned()
        {
            return Ok(Place { _engine: engine, _repository: repository, gate });
        }
        let in_line = (
            InLine::join(&self.waiting, self.queue_length).ok_or_else(|| self.refuse())?,
            InLine::join(&gate.gate.waiting, self.queue_length.div_ceil(2)).ok_or_else(|| self.refuse())?,
        );
        let turn = async {
            let repository = places.acquire_owned().await.ok()?;
            let engine = Arc::clone(&self.engine).acquire_owned().await.ok()?;
            Some((repository, engine))
        };
        let turn = tokio::time::timeout(self.queue_wait, turn).await;
        drop(in_line);
        match turn {
            Ok(Some((repository, engine))) => Ok(Place { _engine: engine, _repository: repository, gate }),
            _ => Err(self.refuse()),
        }
    }

    /// Says that a repository has been taken away: whatever runs on it is to be killed.
    pub(crate) fn remove(&self, id: i64) {
        if let Some(gate) = self.lock().remove(&id) {
            gate.removed.cancel();
        }
    }

    /// Waits until nothing runs. New exchanges wait behind it meanwhile.
    pub(crate) async fn idle(&self) {
        let all = u32::try_from(self.engine_places).unwrap_or(u32::MAX);
        // An error means that the semaphore is closed, which never happens.
        drop(self.engine.acquire_many(all).await);
    }

    pub(crate) fn running(&self) -> usize {
        self.engine_places - self.engine.available_permits()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn refuse(&self) -> Error {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Error::Overloaded { retry_after: Duration::from_secs(self.queue_wait.as_secs().clamp(1, 30)) }
    }

    fn gate(self: &Arc<Limits>, id: i64) -> GateUse {
        let mut repositories = self.lock();
        let gate = repositories.entry(id).or_insert_with(|| {
            Arc::new(Gate {
                places: Arc::new(Semaphore::new(self.places_per_repository)),
                waiting: AtomicUsize::new(0),
                removed: CancellationToken::new(),
            })
        });
        GateUse { gate: Arc::clone(gate), limits: Arc::clone(self), id }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Arc<Gate>>> {
        // The map is never left half changed, so a panic elsewhere does not make it unusable.
        self.repositories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the queue of a repository alive; the last one to go removes it.
struct GateUse {
    gate: Arc<Gate>,
    limits: Arc<Limits>,
    id: i64,
}

impl Drop for GateUse {
    fn drop(&mut self) {
        let mut repositories = self.limits.lock();
        // Two owners are the map and this value. New ones are only made under the lock that is held here.
        if Arc::strong_count(&self.gate) == 2
            && repositories.get(&self.id).is_some_and(|gate| Arc::ptr_eq(gate, &self.gate))
        {
            repositories.remove(&self.id);
        }
    }
}

/// One more in a bounded queue, until dropped.
struct InLine<'a>(&'a AtomicUsize);

impl InLine<'_> {
    fn join(waiting: &AtomicUsize, at_most: usize) -> Option<InLine<'_>> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let joined = InLine(waiting);
        (before < at_most).then_some(joined)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(engine: usize, repository: usize, queue: usize, wait: Duration) -> Arc<Limits> {
        let mut settings = Settings::new("/nowhere", "/nowhere");
        settings.max_processes = engine;
        settings.max_per_repository = repository;
        settings.queue_length = queue;
        settings.queue_wait = wait;
        Limits::new(&settings)
    }

    #[tokio::test(start_paused = true)]
    async fn one_busy_repository_leaves_room_for_others() {
        let limits = limits(4, 2, 8, Duration::from_secs(5));
        let _one = limits.enter(1).await.unwrap();
        let _two = limits.enter(1).await.unwrap();
        assert!(matches!(limits.enter(1).await, Err(Error::Overloaded { .. })));
        assert!(limits.enter(2).await.is_ok());
        assert_eq!(limits.running(), 2);
        assert_eq!(limits.refused(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_at_once() {
        let limits = limits(1, 1, 1, Duration::from_secs(60));
        let _running = limits.enter(1).await.unwrap();
        let waiting = tokio::spawn({
            let limits = Arc::clone(&limits);
            async move { limits.enter(2).await.map(|_| ()) }
        });
        tokio::task::yield_now().await;
        assert_eq!(limits.waiting(), 1);
        let before = tokio::time::Instant::now();
        assert!(matches!(limits.enter(3).await, Err(Error::Overloaded { .. })));
        assert_eq!(before.elapsed(), Duration::ZERO);
        waiting.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_first_come_first_served() {
        let limits = limits(1, 1, 10, Duration::from_secs(60));
        let running = limits.enter(0).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for id in 1..=5 {
            let (limits, order) = (Arc::clone(&limits), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let _place = limits.enter(id).await.unwrap();
                order.lock().unwrap().push(id);
            }));
            tokio::task::yield_now().await;
        }
        drop(running);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [1, 2, 3, 4, 5]);
        assert!(limits.lock().is_empty(), "queues of idle repositories are kept");
    }

    #[tokio::test(start_paused = true)]
    async fn removing_a_repository_tells_what_runs_on_it() {
        let limits = limits(4, 2, 8, Duration::from_secs(5));
        let place = limits.enter(1).await.unwrap();
        limits.remove(1);
        assert!(place.removed().is_cancelled());
        assert!(!limits.enter(1).await.unwrap().removed().is_cancelled());
    }
}
