//! Our client role against a server that echoes: messages of many sizes, each wanted back.

use std::borrow::Cow;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use wingbeat_conformance::client::{Client, Event, Setup};
use wingbeat_websocket::deflate::DeflateConfig;
use wingbeat_websocket::{Limits, Received};

/// Sends messages of many sizes and wants each back; prints what was agreed on and how many came.
#[derive(Parser)]
struct Arguments {
    /// The server: ws://HOST:PORT/PATH.
    url: String,
    /// Offers no compression.
    #[arg(long)]
    plain: bool,
    /// Lets both sides take their contexts over.
    #[arg(long)]
    takeover: bool,
    /// Asks the server for a window of so many bits.
    #[arg(long, default_value_t = 15)]
    server_max_window_bits: u8,
    /// Promises a window of so many bits.
    #[arg(long, default_value_t = 15)]
    client_max_window_bits: u8,
}

/// How long an echo may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Around the borders of frames, thresholds and windows.
const SIZES: [usize; 16] =
    [0, 1, 20, 125, 126, 127, 511, 512, 4096, 16_383, 16_384, 32_768, 65_535, 65_536, 200_000, 1 << 20];

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok((agreed, count)) => {
            println!("agreed: {agreed}\n{count} messages came back");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<(String, usize)> {
    let address = arguments.url.strip_prefix("ws://").unwrap_or_default();
    let (host, path) =
        address.split_once('/').ok_or_else(|| io::Error::other("the url must be ws://HOST:PORT/PATH"))?;
    let deflate = DeflateConfig::DEFAULT
        .with_server_takeover(arguments.takeover)
        .with_client_takeover(arguments.takeover)
        .with_server_max_window_bits(arguments.server_max_window_bits)
        .with_client_max_window_bits(arguments.client_max_window_bits);
    // Noise grows when it is compressed: a message of a MiB is a frame of a little more.
    let limits = Limits::DEFAULT.with_max_frame_bytes(2 << 20);
    let setup = Setup { limits, deflate: (!arguments.plain).then_some(deflate) };
    let mut client = Client::connect(host, &format!("/{path}"), setup, deadline())?;
    let agreed = client.deflate().map_or("nothing".to_owned(), |params| params.to_string());
    let messages = messages();
    for message in &messages {
        echo(&mut client, message)?;
    }
    let ping = client.send_back(&Received::Ping(Cow::Borrowed(b"there?")));
    ping.and_then(|()| expect(&mut client, |event| matches!(event, Event::Received(Received::Pong(_)))))?;
    client.close("enough")?;
    expect(&mut client, |event| matches!(event, Event::Received(Received::Close(Some(_)))))?;
    client.wait_for_end(deadline())?;
    Ok((agreed, messages.len()))
}

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

fn echo(client: &mut Client, message: &Received<'static>) -> io::Result<()> {
    client.send_back(message)?;
    expect(client, |event| matches!(event, Event::Received(received) if received == message))
}

fn expect(client: &mut Client, is_right: impl FnOnce(&Event) -> bool) -> io::Result<()> {
    let event = client.receive(deadline())?;
    if is_right(&event) {
        return Ok(());
    }
    let told: String = format!("{event:?}").chars().take(100).collect();
    Err(io::Error::other(format!("{told} is not what was waited for")))
}

/// Text as it is, bytes that compress well, and bytes that do not.
fn messages() -> Vec<Received<'static>> {
    let text = |size: usize| {
        let words = ["größe ", "水 ", "κόσμε ", "🐦 ", "hello ", "wing ", "beat ", "and ", "the ", "a ", "river "];
        let whole: String = noise(size).into_iter().map(|byte| words[usize::from(byte) % words.len()]).collect();
        let border = (0..=size).rev().find(|&at| whole.is_char_boundary(at)).unwrap_or_default();
        Received::Text(Cow::Owned(whole[..border].to_owned()))
    };
    let bytes = |size| Received::Binary(Cow::Owned(vec![7; size]));
    let noisy = |size| Received::Binary(Cow::Owned(noise(size)));
    SIZES.into_iter().flat_map(|size| [text(size), bytes(size), noisy(size)]).collect()
}

fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..size).map(|_| next()).collect()
}
