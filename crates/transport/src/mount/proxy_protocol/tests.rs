use proptest::prelude::*;

use super::*;

fn header(client: Option<&str>, bytes: usize) -> Result<Option<ProxyHeader>, ProxyError> {
    Ok(Some(ProxyHeader { client: client.map(|client| client.parse().expect(client)), bytes }))
}

/// A header of version 2.
fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = (block.len() as u16).to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, block].concat()
}

const V4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x30, 0x39, 0x01, 0xBB];

fn v6() -> Vec<u8> {
    let source: Ipv6Addr = "2001:db8::7".parse().expect("an address");
    [&source.octets()[..], &[0; 16], &[0x30, 0x39, 0x01, 0xBB]].concat()
}

#[test]
fn lines() {
    for (line, client) in [
        ("PROXY TCP4 192.0.2.7 198.51.100.1 12345 443\r\n", Some("192.0.2.7:12345")),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n", Some("255.255.255.255:65535")),
        ("PROXY TCP6 2001:db8::7 ::1 12345 443\r\n", Some("[2001:db8::7]:12345")),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            Some("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
        ),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff::1 what ever 1 2 3\r\n", None),
    ] {
        assert_eq!(parse(line.as_bytes()), header(client, line.len()), "{line}");
        let followed = format!("{line}GET / HTTP/1.1\r\n");
        assert_eq!(parse(followed.as_bytes()), header(client, line.len()), "what follows is not its own");
        for length in 0..line.len() {
            assert_eq!(parse(&line.as_bytes()[..length]), Ok(None), "{length} bytes of {line}");
        }
    }
}

#[test]
fn lines_that_are_none() {
    for line in [
        "PROXY TCP4 192.0.2.7 198.51.100.1 12345\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 12345 443 \r\n",
        "PROXY TCP4  192.0.2.7 198.51.100.1 12345 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 012345 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 +1 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
        "PROXY TCP4 192.0.2 198.51.100.1 1 443\r\n",
        "PROXY TCP4 ::1 ::1 1 443\r\n",
        "PROXY TCP6 192.0.2.7 198.51.100.1 1 443\r\n",
        "PROXY UDP4 192.0.2.7 198.51.100.1 1 443\r\n",
        "PROXY \r\n",
        "PROXY TCP4\t192.0.2.7 198.51.100.1 1 443\r\n",
        "PROXY unknown\r\n",
    ] {
        assert_eq!(parse(line.as_bytes()), Err(ProxyError::BadLine), "{line}");
    }
    for start in ["GET / HTTP/1.1\r\n", "proxy TCP4", "PROXYTCP4", "\r\n\r\nGET", "\x16\x03\x01", "PRI * HTTP/2.0"] {
        assert_eq!(parse(start.as_bytes()), Err(ProxyError::Missing), "{start}");
    }
}

#[test]
fn a_line_ends_within_its_limit() {
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_LINE_BYTES - 16));
    assert_eq!((longest.len(), parse(longest.as_bytes())), (MAX_LINE_BYTES, header(None, MAX_LINE_BYTES)));
    let longer = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_LINE_BYTES - 15));
    assert_eq!(parse(longer.as_bytes()), Err(ProxyError::LongLine));
    assert_eq!(parse(&longer.as_bytes()[..MAX_LINE_BYTES]), Err(ProxyError::LongLine));
}

#[test]
fn binary_headers() {
    let with_entries = [&V4[..], &[0x02, 0, 3, b'a', b'.', b'b']].concat();
    for (header_bytes, client) in [
        (binary(0x21, 0x11, &V4), Some("192.0.2.7:12345")),
        (binary(0x21, 0x12, &V4), Some("192.0.2.7:12345")),
        (binary(0x21, 0x11, &with_entries), Some("192.0.2.7:12345")),
        (binary(0x21, 0x21, &v6()), Some("[2001:db8::7]:12345")),
        (binary(0x20, 0x11, &V4), None),
        (binary(0x20, 0x00, &[]), None),
        (binary(0x20, 0x11, &[1]), None),
        (binary(0x21, 0x00, &[1, 2, 3]), None),
        (binary(0x21, 0x31, &[0; 216]), None),
        (binary(0x21, 0xF1, &[0; 8]), None),
    ] {
        assert_eq!(parse(&header_bytes), header(client, header_bytes.len()), "{header_bytes:?}");
        let followed = [&header_bytes[..], b"GET"].concat();
        assert_eq!(parse(&followed), header(client, header_bytes.len()));
        for length in 0..header_bytes.len() {
            assert_eq!(parse(&header_bytes[..length]), Ok(None), "{length} bytes of {header_bytes:?}");
        }
    }
}

#[test]
fn binary_headers_that_are_none() {
    assert_eq!(parse(&binary(0x11, 0x11, &V4)), Err(ProxyError::Version(0x11)));
    assert_eq!(parse(&binary(0x22, 0x11, &V4)), Err(ProxyError::Version(0x22)));
    assert_eq!(parse(&binary(0x22, 0x11, &V4)[..13]), Err(ProxyError::Version(0x22)));
    assert_eq!(parse(&binary(0x21, 0x11, &V4[..11])), Err(ProxyError::ShortAddresses));
    assert_eq!(parse(&binary(0x21, 0x21, &v6()[..35])), Err(ProxyError::ShortAddresses));
    let longest = binary(0x21, 0x00, &[0; MAX_BINARY_BYTES - 16]);
    assert_eq!(parse(&longest), header(None, MAX_BINARY_BYTES));
    let longer = binary(0x21, 0x00, &[0; MAX_BINARY_BYTES - 15]);
    assert_eq!(parse(&longer[..16]), Err(ProxyError::LongHeader(MAX_BINARY_BYTES + 1)), "before it is buffered");
}

proptest! {
    /// Nothing makes it panic, and what is a header stays one whatever follows.
    #[test]
    fn any_bytes(start in 0..4_usize, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let starts: [&[u8]; 4] = [b"", PREFIX, SIGNATURE, b"PROXY TCP4 "];
        let mut input = starts[start].to_vec();
        input.extend(bytes);
        let parsed = parse(&input);
        if let Ok(Some(header)) = parsed {
            prop_assert!(header.bytes <= input.len());
            prop_assert_eq!(parse(&input[..header.bytes]), parsed);
            prop_assert!(header.bytes < 1 || parse(&input[..header.bytes - 1]) == Ok(None));
        }
        for length in 0..input.len() {
            // More bytes turn "more is needed" into anything, but never an error or a header into something else.
            match parse(&input[..length]) {
                Ok(None) => {}
                earlier => prop_assert_eq!(earlier, parsed),
            }
        }
    }

    #[test]
    fn what_is_written_is_read(address: [u8; 4], port: u16, v6: [u8; 16]) {
        let client = SocketAddr::from((address, port));
        let line = format!("PROXY TCP4 {} 10.0.0.1 {port} 1\r\n", client.ip());
        prop_assert_eq!(parse(line.as_bytes()), Ok(Some(ProxyHeader { client: Some(client), bytes: line.len() })));
        let client = SocketAddr::from((v6, port));
        let block = [&v6[..], &[0; 16], &port.to_be_bytes(), &[0, 1]].concat();
        let header = binary(0x21, 0x21, &block);
        prop_assert_eq!(parse(&header), Ok(Some(ProxyHeader { client: Some(client), bytes: header.len() })));
    }
}
