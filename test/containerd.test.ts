/**
 * A containerd of our own with real containers, by the same interface that the node agent uses: needs root and containerd, and for
 * the test of pulling Debian's docker-registry. Everything runs under one temporary data directory and is gone afterwards.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Readable } from 'node:stream'
import { extract } from 'tar-stream'
import type { ExecStreams } from '../src/api/node-service.ts'
import { silentLog } from '../src/base/log.ts'
import { systemClock, systemRandom } from '../src/base/system.ts'
import type { ContainerConfig, RuntimeEvent, SandboxConfig, SecurityContext } from '../src/node/container-runtime.ts'
import { startContainerd, stopLeftContainerd, type Containerd, type ContainerdOptions } from '../src/node/cri/containerd.ts'
import { loadImages } from '../src/node/cri/image-load.ts'
import { buildImageArchive, type ImageSource } from '../src/node/cri/oci-image.ts'
import { ensurePauseImage, PAUSE_IMAGE, pauseImageArchive } from '../src/node/cri/pause-image.ts'

const runtime = { clock: systemClock, random: systemRandom, log: silentLog }
const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
const IMAGE = 'proa.local/test-busybox:1'
const CGROUP = '/proa-containerd-test'
const REGISTRY_PORT = 25_017

const isInstalled = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0

function missing(): string | false {
  if (process.getuid?.() !== 0) return 'real containers need root'
  const programs = ['containerd', 'ctr', 'runc'].filter((program) => !isInstalled(program))
  if (programs.length > 0) return `not installed: ${programs.join(', ')} (sh tools/setup.sh --runtime)`
  return existsSync('/bin/busybox') ? false : 'not installed: busybox-static (sh tools/setup.sh --runtime)'
}

const security: SecurityContext = {
  namespaces: { network: 'NODE', pid: 'CONTAINER', ipc: 'POD' },
  privileged: false,
  supplementalGroups: [],
  readonlyRootfs: false,
  noNewPrivileges: false,
  addCapabilities: [],
  dropCapabilities: [],
  seccomp: { type: 'RuntimeDefault' },
  maskedPaths: [],
  readonlyPaths: [],
}

function busyboxImage(name: string): ImageSource {
  const applets = ['sh', 'cat', 'echo', 'httpd', 'md5sum', 'sleep', 'stty', 'true']
  return {
    name,
    architecture,
    config: { Env: ['PATH=/bin'], Cmd: ['sh'] },
    files: [
      { path: 'bin/busybox', type: 'file', data: readFileSync('/bin/busybox'), mode: 0o755 },
      { path: 'tmp', type: 'directory', mode: 0o1777 },
      ...applets.map((applet) => ({ path: `bin/${applet}`, type: 'symlink', target: 'busybox' }) as const),
    ],
  }
}

describe('containerd', { skip: missing() }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'proa-containerd-'))
  const options: ContainerdOptions = {
    dataDirectory: directory,
    sandboxImage: PAUSE_IMAGE,
    cniBinDirectories: ['/usr/lib/cni', '/opt/cni/bin'],
    registries: { 'registry.test': `http://127.0.0.1:${REGISTRY_PORT}` },
  }
  const events: RuntimeEvent[] = []
  const over = new AbortController()
  let containerd: Containerd
  let sandbox: SandboxConfig
  let sandboxId: string
  let imageId: string
  let watching: Promise<void>
  let main: string

  const container = (name: string, command: readonly string[], more: Partial<ContainerConfig> = {}): ContainerConfig => ({
    metadata: { name, attempt: 0 },
    imageId,
    command,
    args: [],
    workingDir: '',
    env: [{ key: 'GREETING', value: 'grüß dich' }],
    mounts: [],
    labels: { role: name },
    annotations: {},
    logPath: `${name}.log`,
    stdin: false,
    stdinOnce: false,
    tty: false,
    resources: { cpuPeriod: 100_000, cpuQuota: 0, cpuShares: 2, memoryLimitBytes: 0, oomScoreAdj: 1000 },
    security,
    ...more,
  })
  const start = async (config: ContainerConfig): Promise<string> => {
    const id = await containerd.cri.createContainer(sandboxId, config, sandbox)
    await containerd.cri.startContainer(id)
    return id
  }
  const until = async (what: string, isSo: () => Promise<boolean> | boolean): Promise<void> => {
    for (let i = 0; i < 500; i++) {
      if (await isSo()) return
      await delay(20)
    }
    assert.fail(`not within ten seconds: ${what}`)
  }
  const exec = async (command: readonly string[], input?: ReadableStream<Uint8Array>, tty = false, resize?: ExecStreams['resize']) => {
    const collected = { stdout: '', stderr: '' }
    const into = (key: keyof typeof collected) =>
      new WritableStream<Uint8Array>({ write: (chunk) => void (collected[key] += Buffer.from(chunk).toString('latin1')) })
    const streams: ExecStreams = {
      ...(input ? { stdin: input } : {}),
      stdout: into('stdout'),
      ...(tty ? {} : { stderr: into('stderr') }),
      ...(resize ? { resize } : {}),
      signal: over.signal,
    }
    const outcome = await containerd.cri.exec(main, command, tty, streams)
    return { outcome, ...collected }
  }

  before(async () => {
    containerd = await startContainerd(runtime, options)
    await ensurePauseImage(runtime, containerd.cri, { socket: containerd.socket, architecture })
    const names = await loadImages(runtime, containerd.cri, {
      socket: containerd.socket,
      archive: await buildImageArchive([busyboxImage(IMAGE)]),
    })
    assert.deepEqual(names, [IMAGE])
    imageId = (await containerd.cri.imageStatus(IMAGE))!.id
    const logDirectory = join(directory, 'logs')
    mkdirSync(logDirectory)
    sandbox = {
      metadata: { name: 'pod', namespace: 'default', uid: 'uid-1', attempt: 0 },
      hostname: '',
      logDirectory,
      dns: { servers: ['10.0.0.10'], searches: ['svc.cluster.local'], options: ['ndots:5'] },
      portMappings: [],
      labels: { app: 'test' },
      annotations: { note: 'x' },
      linux: { cgroupParent: `${CGROUP}/pod`, sysctls: {}, security },
    }
    watching = (async () => {
      for await (const event of containerd.cri.events(over.signal)) events.push(event)
    })()
    sandboxId = await containerd.cri.runPodSandbox(sandbox, '', over.signal)
    main = await start(container('main', ['sh', '-c', 'trap "exit 3" TERM; echo $GREETING; echo oops >&2; while :; do sleep 0.1; done']))
  })

  after(async () => {
    over.abort()
    await watching
    await containerd.stop()
    assert.deepEqual(leftovers(directory, containerd.socket), [])
    rmSync(directory, { recursive: true, force: true })
    spawnSync('find', ['/sys/fs/cgroup', '-depth', '-type', 'd', '-path', `*${CGROUP}*`, '-exec', 'rmdir', '{}', '+'])
  })

  test('says what it is and that it is ready', async () => {
    assert.equal((await containerd.cri.version()).name, 'containerd')
    assert.equal((await containerd.cri.status()).runtimeReady, true)
  })

  test('a sandbox and its containers are listed with what they were made with', async () => {
    const status = await containerd.cri.podSandboxStatus(sandboxId)
    assert.deepEqual(
      [status.metadata, status.labels, status.annotations, status.isReady],
      [sandbox.metadata, sandbox.labels, sandbox.annotations, true],
    )
    const [found] = (await containerd.cri.listContainers()).filter(({ id }) => id === main)
    assert.deepEqual([found?.sandboxId, found?.state, found?.labels], [sandboxId, 'RUNNING', { role: 'main' }])
    assert.ok(Math.abs(Date.now() - (await containerd.cri.containerStatus(main)).startedAtMs) < 60_000)
  })

  test('output goes to the log file, in UTF-8', async () => {
    const { logPath } = await containerd.cri.containerStatus(main)
    await until('both lines are logged', async () => (await readFile(logPath, 'utf8')).split('\n').length > 2)
    const lines = (await readFile(logPath, 'utf8')).trim().split('\n').toSorted()
    assert.match(
      lines.find((line) => line.includes('stdout'))!,
      / stdout F grüß dich$/,
    )
    assert.match(
      lines.find((line) => line.includes('stderr'))!,
      / stderr F oops$/,
    )
  })

  test('execSync answers with output and exit code, and ends at its time-out', async () => {
    const result = await containerd.cri.execSync(main, ['sh', '-c', 'echo out; echo err >&2; exit 7'], 5)
    assert.deepEqual([String(result.stdout), String(result.stderr), result.exitCode], ['out\n', 'err\n', 7])
    await assert.rejects(containerd.cri.execSync(main, ['sleep', '20'], 1), { name: 'RuntimeError', code: 'DeadlineExceeded' })
  })

  test('exec: exit code, both outputs, and a program that is not there', async () => {
    const result = await exec(['sh', '-c', 'echo out; echo err >&2; exit 42'])
    assert.deepEqual(result, { outcome: { exitCode: 42 }, stdout: 'out\n', stderr: 'err\n' })
    const { outcome } = await exec(['/missing'])
    assert.match('error' in outcome ? outcome.error : '', /^failed to exec in container: .*no such file or directory/)
  })

  test('exec takes 50 MB of stdin and gives them back whole', async () => {
    const totalBytes = 50_000_000
    let sent = 0
    const input = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent === totalBytes) return controller.close()
        const chunk = new Uint8Array(Math.min(65_536, totalBytes - sent)).fill(sent / 65_536)
        sent += chunk.length
        controller.enqueue(chunk)
      },
    })
    const { stdout, outcome } = await exec(['cat'], input)
    assert.deepEqual([outcome, stdout.length], [{ exitCode: 0 }, totalBytes])
  })

  test('a command that ends before its input lets the input go', async () => {
    let isCancelled = false
    const { outcome } = await exec(['true'], new ReadableStream<Uint8Array>({ cancel: () => void (isCancelled = true) }))
    assert.deepEqual([outcome, isCancelled], [{ exitCode: 0 }, true])
  })

  test('a terminal has the size that it is told', async () => {
    const resize = new ReadableStream({ start: (controller) => controller.enqueue({ width: 101, height: 33 }) })
    const { stdout } = await exec(['sh', '-c', 'sleep 0.5; stty size'], new ReadableStream(), true, resize)
    assert.equal(stdout.trim(), '33 101')
  })

  test('port-forward carries a connection, and says why when it cannot', async () => {
    const port = 25_018
    const web = await start(container('web', ['httpd', '-f', '-p', `127.0.0.1:${port}`, '-h', '/bin']))
    await until('the web server answers', () => spawnSync('bash', ['-c', `echo > /dev/tcp/127.0.0.1/${port}`]).status === 0)
    const chunks: Buffer[] = []
    const connection = {
      readable: new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(Buffer.from('GET /busybox HTTP/1.0\r\n\r\n')) }),
      writable: new WritableStream<Uint8Array>({ write: (chunk) => void chunks.push(Buffer.from(chunk)) }),
    }
    await containerd.cri.portForward(sandboxId, port, connection, over.signal)
    const answer = Buffer.concat(chunks)
    assert.ok(answer.subarray(answer.indexOf('\r\n\r\n') + 4).equals(readFileSync('/bin/busybox')))
    const refused = { readable: new ReadableStream<Uint8Array>(), writable: new WritableStream<Uint8Array>() }
    await assert.rejects(containerd.cri.portForward(sandboxId, 1, refused, over.signal), /connection refused/)
    await containerd.cri.stopContainer(web, 0)
  })

  test('a container over its memory limit is OOMKilled, and an event tells', async () => {
    const resources = { cpuPeriod: 100_000, cpuQuota: 0, cpuShares: 2, memoryLimitBytes: 16 * 1024 * 1024, oomScoreAdj: 1000 }
    const id = await start(container('hungry', ['sh', '-c', 'x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done'], { resources }))
    await until('the event comes', async () => {
      const isTold = events.some((event) => event.id === id && event.kind === 'container' && event.sandboxId === sandboxId)
      return isTold && (await containerd.cri.containerStatus(id)).state === 'EXITED'
    })
    const { reason, exitCode } = await containerd.cri.containerStatus(id)
    assert.deepEqual([reason, exitCode], ['OOMKilled', 137])
  })

  test('a program that is not there fails to start', async () => {
    await assert.rejects(start(container('nothing', ['/missing'])), /no such file or directory/)
  })

  test('unknown things are NotFound', async () => {
    await assert.rejects(containerd.cri.containerStatus('0123456789'), { name: 'RuntimeError', code: 'NotFound' })
    await assert.rejects(containerd.cri.podSandboxStatus('0123456789'), { name: 'RuntimeError', code: 'NotFound' })
    assert.equal(await containerd.cri.imageStatus('proa.local/unknown:1'), undefined)
  })

  test(
    'an image is pulled from a registry and removed',
    { skip: !isInstalled('docker-registry') && 'not installed: docker-registry' },
    async () => {
      const registry = await startRegistry(directory)
      try {
        await push('hello/world', 'v1', await buildImageArchive([busyboxImage('unused:1')]))
        const id = await containerd.cri.pullImage('registry.test/hello/world:v1', undefined, over.signal)
        const image = await containerd.cri.imageStatus('registry.test/hello/world:v1')
        assert.deepEqual([image?.id, image?.tags.includes('registry.test/hello/world:v1')], [id, true])
        for (const host of ['localhost', '127.0.0.1']) {
          // Without any entry for it: loopback is asked without TLS.
          assert.equal(await containerd.cri.pullImage(`${host}:${REGISTRY_PORT}/hello/world:v1`, undefined, over.signal), id)
        }
        await assert.rejects(containerd.cri.pullImage('registry.test/hello/world:v2', undefined, over.signal), { code: 'NotFound' })
        const stopped = AbortSignal.abort(new Error('not any more'))
        await assert.rejects(containerd.cri.pullImage('registry.test/hello/world:v1', undefined, stopped), /not any more/)
        // Several names, one image: it goes by its id, with all of them.
        await containerd.cri.removeImage(id)
        assert.equal(await containerd.cri.imageStatus('registry.test/hello/world:v1'), undefined)
      } finally {
        registry.kill()
      }
    },
  )

  test('the next start takes over the running daemon, and containers outlive a killed one', async () => {
    const second = await startContainerd(runtime, options)
    assert.deepEqual([second.pid, second.isAdopted], [containerd.pid, true])
    second.cri.close()
    process.kill(containerd.pid, 'SIGKILL')
    await until(
      'the daemon is gone',
      () => !existsSync(`/proc/${containerd.pid}/cmdline`) || readFileSync(`/proc/${containerd.pid}/cmdline`, 'utf8') === '',
    )
    containerd.cri.close()
    containerd = await startContainerd(runtime, options)
    assert.equal(containerd.isAdopted, false)
    assert.equal((await containerd.cri.containerStatus(main)).state, 'RUNNING')
    assert.equal((await exec(['echo', 'still here'])).stdout, 'still here\n')
  })

  test('a stop sends the signal, waits, and the exit code is told', async () => {
    await containerd.cri.stopContainer(main, 10)
    const status = await containerd.cri.containerStatus(main)
    assert.deepEqual([status.state, status.exitCode, status.reason], ['EXITED', 3, 'Error'])
    assert.ok(status.finishedAtMs >= status.startedAtMs)
  })

  test('a sandbox that is stopped is not ready, and gone when removed', async () => {
    await containerd.cri.stopPodSandbox(sandboxId)
    assert.equal((await containerd.cri.podSandboxStatus(sandboxId)).isReady, false)
    await containerd.cri.removePodSandbox(sandboxId)
    assert.deepEqual(await containerd.cri.listPodSandboxes(), [])
    assert.deepEqual(await containerd.cri.listContainers(), [])
  })

  test('what a dead daemon left is stopped with all its containers', async () => {
    const other = { ...options, dataDirectory: join(directory, 'other') }
    const left = await startContainerd(runtime, other)
    await ensurePauseImage(runtime, left.cri, { socket: left.socket, architecture })
    await left.cri.runPodSandbox({ ...sandbox, metadata: { ...sandbox.metadata, uid: 'uid-2' } }, '', over.signal)
    left.cri.close()
    process.kill(left.pid, 'SIGKILL')
    await stopLeftContainerd(runtime, other)
    assert.deepEqual(leftovers(other.dataDirectory, left.socket), [])
    await stopLeftContainerd(runtime, other)
  })
})

test('the pause image is the same bytes every time', async () => {
  assert.ok((await pauseImageArchive('arm64')).equals(await pauseImageArchive('arm64')))
})

/** Processes that name the socket or the directory, mounts below the directory. */
function leftovers(directory: string, socket: string): readonly string[] {
  const found: string[] = []
  for (const pid of spawnSync('sh', ['-c', 'ls /proc'], { encoding: 'utf8' }).stdout.split('\n')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid || !existsSync(`/proc/${pid}/cmdline`)) continue
    const command = spawnSync('cat', [`/proc/${pid}/cmdline`], { encoding: 'utf8' }).stdout
    if (command.includes('containerd') && (command.includes(`${socket}\0`) || command.includes(`${directory}/`)))
      found.push(command.replaceAll('\0', ' '))
  }
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  found.push(...mounts.filter((line) => line.includes(`${directory}/`) || line.includes(join(socket, '..'))))
  if (existsSync(socket)) found.push(socket)
  return found
}

async function startRegistry(directory: string): Promise<ChildProcess> {
  const config = join(directory, 'registry.yml')
  writeFileSync(
    config,
    `version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: ${directory}/registry\nhttp:\n  addr: 127.0.0.1:${REGISTRY_PORT}\n`,
  )
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore' })
  for (let i = 0; ; i++) {
    const isUp = await fetch(`http://127.0.0.1:${REGISTRY_PORT}/v2/`).then(
      (response) => response.ok,
      () => false,
    )
    if (isUp) return child
    assert.ok(i < 200, 'the registry does not answer')
    await delay(50)
  }
}

/** Puts the one image of an OCI archive into the registry. */
async function push(repository: string, tag: string, archive: Buffer): Promise<void> {
  const files = new Map<string, Buffer>()
  const reader = Readable.from([archive]).pipe(extract())
  for await (const entry of reader) {
    const chunks: Buffer[] = []
    for await (const chunk of entry) chunks.push(chunk as Buffer)
    files.set(entry.header.name, Buffer.concat(chunks))
  }
  const base = `http://127.0.0.1:${REGISTRY_PORT}/v2/${repository}`
  const { manifests } = JSON.parse(files.get('index.json')!.toString()) as { manifests: { digest: string; mediaType: string }[] }
  const hexOf = (digest: string) => digest.slice('sha256:'.length)
  const manifestHex = hexOf(manifests[0]!.digest)
  for (const [name, data] of files) {
    const hex = /^blobs\/sha256\/(.*)/.exec(name)?.[1]
    if (!hex || hex === manifestHex) continue
    const begun = await fetch(`${base}/blobs/uploads/`, { method: 'POST' })
    const location = new URL(begun.headers.get('location')!, base)
    location.searchParams.set('digest', `sha256:${hex}`)
    const done = await fetch(location, {
      method: 'PUT',
      body: new Uint8Array(data),
      headers: { 'content-type': 'application/octet-stream' },
    })
    assert.equal(done.status, 201)
  }
  const manifest = new Uint8Array(files.get(`blobs/sha256/${manifestHex}`)!)
  const done = await fetch(`${base}/manifests/${tag}`, {
    method: 'PUT',
    body: manifest,
    headers: { 'content-type': manifests[0]!.mediaType },
  })
  assert.equal(done.status, 201)
}
