//! How many connections there may be, in all and from one address, and who has a place among them.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::mount::upgrade::{NoPlace, Payer};

/// Maps of addresses, so that workers seldom wait for each other.
const SHARDS: usize = 16;

/// Counts connections against [`Config::max_connections`](crate::Config::max_connections), and those of each address
/// against [`Config::max_connections_per_address`](crate::Config::max_connections_per_address).
#[derive(Clone, Debug)]
pub(crate) struct Seats {
    taken: Arc<AtomicUsize>,
    most: usize,
    /// What all hold whose address is not counted.
    uncounted: Arc<Group>,
    addresses: Option<Arc<Addresses>>,
}

/// One counted connection. It is one pointer, whatever is counted.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Group>);

/// Those who share a count: all of one address, or all who have none.
#[derive(Debug)]
struct Group {
    taken: Arc<AtomicUsize>,
    address: Option<(Arc<Addresses>, u128)>,
}

#[derive(Debug)]
struct Addresses {
    most: usize,
    hasher: RandomState,
    shards: [Mutex<HashMap<u128, Counted>>; SHARDS],
}

#[derive(Debug)]
struct Counted {
    group: Arc<Group>,
    connections: usize,
}

impl Seats {
    pub(crate) fn new(most: usize, most_per_address: Option<usize>) -> Self {
        let taken: Arc<AtomicUsize> = Arc::default();
        let uncounted = Arc::new(Group { taken: taken.clone(), address: None });
        let addresses = most_per_address.map(|most| Addresses {
            most,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        });
        Self { taken, most, uncounted, addresses: addresses.map(Arc::new) }
    }

    /// How many have a seat.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn take(&self) -> Option<Seat> {
        if self.taken.fetch_add(1, Ordering::Relaxed) < self.most {
            return Some(Seat(self.uncounted.clone()));
        }
        self.taken.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// A seat that counts for `payer`, if that is known.
    pub(crate) fn take_for(&self, payer: Payer) -> Result<Seat, NoPlace> {
        let mut seat = self.take().ok_or(NoPlace::Full)?;
        match payer {
            Some(address) if !self.assign(&mut seat, address) => Err(NoPlace::TooMany),
            _ => Ok(seat),
        }
    }

    /// Counts a seat for `address` from now on; `false` if that has as many connections as it may, and the seat stays
    /// what it was.
    pub(crate) fn assign(&self, seat: &mut Seat, address: IpAddr) -> bool {
        let Some(addresses) = &self.addresses else { return true };
        let key = key_of(address);
        if matches!(&seat.0.address, Some((_, counted)) if *counted == key) {
            return true;
        }
        let mut shard = addresses.shard(key);
        let counted = shard.entry(key).or_insert_with(|| Counted {
            group: Arc::new(Group { taken: self.taken.clone(), address: Some((addresses.clone(), key)) }),
            connections: 0,
        });
        if counted.connections >= addresses.most {
            if counted.connections == 0 {
                shard.remove(&key);
            }
            return false;
        }
        counted.connections += 1;
        let group = counted.group.clone();
        drop(shard);
        self.taken.fetch_add(1, Ordering::Relaxed);
        *seat = Seat(group);
        true
    }
}

impl Addresses {
    fn shard(&self, key: u128) -> MutexGuard<'_, HashMap<u128, Counted>> {
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who has an IPv6 address has a whole /64 of them.
fn key_of(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() & !u128::from(u64::MAX),
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
        if let Some((addresses, key)) = &self.0.address
            && let Entry::Occupied(mut counted) = addresses.shard(*key).entry(*key)
        {
            counted.get_mut().connections -= 1;
            if counted.get().connections == 0 {
                counted.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(seats: &Seats, address: &str) -> Option<Seat> {
        let mut seat = seats.take()?;
        seats.assign(&mut seat, address.parse().expect(address)).then_some(seat)
    }

    fn counted(seats: &Seats) -> usize {
        let addresses = seats.addresses.as_ref().expect("counted");
        addresses.shards.iter().map(|shard| shard.lock().expect("no one panics").len()).sum()
    }

    #[test]
    fn each_address_has_its_count_and_all_have_theirs() {
        let seats = Seats::new(5, Some(2));
        let first = [seat(&seats, "192.0.2.1"), seat(&seats, "::ffff:192.0.2.1")];
        assert!(first.iter().all(Option::is_some));
        assert!(seat(&seats, "192.0.2.1").is_none());
        assert_eq!(seats.taken(), 2, "who is refused does not count");
        let second = [seat(&seats, "2001:db8::1"), seat(&seats, "2001:db8::ffff")];
        assert!(second.iter().all(Option::is_some));
        assert!(seat(&seats, "2001:db8::2").is_none(), "one network, one count");
        let third = seat(&seats, "2001:db8:0:1::1");
        assert!(third.is_some() && seat(&seats, "192.0.2.9").is_none(), "all are five");
        assert_eq!(counted(&seats), 3);
        drop(first);
        assert!(seat(&seats, "192.0.2.1").is_some());
        drop((second, third));
        assert_eq!((seats.taken(), counted(&seats)), (0, 0), "nothing is left behind");
    }

    #[test]
    fn a_seat_may_change_its_address() {
        let seats = Seats::new(9, Some(1));
        let mut moving = seat(&seats, "10.0.0.1").expect("a seat");
        assert!(seats.assign(&mut moving, "10.0.0.1".parse().expect("an address")), "it is there already");
        assert!(seats.assign(&mut moving, "192.0.2.1".parse().expect("an address")));
        assert_eq!((seats.taken(), counted(&seats)), (1, 1));
        let other = seat(&seats, "10.0.0.1").expect("the proxy's own place is free again");
        assert!(!seats.assign(&mut moving, "10.0.0.1".parse().expect("an address")));
        drop((moving, other));
        assert_eq!((seats.taken(), counted(&seats)), (0, 0));
        assert!(size_of::<Seat>() == size_of::<usize>());
        let none = Seats::new(9, Some(0));
        assert!(seat(&none, "10.0.0.1").is_none() && counted(&none) == 0);
    }

    #[test]
    fn without_a_limit_addresses_are_not_counted() {
        let seats = Seats::new(100, None);
        let all: Vec<_> = (0..100).filter_map(|_| seat(&seats, "192.0.2.1")).collect();
        assert_eq!((all.len(), seats.taken()), (100, 100));
    }
}
