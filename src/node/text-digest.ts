/** So many hexadecimal digits (a multiple of eight) that depend on the text alone; to tell texts apart, not against malice. Pure. */
export function textDigest(text: string, digits: number): string {
  let digest = ''
  for (let part = 0; part < digits / 8; part++) {
    let hash = (0x811c9dc5 ^ part) >>> 0
    for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193 + 2 * part) >>> 0
    digest += hash.toString(16).padStart(8, '0')
  }
  return digest
}
