//! Masking: octet `i` XOR octet `i mod 4` of the key (§5.3). Its own inverse.

/// A masking key, turned so that its first octet is the next one to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mask([u8; 4]);

impl Mask {
    /// Leaves everything as it is: the key of a frame that is not masked.
    pub(crate) const NONE: Self = Self([0; 4]);

    #[inline]
    pub(crate) const fn new(key: [u8; 4]) -> Self {
        Self(key)
    }

    /// Masks or unmasks a whole payload.
    #[inline]
    pub(crate) fn apply(self, bytes: &mut [u8]) {
        let key = u32::from_ne_bytes(self.0);
        if key == 0 {
            return;
        }
        let wide = u64::from(key) << 32 | u64::from(key);
        let (chunks, rest) = bytes.as_chunks_mut::<8>();
        for chunk in chunks {
            *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(wide.to_ne_bytes()) {
            *byte ^= key;
        }
    }

    /// Masks or unmasks the next piece of a payload, and turns the key to where the piece after it begins.
    pub(crate) fn apply_piece(&mut self, piece: &mut [u8]) {
        self.apply(piece);
        self.0.rotate_left(piece.len() % 4);
    }
}
