/** etcd processes for tests: one, or a cluster of three on loopback. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net'
import { freePort } from '../../upstream/processes.ts'
import { builtPrograms } from '../../upstream/programs.ts'

export interface RunningEtcd {
  readonly endpoints: readonly string[]
  /** Kills a member, as a machine that loses its power. */
  kill(member: number): Promise<void>
  /** Starts a killed member again, on its data. */
  start(member: number): Promise<void>
  stop(): Promise<void>
}

export const whyNoEtcd = (): string | undefined =>
  'etcd' in builtPrograms(['etcd']) ? undefined : 'etcd is not built: npm run bench builds it, or npm run conformance'

export async function startEtcd(members = 1): Promise<RunningEtcd> {
  const programs = builtPrograms(['etcd'])
  if (!('etcd' in programs)) throw new Error(whyNoEtcd())
  const directory = mkdtempSync(join(tmpdir(), 'proa-etcd-'))
  const clients = await Promise.all(Array.from({ length: members }, async () => `http://127.0.0.1:${await freePort()}`))
  const peers = await Promise.all(Array.from({ length: members }, async () => `http://127.0.0.1:${await freePort()}`))
  const children: ChildProcess[] = []
  const begin = (i: number) => {
    children[i] = spawn(
      programs.etcd,
      [
        `--name=m${i}`,
        `--data-dir=${join(directory, `${i}`)}`,
        `--listen-client-urls=${clients[i]}`,
        `--advertise-client-urls=${clients[i]}`,
        `--listen-peer-urls=${peers[i]}`,
        `--initial-advertise-peer-urls=${peers[i]}`,
        `--initial-cluster=${peers.map((url, n) => `m${n}=${url}`).join(',')}`,
        '--log-level=fatal',
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    )
  }
  const healthy = async (i: number) => {
    for (let tries = 0; tries < 200; tries++) {
      const answer = await fetch(`${clients[i]}/health`).catch(() => undefined)
      if (answer?.ok) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error(`etcd ${i} is not healthy`)
  }
  const kill = async (i: number) => {
    const child = children[i]!
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  for (let i = 0; i < members; i++) begin(i)
  await Promise.all(clients.map((_, i) => healthy(i)))
  return {
    endpoints: clients,
    kill,
    async start(i) {
      begin(i)
      await healthy(i)
    },
    async stop() {
      await Promise.all(clients.map((_, i) => kill(i)))
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** A way to a server that can be cut: its connections end, and no new one comes through. */
export async function startForwarder(target: string) {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let isCut = false
  const server = createServer((near) => {
    if (isCut) {
      near.destroy()
      return
    }
    const far = createConnection({ host: hostname, port: Number(port) })
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one)
      one.on('error', () => one.destroy())
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    isCut = true
    for (const socket of sockets) socket.destroy()
  }
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    mend() {
      isCut = false
    },
    close() {
      cut()
      server.close()
    },
  }
}
