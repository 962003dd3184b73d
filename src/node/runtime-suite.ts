/**
 * What every container runtime must do, containerd as well as the simulated one: `containerRuntimeConformance(name, make)` registers
 * these tests. The node agent relies on each of them, and its own tests run on the simulated runtime because both pass this suite.
 * The commands used are those that the simulated runtime understands.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type {
  ContainerConfig,
  ContainerRuntime,
  ContainerStatus,
  RuntimeEvent,
  SandboxConfig,
  SecurityContext,
} from './container-runtime.ts'

export interface RuntimeUnderTest {
  readonly containers: ContainerRuntime
  /** An image with sh, sleep, echo and true that is there or can be pulled. */
  readonly image: string
  /** Exists. */
  readonly logDirectory: string
  readonly cgroupParent: string
  readLog(path: string): Promise<string>
  /** Lets time pass: real, or the runtime's own. */
  pass(ms: number): Promise<void>
}

const security: SecurityContext = {
  namespaces: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' },
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

const STEP_MS = 20
const LIMIT_MS = 20_000
const isNotFound = (error: unknown): boolean => (error as { code?: string }).code === 'NotFound'

export function containerRuntimeConformance(
  name: string,
  make: () => Promise<RuntimeUnderTest>,
  options: { readonly skip?: string | false } = {},
): void {
  describe(`${name} keeps the contract of a container runtime`, { skip: options.skip ?? false }, () => {
    const over = new AbortController()
    const events: RuntimeEvent[] = []
    let on: RuntimeUnderTest
    let sandbox: SandboxConfig
    let sandboxId: string
    let imageId: string

    before(async () => {
      on = await make()
      void (async () => {
        for await (const event of on.containers.events(over.signal)) events.push(event)
      })()
      if (!(await on.containers.imageStatus(on.image))) await on.containers.pullImage(on.image, undefined, over.signal)
      imageId = (await on.containers.imageStatus(on.image))!.id
      sandbox = {
        metadata: { name: 'pod', namespace: 'default', uid: 'suite-uid', attempt: 2 },
        hostname: 'pod',
        logDirectory: on.logDirectory,
        dns: { servers: [], searches: [], options: [] },
        portMappings: [],
        labels: { app: 'suite' },
        annotations: { note: 'kept' },
        linux: { cgroupParent: on.cgroupParent, sysctls: {}, security },
      }
      sandboxId = await on.containers.runPodSandbox(sandbox, '', over.signal)
    })

    after(async () => {
      await on.containers.stopPodSandbox(sandboxId)
      await on.containers.removePodSandbox(sandboxId)
      over.abort()
    })

    const config = (own: string, script: string): ContainerConfig => ({
      metadata: { name: own, attempt: 1 },
      imageId,
      command: ['sh', '-c', script],
      args: [],
      workingDir: '',
      env: [{ key: 'COLOR', value: 'blue' }],
      mounts: [],
      labels: { role: own },
      annotations: { 'proa.dev/test': own },
      logPath: `${own}.log`,
      stdin: false,
      stdinOnce: false,
      tty: false,
      resources: { cpuPeriod: 100_000, cpuQuota: 0, cpuShares: 2, memoryLimitBytes: 0, oomScoreAdj: 1000 },
      security,
    })
    const create = (own: string, script: string) => on.containers.createContainer(sandboxId, config(own, script), sandbox)
    const start = async (own: string, script: string): Promise<string> => {
      const id = await create(own, script)
      await on.containers.startContainer(id)
      return id
    }
    async function until<T>(what: string, look: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
      for (let waited = 0; waited < LIMIT_MS; waited += STEP_MS) {
        const found = await look()
        if (found) return found
        await on.pass(STEP_MS)
      }
      return assert.fail(`not within ${LIMIT_MS} ms: ${what}`)
    }
    const ended = (id: string): Promise<ContainerStatus> =>
      until('the container ends', async () => {
        const status = await on.containers.containerStatus(id)
        return status.state === 'EXITED' && status
      })

    test('a sandbox is ready, has an address, and is listed as it was made', async () => {
      const status = await on.containers.podSandboxStatus(sandboxId)
      assert.equal(status.isReady, true)
      assert.match(status.ips[0] ?? '', /^[0-9a-f.:]+$/)
      assert.deepEqual(status.metadata, sandbox.metadata)
      const listed = (await on.containers.listPodSandboxes()).find(({ id }) => id === sandboxId)
      assert.equal(listed?.labels['app'], 'suite')
      assert.equal(listed?.annotations['note'], 'kept')
    })

    test('a container is made, runs, writes its log and ends, each state in its turn', async () => {
      const id = await create('turns', 'echo hello; sleep 0.3; exit 5')
      assert.equal((await on.containers.containerStatus(id)).state, 'CREATED')
      await on.containers.startContainer(id)
      const running = await on.containers.containerStatus(id)
      assert.equal(running.state, 'RUNNING')
      assert.ok(running.startedAtMs >= running.createdAtMs)
      assert.deepEqual(running.metadata, { name: 'turns', attempt: 1 })
      assert.equal(running.labels['role'], 'turns')
      assert.equal(running.logPath, `${on.logDirectory}/turns.log`)
      const status = await ended(id)
      assert.equal(status.exitCode, 5)
      assert.equal(status.reason, 'Error')
      assert.ok(status.finishedAtMs >= status.startedAtMs)
      assert.match(await on.readLog(status.logPath), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\S* stdout F hello\n$/)
      await on.containers.removeContainer(id)
      await assert.rejects(on.containers.containerStatus(id), isNotFound)
    })

    test('exit code 0 is Completed', async () => {
      const status = await ended(await start('fine', 'true'))
      assert.equal(status.exitCode, 0)
      assert.equal(status.reason, 'Completed')
    })

    test('an event tells of the end, without being asked', async () => {
      const id = await start('told', 'sleep 0.2')
      await until('the start is told', () => events.some((event) => event.id === id))
      events.length = 0
      await until('the end is told', () => events.some((event) => event.id === id && event.kind === 'container'))
      await ended(id)
    })

    test('stopping ends a container, and stopping an ended or unknown one is no error', async () => {
      const id = await start('stopped', 'sleep 1000')
      await on.containers.stopContainer(id, 0)
      assert.notEqual((await ended(id)).exitCode, 0)
      await on.containers.stopContainer(id, 0)
    })

    test('a command runs in a running container and its exit code comes back; limits can be changed', async () => {
      const id = await start('busy', 'sleep 1000')
      const { stdout, exitCode } = await on.containers.execSync(id, ['sh', '-c', 'echo inside; exit 4'], 10)
      assert.equal(new TextDecoder().decode(stdout), 'inside\n')
      assert.equal(exitCode, 4)
      let output = ''
      const sink = new WritableStream<Uint8Array>({ write: (chunk) => void (output += new TextDecoder().decode(chunk)) })
      assert.deepEqual(await on.containers.exec(id, ['echo', 'again'], false, { stdout: sink, signal: over.signal }), { exitCode: 0 })
      assert.equal(output, 'again\n')
      await on.containers.updateContainerResources(id, {
        cpuPeriod: 100_000,
        cpuQuota: 50_000,
        cpuShares: 512,
        memoryLimitBytes: 64 * 2 ** 20,
        oomScoreAdj: 1000,
      })
      await on.containers.stopContainer(id, 0)
      await assert.rejects(on.containers.execSync(id, ['true'], 10))
    })

    test('the list has what runs and what has ended', async () => {
      const id = await start('listed', 'sleep 1000')
      const find = async () => (await on.containers.listContainers()).find((container) => container.id === id)
      assert.deepEqual([(await find())?.state, (await find())?.sandboxId, (await find())?.metadata.name], ['RUNNING', sandboxId, 'listed'])
      await on.containers.stopContainer(id, 0)
      await ended(id)
      assert.equal((await find())?.state, 'EXITED')
      await on.containers.removeContainer(id)
      assert.equal(await find(), undefined)
    })

    test('a stopped sandbox is not ready and its containers have ended; a removed one takes them along', async () => {
      const other = await on.containers.runPodSandbox(
        { ...sandbox, metadata: { ...sandbox.metadata, uid: 'other-uid' }, logDirectory: on.logDirectory },
        '',
        over.signal,
      )
      const id = await on.containers.createContainer(other, config('inside', 'sleep 1000'), sandbox)
      await on.containers.startContainer(id)
      await on.containers.stopPodSandbox(other)
      assert.equal((await on.containers.podSandboxStatus(other)).isReady, false)
      assert.equal((await ended(id)).state, 'EXITED')
      await on.containers.stopPodSandbox(other)
      await on.containers.removePodSandbox(other)
      await assert.rejects(on.containers.podSandboxStatus(other), isNotFound)
      await assert.rejects(on.containers.containerStatus(id), isNotFound)
    })

    test('images: the one that is there is found by name and id, another is undefined', async () => {
      assert.equal((await on.containers.imageStatus(imageId))?.id, imageId)
      assert.equal(await on.containers.imageStatus('proa.invalid/none:1'), undefined)
      assert.ok((await on.containers.listImages()).some(({ id }) => id === imageId))
      await assert.rejects(on.containers.pullImage('proa.invalid/none:1', undefined, over.signal))
    })

    test('unknown ids are NotFound', async () => {
      await assert.rejects(on.containers.containerStatus('nobody'), isNotFound)
      await assert.rejects(on.containers.podSandboxStatus('nobody'), isNotFound)
      await assert.rejects(on.containers.startContainer('nobody'), isNotFound)
    })
  })
}
