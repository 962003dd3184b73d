/** Shares out a cluster's pod network: each node gets a block of it. IPv4. No I/O. */
export interface Network {
  /** The first address as a number. */
  readonly base: number
  readonly prefix: number
}

export function parseCidr(text: string): Network {
  const found = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text)
  const parts = found?.slice(1).map(Number)
  if (!parts || parts.slice(0, 4).some((part) => part > 255) || parts[4]! > 32) throw new Error(`not an IPv4 network: ${text}`)
  const [a, b, c, d, prefix] = parts as [number, number, number, number, number]
  return { base: a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d, prefix }
}

const format = (base: number, prefix: number): string =>
  `${Math.floor(base / 2 ** 24)}.${Math.floor(base / 2 ** 16) % 256}.${Math.floor(base / 2 ** 8) % 256}.${base % 256}/${prefix}`

/** A block of the network that nobody uses, and where to look for the next; undefined when all are taken. */
export function allocateBlock(
  cluster: Network,
  blockPrefix: number,
  isUsed: (block: string) => boolean,
  from: number,
): { readonly block: string; readonly next: number } | undefined {
  const size = 2 ** (32 - blockPrefix)
  const count = 2 ** (blockPrefix - cluster.prefix)
  for (let i = 0; i < count; i++) {
    const index = (from + i) % count
    const block = format(cluster.base + index * size, blockPrefix)
    if (!isUsed(block)) return { block, next: (index + 1) % count }
  }
  return undefined
}
