/** What the cluster has to know of the machine it starts on. */
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'

/** The address other machines reach this one by: the first global IPv4 one, or loopback when there is none. */
export function nodeAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const address of addresses ?? []) {
      if (address.family === 'IPv4' && !address.internal && !address.address.startsWith('169.254.')) return address.address
    }
  }
  return '127.0.0.1'
}

/** Whether a TCP port can be listened on, on all addresses. */
export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ port, host: '0.0.0.0', exclusive: true }, () => probe.close(() => resolve(true)))
  })
}

/** The first free port from `start` upward. */
export async function freePort(start: number): Promise<number> {
  for (let port = start; port < start + 1000 && port < 65536; port++) {
    if (await isPortFree(port)) return port
  }
  throw new Error(`no free port from ${start} to ${start + 999}`)
}

/** Which of the programs real containers need are not on this machine. */
export function missingPrograms(): readonly string[] {
  const directories = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
  const isMissing = (program: string) => !directories.some((directory) => existsSync(join(directory, program)))
  const missing = ['containerd', 'runc', 'nft', 'ip'].filter(isMissing)
  return existsSync('/usr/lib/cni/bridge') || existsSync('/opt/cni/bin/bridge') ? missing : [...missing, 'containernetworking-plugins']
}
