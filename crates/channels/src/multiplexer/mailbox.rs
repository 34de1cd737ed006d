//! What waits for a topic whose callback takes its time.

use std::collections::VecDeque;

use wingbeat_phoenix::{Message, MessageBuf};

use crate::channel::Info;
use crate::config::MountOptions;

/// Infos that may wait for one channel, from our own application. Beyond it they are dropped and logged.
const MAX_INFOS: usize = 4096;

/// Something that waits.
pub(super) enum Letter {
    /// From the client.
    Message(MessageBuf),
    /// From the application, for one join.
    Info(u32, Info),
}

/// Letters, oldest first. Unallocated while empty.
#[derive(Default)]
pub(super) struct Mailbox {
    letters: VecDeque<Letter>,
    /// How many of them are messages, and the bytes these carry.
    messages: usize,
    bytes: usize,
}

impl Mailbox {
    /// Keeps a message if there is room for it.
    pub(super) fn push_message(&mut self, message: &Message<'_>, options: &MountOptions) -> bool {
        let bytes = self.bytes + message.len();
        let has_room = self.messages < options.max_mailbox_messages && bytes <= options.max_mailbox_bytes;
        if has_room {
            (self.messages, self.bytes) = (self.messages + 1, bytes);
            self.letters.push_back(Letter::Message(message.to_buf()));
        }
        has_room
    }

    /// Keeps an info if there is room for it.
    pub(super) fn push_info(&mut self, instance: u32, info: Info) -> bool {
        let has_room = self.letters.len() - self.messages < MAX_INFOS;
        if has_room {
            self.letters.push_back(Letter::Info(instance, info));
        }
        has_room
    }

    pub(super) fn pop(&mut self) -> Option<Letter> {
        let letter = self.letters.pop_front()?;
        if let Letter::Message(message) = &letter {
            self.messages -= 1;
            self.bytes -= message.len();
        }
        Some(letter)
    }

    /// Puts what has waited longer before what is here.
    pub(super) fn prepend(&mut self, mut earlier: Self) {
        earlier.letters.append(&mut self.letters);
        earlier.messages += self.messages;
        earlier.bytes += self.bytes;
        *self = earlier;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }
}
