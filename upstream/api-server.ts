/**
 * Upstream's kube-apiserver over an etcd of its own, with keys made for it: what the benchmarks measure and the tests ask beside
 * proa. Flags are those of a default cluster.
 */
import { createPublicKey } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../src/base/system.ts'
import { createKubeconfig, writeKubeconfig } from '../src/client/http/index.ts'
import { temporaryPki } from '../src/cluster/pki.ts'
import { freePort, Group } from './processes.ts'
import { builtPrograms } from './programs.ts'
import { untilReady } from './ready.ts'

export const apiServerPrograms = ['etcd', 'kube-apiserver'] as const

export interface ApiServerFiles {
  readonly serverCert: string
  readonly serverKey: string
  readonly authority: string
  readonly accountKey: string
  readonly accountPublicKey: string
  /** Of its administrator. */
  readonly kubeconfig: string
}

/** Makes the keys of a server that will listen on this port of loopback. */
export async function writeApiServerFiles(directory: string, port: number): Promise<ApiServerFiles> {
  const pki = await temporaryPki(systemClock, ['127.0.0.1', 'localhost'])
  const write = (name: string, text: string): string => {
    const path = join(directory, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }
  const kubeconfig = join(directory, 'kubeconfig')
  const { cert, key } = pki.admin
  writeKubeconfig(
    kubeconfig,
    createKubeconfig({ name: 'upstream', server: `https://127.0.0.1:${port}`, ca: pki.authority.cert, cert, key }),
  )
  return {
    serverCert: write('server.crt', pki.server.cert),
    serverKey: write('server.key', pki.server.key),
    authority: write('ca.crt', pki.authority.cert),
    accountPublicKey: write(
      'service-account.pub',
      createPublicKey(pki.serviceAccountKey).export({ type: 'spki', format: 'pem' }).toString(),
    ),
    accountKey: write('service-account.key', pki.serviceAccountKey),
    kubeconfig,
  }
}

async function startEtcd(group: Group, path: string): Promise<string> {
  const clients = `http://127.0.0.1:${await freePort()}`
  const peers = `http://127.0.0.1:${await freePort()}`
  group.start(path, [
    '--name=bench',
    `--data-dir=${join(group.directory, 'etcd')}`,
    `--listen-client-urls=${clients}`,
    `--advertise-client-urls=${clients}`,
    `--listen-peer-urls=${peers}`,
    `--initial-advertise-peer-urls=${peers}`,
    `--initial-cluster=bench=${peers}`,
    '--log-level=error',
  ])
  return clients
}

/** Starts both; `untilReady` tells when they answer. */
export async function startApiServer(
  group: Group,
  programs: Readonly<Record<(typeof apiServerPrograms)[number], string>>,
  files: ApiServerFiles,
  port: number,
  flags: readonly string[] = [],
): Promise<void> {
  const etcd = await startEtcd(group, programs.etcd)
  group.start(programs['kube-apiserver'], [
    `--etcd-servers=${etcd}`,
    `--secure-port=${port}`,
    '--bind-address=127.0.0.1',
    '--endpoint-reconciler-type=none',
    `--cert-dir=${join(group.directory, 'apiserver')}`,
    `--tls-cert-file=${files.serverCert}`,
    `--tls-private-key-file=${files.serverKey}`,
    `--client-ca-file=${files.authority}`,
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${files.accountPublicKey}`,
    `--service-account-signing-key-file=${files.accountKey}`,
    '--service-cluster-ip-range=10.96.0.0/16',
    '--authorization-mode=Node,RBAC',
    '--allow-privileged=true',
    '--enable-admission-plugins=NodeRestriction',
    ...flags,
  ])
}

/** Starts both from programs that are built already; resolves when they answer. `flags` are more of kube-apiserver's. */
export async function startBuiltApiServer(
  flags: readonly string[] = [],
): Promise<{ readonly kubeconfig: string; readonly stop: () => Promise<void> }> {
  const programs = builtPrograms(apiServerPrograms)
  if ('missing' in programs) throw new Error(`not built: ${programs.missing.join(', ')} (npm run bench builds them)`)
  const group = new Group()
  try {
    const port = await freePort()
    const files = await writeApiServerFiles(group.directory, port)
    await startApiServer(group, programs, files, port, flags)
    await untilReady(group, files.kubeconfig, performance.now())
    return { kubeconfig: readFileSync(files.kubeconfig, 'utf8'), stop: group.stop }
  } catch (error) {
    await group.stop()
    throw error
  }
}
