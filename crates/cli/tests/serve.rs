//! The binary as a user meets it: what it prints, how it ends, what its door answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const SECRET: &str = "a secret of the tests, long enough";

fn wingbeat(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wingbeat"));
    command.args(args).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server at work, ended with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}"));
        Self { address: address.to_owned(), child }
    }

    fn local() -> Self {
        Self::start(wingbeat(&["serve", "--listen", "127.0.0.1:0"]).env("WINGBEAT_SECRET", SECRET))
    }

    /// Sends a request as it stands and reads the answer to its end.
    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address))
    }

    fn post(&self, path: &str, media_type: &str, body: &str) -> String {
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        ))
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// What a failed start looks like: one line, and a status that says so.
#[track_caller]
fn assert_refused(output: &Output, expected: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{stderr}");
    assert!(output.stdout.is_empty());
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(expected), "{stderr}");
}

#[test]
fn the_page_and_its_policy() {
    let server = Server::local();
    let answer = server.get("/");
    assert_eq!(status(&answer), "200");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';"),
        "{head}"
    );
    assert!(!head.contains("unsafe-"), "{head}");
    assert!(body.contains("<title>Wingbeat</title>"));
    for path in
        ["/page/chat.css", "/page/chat.js", "/page/session.js", "/page/wing.svg", "/wingbeat.js", "/wingbeat/socket.js"]
    {
        assert_eq!(status(&server.get(path)), "200", "{path}");
    }
    assert_eq!(status(&server.get("/nothing")), "404");
}

#[test]
fn the_door() {
    let server = Server::local();
    let answer = server.post("/login", "application/json", r#"{"name":" Ada  Lovelace "}"#);
    assert_eq!(status(&answer), "200", "{answer}");
    let body: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["character"]["name"], "Ada Lovelace");
    let token = body["token"].as_str().unwrap();

    let holds = server.post("/session", "application/json", &format!(r#"{{"token":"{token}"}}"#));
    assert_eq!(status(&holds), "200");
    assert!(holds.contains("Ada Lovelace"), "{holds}");
    let forged = server.post("/session", "application/json", r#"{"token":"SFMyNTY.AAAA.AAAA"}"#);
    assert_eq!(status(&forged), "401");
    assert!(forged.ends_with(r#"{"reason":"the token is invalid"}"#), "{forged}");
}

#[test]
fn the_door_to_those_it_does_not_understand() {
    let server = Server::local();
    let long = format!(r#"{{"name":"{}"}}"#, "n".repeat(25));
    let longer = format!(r#"{{"name":"{}"}}"#, "n".repeat(3000));
    for (media_type, body, expected) in [
        ("application/json", long.as_str(), "422"),
        ("application/json", r#"{"name":""}"#, "422"),
        ("application/json", r#"{"name":5}"#, "422"),
        ("application/json", "{", "400"),
        ("application/json", &longer, "413"),
        ("text/plain", r#"{"name":"Ada"}"#, "415"),
    ] {
        let answer = server.post("/login", media_type, body);
        assert_eq!(status(&answer), expected, "{body}: {answer}");
        assert!(answer.contains(r#"{"reason":""#), "{answer}");
    }
    assert_eq!(status(&server.get("/login")), "405");
}

#[test]
fn serve_is_what_it_does_if_not_told_otherwise() {
    let server = Server::start(wingbeat(&[]).env("PORT", "0").env("WINGBEAT_SECRET", SECRET));
    assert!(server.address.starts_with("127.0.0.1:"), "{}", server.address);
    assert_eq!(status(&server.get("/")), "200");
}

#[test]
fn a_random_secret_is_made_and_said_so() {
    let mut server = Server::start(wingbeat(&["--listen", "127.0.0.1:0"]).env("WINGBEAT_THREADS", "1"));
    assert_eq!(status(&server.get("/")), "200");
    server.signal("-INT");
    assert!(server.child.wait().unwrap().success());
    let mut stderr = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(stderr.starts_with("WINGBEAT_SECRET is not set: a random secret is made"), "{stderr}");
}

#[test]
fn sigint_and_sigterm_end_it_in_time() {
    for signal in ["-INT", "-TERM"] {
        let mut server = Server::local();
        // One that is connected and silent, in the middle of a head, must not keep it.
        let mut silent = TcpStream::connect(&server.address).unwrap();
        silent.write_all(b"GET / HT").unwrap();
        let began = Instant::now();
        server.signal(signal);
        assert!(server.child.wait().unwrap().success(), "{signal}");
        assert!(began.elapsed() < Duration::from_secs(5), "{signal} took {:?}", began.elapsed());
    }
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = wingbeat(&["serve", "--listen", &address]).env("WINGBEAT_SECRET", SECRET).output().unwrap();
    assert_refused(&output, &format!("cannot listen on {address}"));
}

#[test]
fn what_is_set_wrong() {
    for (args, variable, expected) in [
        (&["--listen", "nowhere"][..], ("WINGBEAT_SECRET", SECRET), "--listen is \"nowhere\""),
        (&["--listen", "127.0.0.1"], ("WINGBEAT_SECRET", SECRET), "--listen is \"127.0.0.1\""),
        (&[], ("WINGBEAT_SECRET", "short"), "WINGBEAT_SECRET: secret key base is 5 bytes long, at least 20"),
        (&[], ("WINGBEAT_SECRET", ""), "WINGBEAT_SECRET: secret key base is 0 bytes long, at least 20"),
        (&[], ("PORT", "many"), "PORT is \"many\""),
        (&[], ("WINGBEAT_THREADS", "0"), "WINGBEAT_THREADS is \"0\""),
    ] {
        let output = wingbeat(args).env(variable.0, variable.1).output().unwrap();
        assert_refused(&output, expected);
    }
}

#[test]
fn a_server_that_listens_already_keeps_its_port() {
    let first = Server::local();
    let output = wingbeat(&["--listen", &first.address]).env("WINGBEAT_SECRET", SECRET).output().unwrap();
    assert_refused(&output, &format!("cannot listen on {}", first.address));
}
