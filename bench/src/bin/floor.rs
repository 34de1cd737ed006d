//! The floor: what a server on raw epoll costs that checks nothing. Any path echoes; `/pub` goes to all of `/sub`.

use std::io;
use std::net::SocketAddr;

use clap::Parser;
use wingbeat_bench::floor::Floor;

/// Echo and fan-out on raw epoll.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Threads, each with a listener of its own.
    #[arg(long, env = "WINGBEAT_THREADS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let floor = Floor::bind(arguments.listen, usize::from(arguments.threads))?;
    println!("listening on {}", floor.local_addr());
    floor.run()
}
