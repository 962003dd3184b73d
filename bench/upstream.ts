/**
 * Upstream's own programs as a server under test: etcd and kube-apiserver, and for what needs them controller manager, scheduler and
 * kwok or a kubelet for the nodes. Flags are those of a default cluster; only the limits that the clients among them put on themselves are lifted,
 * as scheduler_perf does, so that the programs are measured and not their throttles.
 */
import { join } from 'node:path'
import { startApiServer, writeApiServerFiles, type ApiServerFiles } from '../upstream/api-server.ts'
import type { controlPlanePrograms } from '../upstream/programs.ts'
import { startKubelet } from './kubelet.ts'
import { openConnection } from './connection.ts'
import { readEndpoint } from '../upstream/endpoint.ts'
import { freePort, type Group } from '../upstream/processes.ts'
import { untilReady } from '../upstream/ready.ts'
import { startGroup, type Start } from './target.ts'

export type UpstreamPrograms = Readonly<Record<(typeof controlPlanePrograms)[number], string>>

const UNTHROTTLED = ['--kube-api-qps=5000', '--kube-api-burst=5000']

async function startControllers(group: Group, programs: UpstreamPrograms, files: ApiServerFiles): Promise<void> {
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
async function startNodes(group: Group, path: string, files: ApiServerFiles, count: number): Promise<void> {
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
      const files = await writeApiServerFiles(group.directory, port)
      const since = performance.now()
      await startApiServer(group, programs, files, port)
      const startMs = await untilReady(group, files.kubeconfig, since)
      const nodes = options.nodes ?? 0
      if (options.hasControllers || options.hasRealNode || nodes > 0) await startControllers(group, programs, files)
      if (nodes > 0) await startNodes(group, programs.kwok, files, nodes)
      if (options.hasRealNode) await startKubelet(group, programs.kubelet, files)
      return { kubeconfig: files.kubeconfig, startMs }
    })
