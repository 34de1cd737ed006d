//! The contexts that a worker's connections compress and inflate with: one pool for each way of compressing, however
//! many connections there are.

use wingbeat_websocket::deflate::{DeflateConfig, DeflatePool};

/// Names a pool of a worker. Ways of compressing come with mounts, so they are few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolId(u8);

#[derive(Debug, Default)]
pub(crate) struct Pools(Vec<DeflatePool>);

impl Pools {
    /// The pool that compresses as `config` says. Past 256 ways the last one serves all others, too: they then compress
    /// differently hard, and nothing else changes.
    pub(crate) fn find(&mut self, config: DeflateConfig) -> PoolId {
        let found = self.0.iter().position(|pool| *pool.config() == config);
        let index = found.unwrap_or_else(|| {
            if self.0.len() <= usize::from(u8::MAX) {
                self.0.push(DeflatePool::new(config));
            }
            self.0.len() - 1
        });
        PoolId(index as u8)
    }

    #[inline]
    pub(crate) fn get(&mut self, id: PoolId) -> &mut DeflatePool {
        &mut self.0[usize::from(id.0)]
    }

    pub(crate) fn deflated_messages(&self) -> u64 {
        self.0.iter().map(DeflatePool::deflated_messages).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pool_for_each_way() {
        let mut pools = Pools::default();
        let first = pools.find(DeflateConfig::DEFAULT);
        let second = pools.find(DeflateConfig::DEFAULT.with_level(1));
        assert_ne!(first, second);
        assert_eq!(pools.find(DeflateConfig::DEFAULT), first);
        assert_eq!(pools.get(second).config().level(), 1);
        for bytes in 0..300 {
            pools.find(DeflateConfig::DEFAULT.with_min_bytes(bytes));
        }
        assert_eq!(pools.0.len(), 256);
    }
}
