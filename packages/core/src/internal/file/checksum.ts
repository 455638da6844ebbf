const table = /* @__PURE__ */ (() => {
  const remainders = new Int32Array(256)
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
    remainders[n] = c
  }
  return remainders
})()

/** CRC-32 (IEEE 802.3) of a range of bytes, as an unsigned number. */
export const crc32 = (bytes: Uint8Array, from: number, to: number): number => {
  let crc = -1
  for (let i = from; i < to; i++) {
    crc = (crc >>> 8) ^ (table[(crc ^ (bytes[i] ?? 0)) & 0xff] ?? 0)
  }
  return ~crc >>> 0
}
