/** The example's own parts: its objects fit together, and its image runs, answers and ends as it should. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { parseAllDocuments } from 'yaml'
import { silentLog } from '../../src/base/log.ts'
import { systemClock, systemRandom } from '../../src/base/system.ts'
import type { SecurityContext } from '../../src/node/container-runtime.ts'
import { startContainerd } from '../../src/node/cri/containerd.ts'
import { loadImages } from '../../src/node/cri/image-load.ts'
import { ensurePauseImage, PAUSE_IMAGE } from '../../src/node/cri/pause-image.ts'
import { noContainers } from '../../test/harness.ts'
import { HELLO_IMAGE, helloImageArchive } from './image.ts'

const PORT = 25_019
const CGROUP = '/proa-hello-test'

test('the objects fit together', () => {
  const documents = parseAllDocuments(readFileSync(join(import.meta.dirname, 'hello.yaml'), 'utf8'))
  const [config, deployment, service] = documents.map((document) => document.toJS())
  const { template, selector, replicas } = deployment.spec
  const [container] = template.spec.containers
  assert.equal(replicas, 3)
  assert.equal(container.image, HELLO_IMAGE)
  assert.deepEqual(template.metadata.labels, selector.matchLabels)
  assert.deepEqual(template.metadata.labels, service.spec.selector)
  assert.equal(service.spec.ports[0].targetPort, container.ports[0].name)
  assert.equal(template.spec.volumes[0].configMap.name, config.metadata.name)
  assert.equal(container.volumeMounts[0].mountPath, '/etc/hello')
})

test('the image answers, and ends at once when told', { skip: noContainers(), timeout: 60_000 }, async () => {
  const runtime = { clock: systemClock, random: systemRandom, log: silentLog }
  const directory = mkdtempSync(join(tmpdir(), 'proa-hello-'))
  const containerd = await startContainerd(runtime, {
    dataDirectory: directory,
    sandboxImage: PAUSE_IMAGE,
    cniBinDirectories: ['/usr/lib/cni'],
  })
  try {
    const { cri, socket } = containerd
    await ensurePauseImage(runtime, cri, { socket, architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' })
    assert.deepEqual(await loadImages(runtime, cri, { socket, archive: await helloImageArchive() }), [HELLO_IMAGE])
    mkdirSync(join(directory, 'greeting'))
    mkdirSync(join(directory, 'logs'))
    writeFileSync(join(directory, 'greeting/greeting'), 'Moin\n')
    const security: SecurityContext = {
      namespaces: { network: 'NODE', pid: 'CONTAINER', ipc: 'POD' },
      privileged: false,
      supplementalGroups: [],
      readonlyRootfs: true,
      noNewPrivileges: true,
      addCapabilities: [],
      dropCapabilities: ['ALL'],
      seccomp: { type: 'RuntimeDefault' },
      maskedPaths: [],
      readonlyPaths: [],
    }
    const sandbox = {
      metadata: { name: 'hello', namespace: 'default', uid: 'u', attempt: 0 },
      hostname: '',
      logDirectory: join(directory, 'logs'),
      dns: { servers: [], searches: [], options: [] },
      portMappings: [],
      labels: {},
      annotations: {},
      linux: { cgroupParent: `${CGROUP}/pod`, sysctls: {}, security },
    }
    const sandboxId = await cri.runPodSandbox(sandbox, '', AbortSignal.timeout(30_000))
    const container = {
      metadata: { name: 'hello', attempt: 0 },
      imageId: (await cri.imageStatus(HELLO_IMAGE))!.id,
      command: [],
      args: [],
      workingDir: '',
      env: [
        { key: 'PORT', value: String(PORT) },
        { key: 'POD_NAMESPACE', value: 'default' },
      ],
      mounts: [{ containerPath: '/etc/hello', hostPath: join(directory, 'greeting'), readonly: true, propagation: 'PRIVATE' as const }],
      labels: {},
      annotations: {},
      logPath: 'hello.log',
      stdin: false,
      stdinOnce: false,
      tty: false,
      resources: { cpuPeriod: 100_000, cpuQuota: 0, cpuShares: 10, memoryLimitBytes: 32 * 1024 * 1024, oomScoreAdj: 1000 },
      security: { ...security, runAsUser: 65_534 },
    }
    const id = await cri.createContainer(sandboxId, container, sandbox)
    await cri.startContainer(id)
    assert.match(await answer(), /^Moin from pod \S+ in namespace default\n$/)
    const before = performance.now()
    await cri.stopContainer(id, 10)
    assert.ok(performance.now() - before < 5_000, 'it was killed after its grace period')
    assert.equal((await cri.containerStatus(id)).exitCode, 0)
  } finally {
    await containerd.stop()
    rmSync(directory, { recursive: true, force: true })
    spawnSync('find', ['/sys/fs/cgroup', '-depth', '-type', 'd', '-path', `*${CGROUP}*`, '-exec', 'rmdir', '{}', '+'])
  }
})

async function answer(): Promise<string> {
  for (let i = 0; ; i++) {
    const text = await fetch(`http://127.0.0.1:${PORT}/`).then(
      (response) => response.text(),
      () => undefined,
    )
    if (text !== undefined) return text
    assert.ok(i < 200, 'no answer')
    await delay(20)
  }
}
