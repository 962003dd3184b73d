/** A duration as Go prints it: "10s", "1m20s", "5m0s", "1.5s", "250ms": messages contain it. */
export function goDuration(ms: number): string {
  if (ms < 1) return '0s'
  if (ms < 1000) return `${Math.floor(ms)}ms`
  const hours = Math.floor(ms / 3_600_000)
  const minutes = Math.floor(ms / 60_000) % 60
  const seconds = Math.floor(ms % 60_000) / 1000
  return `${hours ? `${hours}h` : ''}${hours || minutes ? `${minutes}m` : ''}${seconds}s`
}
