//! How fast is it, and what would be the best possible? Nothing here is published.
//!
//! - [`floor`]: an echo and fan-out server of raw epoll, what the kernel leaves possible.
//! - [`load`]: a load generator, one thread, so light that the server is the one that is measured.
//! - [`suite`]: the cells in which servers are compared, round by round, and the table that comes out.
//! - [`heap`]: what a server holds, counted from inside.
//! - [`process`]: what a server costs, read from outside: CPU time, memory, and where it may run.

pub mod floor;
pub mod heap;
pub mod load;
pub mod process;
pub mod suite;
