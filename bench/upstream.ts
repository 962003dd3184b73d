/**
 * Upstream's own programs as a server under test: etcd and kube-apiserver, and for what needs them controller manager, scheduler and
 * kwok for the nodes. Flags are those of a default cluster; only the limits that the clients among them put on themselves are lifted,
 * as scheduler_perf does, so that the programs are measured and not their throttles.
 */
import { createPublicKey } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../src/base/system.ts'
import { createKubeconfig, writeKubeconfig } from '../src/client/http/index.ts'
import { temporaryPki } from '../src/cluster/pki.ts'
import type { controlPlanePrograms } from '../upstream/programs.ts'
import { openConnection } from './connection.ts'
import { readEndpoint } from './kubeconfig.ts'
import { freePort, type Group } from './processes.ts'
import { startGroup, untilReady, type Start } from './target.ts'

export type UpstreamPrograms = Readonly<Record<(typeof controlPlanePrograms)[number], string>>

const UNTHROTTLED = ['--kube-api-qps=5000', '--kube-api-burst=5000']

interface Files {
  readonly serverCert: string
  readonly serverKey: string
  readonly authority: string
  readonly accountKey: string
  readonly accountPublicKey: string
  readonly kubeconfig: string
}

async function writeFiles(directory: string, port: number): Promise<Files> {
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

async function startControllers(group: Group, programs: UpstreamPrograms, files: Files): Promise<void> {
  const shared = [`--kubeconfig=${files.kubeconfig}`, '--leader-elect=false', '--bind-address=127.0.0.1', ...UNTHROTTLED]
  group.start(programs['kube-controller-manager'], [
    ...shared,
    `--secure-port=${await freePort()}`,
    `--cert-dir=${join(group.directory, 'controllers')}`,
    `--service-account-private-key-file=${files.accountKey}`,
    `--root-ca-file=${files.authority}`,
    '--use-service-account-credentials=true',
  ])
  group.start(programs['kube-scheduler'], [
    ...shared,
    `--secure-port=${await freePort()}`,
    `--cert-dir=${join(group.directory, 'scheduler')}`,
  ])
}

/** kwok makes nodes that exist Ready and keeps them so; making them is left to the one who wants them. */
async function startNodes(group: Group, path: string, files: Files, count: number): Promise<void> {
  group.start(path, [
    `--kubeconfig=${files.kubeconfig}`,
    '--manage-all-nodes=true',
    '--node-lease-duration-seconds=40',
    `--server-address=127.0.0.1:${await freePort()}`,
  ])
  const endpoint = readEndpoint(files.kubeconfig)
  let next = 1
  const make = async () => {
    const connection = await openConnection(endpoint)
    while (next <= count) {
      const name = `node-${next++}`
      const capacity = { cpu: '16', memory: '64Gi', pods: '110' }
      const node = {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name, labels: { 'kubernetes.io/hostname': name }, annotations: { 'kwok.x-k8s.io/node': 'fake' } },
        status: { capacity, allocatable: capacity },
      }
      const answer = await connection.request('POST', '/api/v1/nodes', JSON.stringify(node), { keepBody: true })
      if (answer.status !== 201) throw new Error(`node ${name}: ${answer.status} ${answer.body}`)
    }
    connection.close()
  }
  await Promise.all(Array.from({ length: 8 }, make))
}

export const startUpstream =
  (programs: UpstreamPrograms): Start =>
  (options = {}) =>
    startGroup(async (group) => {
      const port = await freePort()
      const files = await writeFiles(group.directory, port)
      const since = performance.now()
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
        '--enable-admission-plugins=NodeRestriction',
      ])
      const startMs = await untilReady(group, files.kubeconfig, since)
      const nodes = options.nodes ?? 0
      if (options.hasControllers || nodes > 0) await startControllers(group, programs, files)
      if (nodes > 0) await startNodes(group, programs.kwok, files, nodes)
      return { kubeconfig: files.kubeconfig, startMs }
    })
