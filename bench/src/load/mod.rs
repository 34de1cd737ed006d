//! A load generator of one thread that does as little as it can: frames are encoded once, what comes back is counted,
//! not copied. That a server answers rightly is checked before and after what is measured.

pub mod channels;
pub mod echo;
pub mod fanout;
pub mod flood;
pub mod frame;
pub mod idle;
pub mod payload;
pub mod report;
pub mod slow;
pub mod storm;
pub mod target;
pub mod windows;

mod bursts;
mod flow;
mod lanes;
mod phoenix;
