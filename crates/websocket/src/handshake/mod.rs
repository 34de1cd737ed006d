//! The opening handshake (§4): pure functions from heads to heads.
