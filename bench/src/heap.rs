//! An allocator that counts: all that is live, and what the threads that asked for it hold, by size.
//!
//! A program has it by `#[global_allocator] static ALLOCATOR: Counting = Counting;`.

#![expect(unsafe_code, reason = "an allocator that counts can be told in no other way; it hands on what it is given")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

/// Larger pieces are not told by size.
const MAX_SIZE: usize = 64 << 10;

static LIVE: AtomicIsize = AtomicIsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);
static BY_SIZE: [AtomicIsize; MAX_SIZE + 1] = [const { AtomicIsize::new(0) }; MAX_SIZE + 1];

thread_local! {
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator, counted.
#[derive(Debug)]
pub struct Counting;

/// Bytes that are allocated.
pub fn live() -> isize {
    LIVE.load(Ordering::Relaxed)
}

/// The largest piece that was asked for since this was last called.
pub fn take_largest() -> usize {
    LARGEST.swap(0, Ordering::Relaxed)
}

/// From now on what this thread allocates and frees is told by size. What one thread takes and another frees is told
/// wrongly.
pub fn watch_this_thread() {
    IS_WATCHED.set(true);
}

/// How many pieces of each size the watched threads hold; the index is the size.
pub fn by_size() -> Vec<isize> {
    BY_SIZE.iter().map(|count| count.load(Ordering::Relaxed)).collect()
}

fn count(size: usize, by: isize) {
    LIVE.fetch_add(by * size as isize, Ordering::Relaxed);
    if size <= MAX_SIZE && IS_WATCHED.try_with(Cell::get).unwrap_or(false) {
        BY_SIZE[size].fetch_add(by, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator with the arguments it came with; counting touches no memory of it
// and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: `pointer` comes from `alloc` above, hence from the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}
