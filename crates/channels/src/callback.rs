//! Running the application's futures: where they stand, and so that a panic stays theirs.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// The future's value, or `None` if it panicked. The panic's text has gone through the panic hook by then.
pub(crate) async fn catch<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// Polls a future once where it stands. Nobody is woken by it: the task that takes it over polls it again at once.
pub(crate) fn poll_once<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    // The worker's task has long used up its budget for the many callbacks of a turn; without this, tokio would have
    // each later one wait for nothing.
    pin!(tokio::task::unconstrained(future.as_mut())).poll(&mut Context::from_waker(Waker::noop()))
}
