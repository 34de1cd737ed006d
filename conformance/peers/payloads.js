// Messages of many sizes, around every border of frames, buffers and windows.

const SIZES = [0, 1, 20, 125, 126, 127, 511, 512, 1023, 4096, 16383, 16384, 32768, 65535, 65536, 200_000, 1 << 20];

const WORDS = ["größe", "水", "κόσμε", "🐦", "hello", "wing", "beat", "and", "the", "a", "river", "Übung", "naïve", "1729"];

/** Numbers that look like chance, the same each time. */
function* chance() {
  for (let state = 0x9e3779b9; ; ) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    yield state >>> 0;
  }
}

/** Text that compresses as text does; a character of every width. */
function text(size) {
  const numbers = chance();
  let whole = "";
  while (whole.length < size) whole += `${WORDS[numbers.next().value % WORDS.length]} `;
  let border = size;
  // Not between the two halves of a bird.
  if (whole.charCodeAt(border) >= 0xdc00 && whole.charCodeAt(border) < 0xe000) border -= 1;
  return whole.slice(0, border);
}

/** Bytes that do not compress. */
function noise(size) {
  const numbers = chance();
  return Uint8Array.from({ length: size }, () => numbers.next().value);
}

/** Strings and byte arrays, the latter well and badly compressible. */
export function messages() {
  return SIZES.flatMap((size) => [text(size), noise(size), new Uint8Array(size).fill(7)]);
}
