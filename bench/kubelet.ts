/**
 * Upstream's kubelet as a node of upstream's cluster: over a containerd and a pod network set up as those of proa's own nodes are, so
 * that nothing but the two node agents (and what tells them of pods) differs.
 */
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLog } from '../src/base/log.ts'
import { systemClock, systemRandom } from '../src/base/system.ts'
import { printLine } from '../src/cluster/log-lines.ts'
import { freePodCidr, machineMtu } from '../src/cluster/machine.ts'
import { startPodNetwork } from '../src/network/host/pod-network.ts'
import { planPodNetwork } from '../src/network/pod-network.ts'
import { startContainerd } from '../src/node/cri/containerd.ts'
import { ensurePauseImage, PAUSE_IMAGE } from '../src/node/cri/pause-image.ts'
import { unmountBelow } from '../src/node/cri/processes.ts'
import { removeCgroup } from '../src/node/host/pod-cgroups.ts'
import type { ApiServerFiles } from '../upstream/api-server.ts'
import { freePort, type Group } from '../upstream/processes.ts'

const runtime = { clock: systemClock, random: systemRandom, log: createLog(printLine, 'error') }

/** Where a kubelet puts its pods' cgroups. */
const CGROUP = '/kubepods'
const ID = 'bench'
const CNI_DIRECTORIES = ['/usr/lib/cni', '/opt/cni/bin']

function hasCgroup(): boolean {
  const root = '/sys/fs/cgroup'
  return existsSync(join(root, CGROUP)) || readdirSync(root).some((hierarchy) => existsSync(join(root, hierarchy, CGROUP)))
}

/** A configuration of KubeletConfiguration kubelet.config.k8s.io/v1beta1: defaults, but for what this machine or the run asks. */
const configurationOf = (socket: string, files: ApiServerFiles, port: number) => ({
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  containerRuntimeEndpoint: `unix://${socket}`,
  cgroupDriver: 'cgroupfs',
  failCgroupV1: false,
  failSwapOn: false,
  makeIPTablesUtilChains: false,
  address: '127.0.0.1',
  port,
  healthzPort: 0,
  authentication: { anonymous: { enabled: false }, x509: { clientCAFile: files.authority }, webhook: { enabled: false } },
  authorization: { mode: 'AlwaysAllow' },
  kubeAPIQPS: 5000,
  kubeAPIBurst: 5000,
  // A full disk of this machine is not what is measured.
  evictionHard: { 'memory.available': '100Mi' },
})

/** Its node is Ready some seconds later. */
export async function startKubelet(group: Group, path: string, files: ApiServerFiles): Promise<void> {
  if (hasCgroup()) throw new Error(`a kubelet runs or ran on this machine: the cgroup ${CGROUP} exists`)
  const network = await startPodNetwork({
    network: planPodNetwork({ id: ID, podCidr: freePodCidr(ID), mtu: machineMtu() }),
    configurationDirectory: join(group.directory, 'cni'),
    stateDirectory: join(group.directory, 'cni-state'),
  })
  group.afterwards(() => network.teardown())
  const containerd = await startContainerd(runtime, {
    dataDirectory: group.directory,
    sandboxImage: PAUSE_IMAGE,
    cniBinDirectories: CNI_DIRECTORIES.filter((directory) => existsSync(directory)),
    cniConfigDirectory: join(group.directory, 'cni'),
  })
  group.afterwards(async () => {
    await containerd.stop()
    containerd.cri.close()
    // Pods' tokens are in memory file systems.
    await unmountBelow([group.directory])
    await removeCgroup(CGROUP)
  })
  await ensurePauseImage(runtime, containerd.cri, {
    socket: containerd.socket,
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
  })
  const configuration = join(group.directory, 'kubelet.json')
  writeFileSync(configuration, JSON.stringify(configurationOf(containerd.socket, files, await freePort())))
  group.start(path, [
    `--config=${configuration}`,
    `--kubeconfig=${files.kubeconfig}`,
    `--root-dir=${join(group.directory, 'kubelet')}`,
    `--cert-dir=${join(group.directory, 'kubelet-pki')}`,
    '--hostname-override=node-1',
    '--v=0',
  ])
}
