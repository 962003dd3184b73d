import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventsOf, podOf, start } from './agent.test-support.ts'

test('a node registers and becomes ready', async (t) => {
  const { client, clock } = await start(t)
  const node = await client.get('v1/Node', { name: 'n1' })
  assert.equal(node.status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True')
  assert.equal(node.metadata?.labels?.['kubernetes.io/hostname'], 'n1')
  await clock.advance(25_000)
  const lease = await client.get('coordination.k8s.io/v1/Lease', { namespace: 'kube-node-lease', name: 'n1' })
  assert.equal(lease.spec?.renewTime, '2026-01-01T00:00:20.000000Z')
})

test('a pod becomes ready without time passing', async (t) => {
  const { client, clock, pod } = await start(t)
  await client.create('v1/Pod', podOf('a'))
  await clock.settle()
  const { status } = await pod('a')
  assert.equal(status?.phase, 'Running', JSON.stringify(status, null, 1))
  assert.equal(status?.podIP, '10.244.1.2')
  assert.equal(status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True')
  assert.match(status?.containerStatuses?.[0]?.containerID ?? '', /^simulated:\/\//)
})

test('a deleted pod ends, is removed from the API, and leaves nothing behind', async (t) => {
  const { client, clock, pod, containers, host } = await start(t)
  await client.create('v1/Pod', podOf('a'))
  await clock.settle()
  await client.delete('v1/Pod', { namespace: 'default', name: 'a' })
  await clock.settle()
  await assert.rejects(pod('a'), /not found/)
  assert.deepEqual(await containers.listContainers(), [])
  assert.deepEqual(await containers.listPodSandboxes(), [])
  assert.deepEqual(await host.listDirectory('/data/pods'), [])
  assert.deepEqual(await eventsOf(client, 'a'), [
    'Pulling: Pulling image "nginx:latest"',
    'Pulled: Successfully pulled image "nginx:latest" in 0s (0s including waiting). Image size: 1000000 bytes.',
    'Created: Container created',
    'Started: Container started',
    'Killing: Stopping container main',
  ])
})

test('a container that crashes is restarted with back-off', async (t) => {
  const { client, clock, pod } = await start(t)
  await client.create('v1/Pod', podOf('a', { containers: [{ name: 'main', image: 'busybox', command: ['sh', '-c', 'exit 3'] }] }))
  await clock.advance(1000)
  // The first restart is at once, the second waits ten seconds.
  let status = (await pod('a')).status?.containerStatuses?.[0]
  assert.equal(status?.restartCount, 1)
  assert.equal(status.state?.waiting?.reason, 'CrashLoopBackOff')
  assert.match(status.state?.waiting?.message ?? '', /^back-off 10s restarting failed container=main pod=a_default\(/)
  assert.equal(status.lastState?.terminated?.exitCode, 3)
  await clock.advance(10_000)
  status = (await pod('a')).status?.containerStatuses?.[0]
  assert.equal(status?.restartCount, 2)
  assert.match(status?.state?.waiting?.message ?? '', /^back-off 20s /)
  assert.equal((await pod('a')).status?.phase, 'Running')
})

for (const [policy, code, phase] of [
  ['Never', 0, 'Succeeded'],
  ['Never', 1, 'Failed'],
  ['OnFailure', 0, 'Succeeded'],
] as const)
  test(`restartPolicy ${policy} with exit code ${code} comes to ${phase}`, async (t) => {
    const { client, clock, pod, containers } = await start(t)
    await client.create(
      'v1/Pod',
      podOf('a', {
        restartPolicy: policy,
        containers: [{ name: 'main', image: 'busybox', command: ['sh', '-c', `sleep 2; exit ${code}`] }],
      }),
    )
    await clock.advance(1000)
    assert.equal((await pod('a')).status?.phase, 'Running')
    await clock.advance(2000)
    const { status } = await pod('a')
    assert.equal(status?.phase, phase)
    assert.equal(status?.containerStatuses?.[0]?.state?.terminated?.exitCode, code)
    assert.equal(status?.conditions?.find(({ type }) => type === 'Ready')?.reason, phase === 'Failed' ? 'PodFailed' : 'PodCompleted')
    assert.equal((await containers.listPodSandboxes())[0]?.isReady, false)
  })

test('init containers run in order, a sidecar stays, and the pod waits for them', async (t) => {
  const { client, clock, pod, containers } = await start(t)
  await client.create(
    'v1/Pod',
    podOf('a', {
      restartPolicy: 'Never',
      initContainers: [
        { name: 'first', image: 'busybox', command: ['sleep', '5'] },
        { name: 'sidecar', image: 'proxy', restartPolicy: 'Always' },
        { name: 'second', image: 'busybox', command: ['sleep', '5'] },
      ],
      containers: [{ name: 'main', image: 'busybox', command: ['sleep', '10'] }],
    }),
  )
  const runs = async () =>
    (await containers.listContainers()).filter(({ state }) => state === 'RUNNING').map(({ metadata }) => metadata.name)
  await clock.advance(1000)
  assert.deepEqual(await runs(), ['first'])
  assert.equal((await pod('a')).status?.phase, 'Pending')
  assert.equal(
    (await pod('a')).status?.conditions?.find(({ type }) => type === 'Initialized')?.message,
    'containers with incomplete status: [first sidecar second]',
  )
  await clock.advance(5000)
  assert.deepEqual(await runs(), ['sidecar', 'second'])
  await clock.advance(5000)
  assert.deepEqual(await runs(), ['sidecar', 'main'])
  assert.equal((await pod('a')).status?.phase, 'Running')
  await clock.advance(10_000)
  // The sidecar is ended with the container that it served.
  assert.deepEqual(await runs(), [])
  assert.equal((await pod('a')).status?.phase, 'Succeeded')
})

test('an init container that fails for good fails the pod', async (t) => {
  const { client, clock, pod } = await start(t)
  await client.create(
    'v1/Pod',
    podOf('a', { restartPolicy: 'Never', initContainers: [{ name: 'init', image: 'busybox', command: ['false'] }] }),
  )
  await clock.advance(100)
  assert.equal((await pod('a')).status?.phase, 'Failed')
})

test('an image that cannot be pulled is tried again with back-off', async (t) => {
  const { client, clock, pod } = await start(t)
  await client.create('v1/Pod', podOf('a', { containers: [{ name: 'main', image: 'invalid.example/x' }] }))
  await clock.advance(20)
  const waiting = async () => (await pod('a')).status?.containerStatuses?.[0]?.state?.waiting
  assert.equal((await waiting())?.reason, 'ErrImagePull')
  await clock.advance(3000)
  assert.equal((await waiting())?.reason, 'ImagePullBackOff')
  assert.match((await waiting())?.message ?? '', /^Back-off pulling image "invalid.example\/x:latest": ErrImagePull: failed to pull/)
  assert.equal((await pod('a')).status?.phase, 'Pending')
  await client.delete('v1/Pod', { namespace: 'default', name: 'a' })
  await clock.settle()
  await assert.rejects(pod('a'), /not found/)
})

test('a missing ConfigMap holds the pod up, and its coming starts it; its change reaches the volume', async (t) => {
  const { client, clock, pod, host } = await start(t)
  await client.create(
    'v1/Pod',
    podOf('a', {
      volumes: [{ name: 'config', configMap: { name: 'settings' } }],
      containers: [
        {
          name: 'main',
          image: 'nginx',
          env: [{ name: 'COLOR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'color' } } }],
          volumeMounts: [{ name: 'config', mountPath: '/etc/config' }],
        },
      ],
    }),
  )
  await clock.advance(20)
  assert.equal((await pod('a')).status?.containerStatuses?.[0]?.state?.waiting?.reason, 'ContainerCreating')
  assert.deepEqual(await eventsOf(client, 'a'), [
    'FailedMount: MountVolume.SetUp failed for volume "config" : configmap "settings" not found',
  ])
  await client.create('v1/ConfigMap', { metadata: { name: 'settings', namespace: 'default' }, data: { color: 'red' } })
  await clock.settle()
  assert.equal((await pod('a')).status?.phase, 'Running')
  const uid = (await pod('a')).metadata?.uid
  const path = `/data/pods/${uid}/volumes/kubernetes.io~configmap/config/color`
  assert.equal(host.read(path), 'red')
  await client.patch('v1/ConfigMap', { namespace: 'default', name: 'settings' }, 'merge', { data: { color: 'blue' } })
  await clock.settle()
  assert.equal(host.read(path), 'blue')
})

test('a missing Secret in the environment is a configuration error until it is there', async (t) => {
  const { client, clock, pod } = await start(t)
  await client.create('v1/Pod', podOf('a', { containers: [{ name: 'main', image: 'nginx', envFrom: [{ secretRef: { name: 'keys' } }] }] }))
  await clock.advance(20)
  const waiting = async () => (await pod('a')).status?.containerStatuses?.[0]?.state?.waiting
  assert.deepEqual(await waiting(), { reason: 'CreateContainerConfigError', message: 'secret "keys" not found' })
  await client.create('v1/Secret', { metadata: { name: 'keys', namespace: 'default' }, data: { a: 'Yg==' } })
  await clock.settle()
  assert.equal(await waiting(), undefined)
})

test("a restarted agent adopts what runs, reports what ended, and removes what is nobody's", async (t) => {
  const { client, clock, pod, containers, makeAgent, agentStop, running, stop } = await start(t)
  await client.create(
    'v1/Pod',
    podOf('stays', { containers: [{ name: 'main', image: 'nginx', readinessProbe: { httpGet: { port: 80 } } }] }),
  )
  await client.create(
    'v1/Pod',
    podOf('ends', { restartPolicy: 'Never', containers: [{ name: 'main', image: 'busybox', command: ['sleep', '60'] }] }),
  )
  await client.create('v1/Pod', podOf('deleted'))
  await clock.advance(20_000)
  const before = await pod('stays')
  assert.equal(before.status?.containerStatuses?.[0]?.ready, true)
  agentStop.abort()
  await clock.settle()
  await running
  await client.delete('v1/Pod', { namespace: 'default', name: 'deleted' }, { gracePeriodSeconds: 0 })
  await clock.advance(60_000)
  const again = makeAgent()
  const secondRun = again.run(stop.signal)
  await clock.settle()
  const after = await pod('stays')
  assert.equal(after.status?.containerStatuses?.[0]?.containerID, before.status?.containerStatuses?.[0]?.containerID)
  assert.equal(after.status?.containerStatuses?.[0]?.ready, true)
  assert.deepEqual(after.status, before.status)
  assert.equal((await pod('ends')).status?.phase, 'Succeeded')
  const names = (await containers.listPodSandboxes()).map(({ metadata }) => metadata.name)
  assert.deepEqual(names, ['stays', 'ends'])
  t.after(() => secondRun)
})

test('a liveness probe that fails restarts the container, and readiness follows the probe', async (t) => {
  const clockStart = { isHealthy: true }
  const { client, clock, pod } = await start(t, { isHealthy: () => clockStart.isHealthy })
  const probe = { httpGet: { port: 80 }, periodSeconds: 1, failureThreshold: 3 }
  await client.create(
    'v1/Pod',
    podOf('a', { containers: [{ name: 'main', image: 'nginx', readinessProbe: probe, livenessProbe: { ...probe, failureThreshold: 5 } }] }),
  )
  await clock.advance(100)
  const main = async () => (await pod('a')).status?.containerStatuses?.[0]
  assert.equal((await main())?.ready, true)
  clockStart.isHealthy = false
  await clock.advance(3000)
  assert.equal((await main())?.ready, false)
  assert.equal((await main())?.restartCount, 0)
  clockStart.isHealthy = true
  await clock.advance(1000)
  assert.equal((await main())?.ready, true)
  clockStart.isHealthy = false
  await clock.advance(5000)
  assert.equal((await main())?.restartCount, 1)
  const events = await eventsOf(client, 'a')
  assert.ok(events.includes('Unhealthy: Liveness probe failed: HTTP probe failed with statuscode: 503'))
  assert.ok(events.includes('Killing: Container main failed liveness probe, will be restarted'))
})

test('activeDeadlineSeconds fails the pod', async (t) => {
  const { client, clock, pod } = await start(t)
  await client.create('v1/Pod', podOf('a', { activeDeadlineSeconds: 30 }))
  await clock.advance(31_000)
  const { status } = await pod('a')
  assert.equal(status?.phase, 'Failed')
  assert.equal(status?.reason, 'DeadlineExceeded')
})

test('logs, exec and their errors', async (t) => {
  const { client, clock, pod, agent } = await start(t)
  await client.create(
    'v1/Pod',
    podOf('a', { containers: [{ name: 'main', image: 'busybox', command: ['sh', '-c', 'echo one; echo two; sleep 30'] }] }),
  )
  await clock.settle()
  const ref = { namespace: 'default', name: 'a', uid: (await pod('a')).metadata!.uid! }
  const read = async (options: object) => {
    let text = ''
    for await (const chunk of await agent.service.logs(ref, { container: 'main', ...options }, new AbortController().signal))
      text += new TextDecoder().decode(chunk)
    return text
  }
  assert.equal(await read({}), 'one\ntwo\n')
  assert.equal(await read({ tailLines: 1 }), 'two\n')
  assert.equal(await read({ timestamps: true, tailLines: 1 }), '2026-01-01T00:00:00.000000000Z two\n')
  assert.equal(await read({ limitBytes: 5 }), 'one\nt')
  const followed = read({ follow: true })
  await clock.advance(31_000)
  // The container ended, and with it the log.
  assert.equal(await followed, 'one\ntwo\n')
  await assert.rejects(
    agent.service.logs(ref, { container: 'other' }, new AbortController().signal),
    /container "other" in pod "a" is not available/,
  )
  let output = ''
  const stdout = new WritableStream<Uint8Array>({ write: (chunk) => void (output += new TextDecoder().decode(chunk)) })
  const outcome = await agent.service.exec(
    ref,
    { container: 'main', command: ['echo', 'hello'], tty: false },
    { stdout, signal: new AbortController().signal },
  )
  assert.deepEqual(outcome, { exitCode: 0 })
  assert.equal(output, 'hello\n')
})

test('fifty pods become ready together', async (t) => {
  const { client, clock } = await start(t)
  await Promise.all(Array.from({ length: 50 }, (_, index) => client.create('v1/Pod', podOf(`p${index}`))))
  await clock.settle()
  const { items } = await client.list('v1/Pod', { namespace: 'default' })
  assert.equal(items.filter((one) => one.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')).length, 50)
  assert.equal(new Set(items.map((one) => one.status?.podIP)).size, 50)
})

test('a pod is resized in place, or its container restarted when its policy asks for that', async (t) => {
  const { client, clock, pod } = await start(t)
  const resources = { requests: { cpu: '100m', memory: '64Mi' }, limits: { cpu: '200m' } }
  await client.create(
    'v1/Pod',
    podOf('a', {
      containers: [
        { name: 'live', image: 'nginx', resources },
        { name: 'restarted', image: 'nginx', resources, resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }] },
      ],
    }),
  )
  await clock.settle()
  const next = { ...resources, limits: { cpu: '300m' } }
  const patch = {
    spec: {
      containers: [
        { name: 'live', resources: next },
        { name: 'restarted', resources: next },
      ],
    },
  }
  const watched: string[] = []
  const stop = new AbortController()
  void (async () => {
    for await (const batch of client.watch('v1/Pod', { namespace: 'default', signal: stop.signal }))
      for (const { object } of batch)
        watched.push(...(object.status?.conditions ?? []).filter(({ type }) => type === 'PodResizeInProgress').map(({ status }) => status))
  })()
  await client.patch('v1/Pod', { namespace: 'default', name: 'a' }, 'strategic', patch)
  await clock.settle()
  stop.abort()
  const { status } = await pod('a')
  assert.deepEqual(
    status?.containerStatuses?.map(({ restartCount, resources: got }) => [restartCount, got?.limits?.['cpu']]),
    [
      [0, '300m'],
      [1, '300m'],
    ],
  )
  assert.equal(
    status?.conditions?.some(({ type }) => type === 'PodResizeInProgress'),
    false,
  )
  assert.ok(watched.includes('True'))
})

test('a pod that does not fit, or asks for what is not safe, is rejected for good', async (t) => {
  const { client, clock, pod } = await start(t)
  await client.create('v1/Pod', podOf('big', { containers: [{ name: 'main', image: 'nginx', resources: { requests: { cpu: '33' } } }] }))
  await client.create('v1/Pod', podOf('unsafe', { securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] } }))
  await clock.settle()
  const big = (await pod('big')).status
  assert.deepEqual(
    [big?.phase, big?.reason, big?.message],
    ['Failed', 'OutOfcpu', "Pod was rejected: Node didn't have enough resource: cpu, requested: 33000, used: 0, capacity: 32000"],
  )
  const unsafe = (await pod('unsafe')).status
  assert.deepEqual(
    [unsafe?.phase, unsafe?.reason, unsafe?.message],
    ['Failed', 'SysctlForbidden', 'Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted'],
  )
})

test('an ephemeral container starts in a pod that runs', async (t) => {
  const { client, clock, pod } = await start(t)
  await client.create('v1/Pod', podOf('a'))
  await clock.settle()
  await client.patch('v1/Pod', { namespace: 'default', name: 'a' }, 'strategic', {
    spec: { ephemeralContainers: [{ name: 'debug', image: 'busybox', targetContainerName: 'main' }] },
  })
  await clock.settle()
  const { status } = await pod('a')
  assert.ok(status?.ephemeralContainerStatuses?.[0]?.state?.running)
  assert.equal(status.phase, 'Running')
})

test('a service account token is asked for, and renewed when most of its life is over', async (t) => {
  const asked: number[] = []
  const { client, clock, host, pod } = await start(t, {}, (request) => {
    asked.push(request.spec.expirationSeconds)
    return {
      ...request,
      status: {
        token: `token-${asked.length}`,
        expirationTimestamp: new Date(clock.now() + request.spec.expirationSeconds * 1000).toISOString(),
      },
    }
  })
  await client.create(
    'v1/Pod',
    podOf('a', {
      volumes: [{ name: 'token', projected: { sources: [{ serviceAccountToken: { path: 'token', expirationSeconds: 1000 } }] } }],
    }),
  )
  await clock.settle()
  const path = `/data/secrets/${(await pod('a')).metadata?.uid}/volumes/kubernetes.io~projected/token/token`
  assert.equal(host.read(path), 'token-1')
  await clock.advance(799_000)
  assert.equal(host.read(path), 'token-1')
  await clock.advance(2000)
  assert.equal(host.read(path), 'token-2')
  assert.deepEqual(asked, [1000, 1000])
})
