/** Real pods outlive what runs them: the node agent is killed in the middle of its steps, the runtime dies, pods hurt themselves. */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { HELLO_IMAGE, helloImageArchive } from '../examples/hello/image.ts'
import type { Pod } from '../src/api/generated/core/v1.ts'
import { createClient } from '../src/client/create-client.ts'
import { createHttpTransport, optionsFromKubeconfig } from '../src/client/http/index.ts'
import { dataDirectory, readRecord } from '../src/cluster/data-directory.ts'
import { loadImageArchive } from '../src/cluster/images.ts'
import { nodeLayouts } from '../src/cluster/node-layout.ts'
import { containerdOptions } from '../src/cluster/real-node.ts'
import { containerdSocket } from '../src/node/cri/containerd.ts'
import { eventually, noContainers, startCluster, type TestCluster } from './harness.ts'

const CONFIGURATION = `
kind: KubeletConfiguration
apiVersion: kubelet.config.k8s.io/v1beta1
podPidsLimit: 64
`

function connect(t: TestContext, cluster: TestCluster) {
  const { transport, close } = createHttpTransport(optionsFromKubeconfig(readFileSync(cluster.kubeconfig, 'utf8')))
  t.after(close)
  return createClient(transport)
}

const pod = (name: string, container: object, spec: object = {}): Pod => ({
  metadata: { namespace: 'default', name },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [{ name: 'c', image: HELLO_IMAGE, command: ['sleep', '3600'], ...container }],
    ...spec,
  },
})

function containerdPid(cluster: TestCluster): number {
  const directory = dataDirectory(cluster.dataDir)
  const socket = containerdSocket(containerdOptions(nodeLayouts(directory, readRecord(directory)!)[0]!))
  return Number(readFileSync(socket.replace('containerd.sock', 'containerd.pid'), 'utf8').split(' ')[0])
}

test('real pods outlive faults', { skip: noContainers() }, async (t) => {
  const cluster = await startCluster(t, ['--runtime=containerd'], (dataDir) => {
    mkdirSync(join(dataDir, 'node'), { recursive: true })
    writeFileSync(join(dataDir, 'node', 'kubelet.yaml'), CONFIGURATION)
  })
  await loadImageArchive(dataDirectory(cluster.dataDir), await helloImageArchive())
  let client = connect(t, cluster)
  const get = (name: string) => client.get('v1/Pod', { namespace: 'default', name })
  const until = (name: string, what: string, holds: (status: NonNullable<Pod['status']>) => boolean, timeoutMs?: number) =>
    eventually(
      `${name} ${what}`,
      async () => {
        const { status } = await get(name)
        return status && holds(status) ? status : undefined
      },
      timeoutMs,
    )
  const restart = async () => {
    process.kill(cluster.pid(), 'SIGKILL')
    await cluster.up('--wait')
    client = connect(t, cluster)
  }

  await t.test(
    'the agent is killed in the middle of its steps: every pod comes to run once, none is restarted, none is twice',
    async () => {
      const names = Array.from({ length: 12 }, (_, i) => `step-${i}`)
      for (const name of names) {
        const init = { name: 'i', image: HELLO_IMAGE, command: ['true'] }
        await client.create('v1/Pod', pod(name, {}, { initContainers: [init], volumes: [{ name: 'v', emptyDir: {} }] }))
        // Each time a little later in what follows.
        if (Number(name.slice(5)) % 4 === 3) {
          await delay(Number(name.slice(5)) * 30)
          await restart()
        }
      }
      for (const name of names) await until(name, 'is ready', (status) => status.containerStatuses?.[0]?.ready === true, 60_000)
      for (const name of names) assert.equal((await get(name)).status?.containerStatuses?.[0]?.restartCount, 0, name)
      for (const name of names) await client.delete('v1/Pod', { namespace: 'default', name })
      process.kill(cluster.pid(), 'SIGKILL')
      await cluster.up('--wait')
      client = connect(t, cluster)
      await eventually('all are gone', async () => (await client.list('v1/Pod', { namespace: 'default' })).items.length === 0)
    },
  )

  await t.test('what happens while the agent is away is told afterwards, and no log is lost', async () => {
    await client.create(
      'v1/Pod',
      pod('ends', { command: ['sh', '-c', 'echo begun; sleep 2; echo over; exit 7'] }, { restartPolicy: 'Never' }),
    )
    await client.create('v1/Pod', pod('stays', { command: ['sh', '-c', 'while :; do date +%s; sleep 0.2; done'] }))
    await until('ends', 'runs', (status) => status.phase === 'Running')
    const { containerID } = (await until('stays', 'runs', (status) => status.phase === 'Running')).containerStatuses![0]!
    process.kill(cluster.pid(), 'SIGKILL')
    await delay(3000)
    await cluster.up('--wait')
    client = connect(t, cluster)
    const ended = (await until('ends', 'has failed', (status) => status.phase === 'Failed')).containerStatuses![0]!.state!.terminated!
    assert.deepEqual([ended.exitCode, ended.reason], [7, 'Error'])
    const tookMs = Date.parse(ended.finishedAt!) - Date.parse(ended.startedAt!)
    assert.ok(tookMs >= 1000 && tookMs <= 4000, `${tookMs}`)
    const stays = (await get('stays')).status!.containerStatuses![0]!
    assert.deepEqual([stays.containerID, stays.restartCount, stays.ready], [containerID, 0, true])
    const { stdout } = await cluster.tryKubectl(['logs', 'ends'])
    assert.equal(stdout, 'begun\nover\n')
    const seconds = (await cluster.tryKubectl(['logs', 'stays'])).stdout.trim().split('\n').map(Number)
    // Every second is there, those of the agent's absence too.
    for (let i = 1; i < seconds.length; i++) assert.ok(seconds[i]! - seconds[i - 1]! <= 1, `${seconds[i - 1]} ${seconds[i]}`)
  })

  await t.test('the runtime dies: containers go on, and pods come and go again by themselves', async () => {
    const before = (await get('stays')).status!.containerStatuses![0]!.containerID
    const pid = containerdPid(cluster)
    process.kill(pid, 'SIGKILL')
    await client.create('v1/Pod', pod('after', {}))
    await until('after', 'is ready', (status) => status.containerStatuses?.[0]?.ready === true, 60_000)
    assert.notEqual(containerdPid(cluster), pid)
    const stays = (await get('stays')).status!.containerStatuses![0]!
    assert.deepEqual([stays.containerID, stays.restartCount], [before, 0])
    await client.delete('v1/Pod', { namespace: 'default', name: 'after' })
    await client.delete('v1/Pod', { namespace: 'default', name: 'stays' })
  })

  await t.test('pods that hurt themselves are told as they are', async () => {
    const limits = { resources: { limits: { memory: '20Mi', cpu: '200m' } } }
    const never = { restartPolicy: 'Never' }
    await client.create('v1/Pod', pod('hungry', { ...limits, command: ['sh', '-c', 'x=a; while :; do x=$x$x; done'] }, never))
    await client.create('v1/Pod', pod('forks', { ...limits, command: ['sh', '-c', 'f() { f | f & }; f; sleep 2'] }, never))
    await client.create('v1/Pod', pod('wrong', { command: ['/none'] }, never))
    await client.create('v1/Pod', pod('stubborn', { command: ['sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done'] }))
    const terminated = async (name: string) =>
      (await until(name, 'has ended', (status) => status.phase === 'Failed' || status.phase === 'Succeeded', 60_000)).containerStatuses![0]!
        .state!.terminated!
    const hungry = await terminated('hungry')
    assert.deepEqual([hungry.reason, hungry.exitCode], ['OOMKilled', 137])
    const wrong = await terminated('wrong')
    assert.deepEqual([wrong.reason, wrong.exitCode], ['StartError', 128])
    await terminated('forks')
    await until('stubborn', 'runs', (status) => status.phase === 'Running')
    await client.delete('v1/Pod', { namespace: 'default', name: 'stubborn' })
    await eventually('it is gone', async () =>
      (await client.list('v1/Pod', { namespace: 'default' })).items.every(({ metadata }) => metadata?.name !== 'stubborn'),
    )
  })

  await t.test('volumes that cannot be mounted hold a pod up, and it goes on by itself when they can', async () => {
    const volumes = [
      { name: 'h', hostPath: { path: `${cluster.dataDir}/later`, type: 'Directory' } },
      { name: 'c', configMap: { name: 'later' } },
    ]
    await client.create('v1/Pod', pod('waits', {}, { volumes }))
    const events = async () =>
      (await client.list('v1/Event', { namespace: 'default' })).items.filter(({ involvedObject }) => involvedObject.name === 'waits')
    const messages = await eventually('both are told', async () => {
      const found = (await events()).filter(({ reason }) => reason === 'FailedMount').map(({ message }) => message)
      return found.length >= 2 && found
    })
    assert.ok(messages.includes('MountVolume.SetUp failed for volume "c" : configmap "later" not found'), messages.join('; '))
    assert.ok(messages.some((message) => message?.startsWith('MountVolume.SetUp failed for volume "h" : hostPath type check failed: ')))
    assert.equal((await get('waits')).status?.containerStatuses?.[0]?.state?.waiting?.reason, 'ContainerCreating')
    await client.create('v1/ConfigMap', { metadata: { namespace: 'default', name: 'later' } })
    mkdirSync(`${cluster.dataDir}/later`)
    await until('waits', 'runs', (status) => status.phase === 'Running', 60_000)
  })
})
