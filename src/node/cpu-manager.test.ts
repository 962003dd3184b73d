import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../api/generated/core/v1.ts'
import { podOf, start } from './agent.test-support.ts'
import { nodeConfiguration } from './configuration.ts'
import type { LinuxResources } from './container-runtime.ts'
import { createCpuManager, exclusiveCpus, formatCpus } from './cpu-manager.ts'

const whole = (cpu: string) => ({ limits: { cpu, memory: '1Gi' }, requests: { cpu, memory: '1Gi' } })
const pod = (uid: string, ...cpus: readonly string[]): Pod => ({
  metadata: { uid },
  spec: { containers: cpus.map((cpu, at) => ({ name: `c${at}`, resources: whole(cpu) })) },
})

test('sets of CPUs as Linux writes them', () => {
  assert.deepEqual([[], [3], [0, 1, 2, 5, 7, 8]].map(formatCpus), ['', '3', '0-2,5,7-8'])
})

test('who gets CPUs of its own', () => {
  const count = (cpu: string) => exclusiveCpus(pod('u', cpu), pod('u', cpu).spec!.containers[0]!)
  assert.deepEqual([count('2'), count('1500m'), count('1000m')], [2, 0, 1])
  const burstable: Pod = { spec: { containers: [{ name: 'c', resources: { requests: { cpu: '1' } } }] } }
  assert.equal(exclusiveCpus(burstable, burstable.spec!.containers[0]!), 0)
})

test('CPUs are given, are refused when there are none, and come back', () => {
  const configuration = nodeConfiguration({ cpuManagerPolicy: 'static', reservedSystemCPUs: '0' })
  const manager = createCpuManager(configuration, 6)!
  assert.equal(manager.shared, '0-5')
  manager.allocate(pod('a', '2', '500m', '1'))
  assert.deepEqual(
    ['c0', 'c1', 'c2'].map((name) => manager.cpusOf('a', name)),
    [
      { cpus: '1-2', isExclusive: true },
      { cpus: '0,4-5', isExclusive: false },
      { cpus: '3', isExclusive: true },
    ],
  )
  assert.throws(
    () => manager.allocate(pod('b', '1', '2')),
    /^Error: not enough cpus available to satisfy request: requested=2, available=1$/,
  )
  assert.equal(manager.shared, '0,4-5')
  manager.release('a')
  manager.adopt('d', 'c', '4-5')
  assert.equal(manager.shared, '0-3')
  assert.equal(createCpuManager(nodeConfiguration(), 6), undefined)
  assert.throws(() => createCpuManager(nodeConfiguration({ cpuManagerPolicy: 'static' }), 6), /requires systemreserved.cpu/)
})

test('containers run on the CPUs that are theirs; what is shared shrinks and grows for all others', async (t) => {
  const made = new Map<string, string | undefined>()
  const { client, clock } = await start(t, { facts: { cpuCount: 4 } }, undefined, {
    configuration: { cpuManagerPolicy: 'static', reservedSystemCPUs: '0' },
    containers: (plain) => ({
      ...plain,
      async createContainer(sandboxId, config, sandbox) {
        const id = await plain.createContainer(sandboxId, config, sandbox)
        made.set(sandbox.metadata.name, config.resources.cpus)
        return id
      },
      async updateContainerResources(id, resources: LinuxResources) {
        const { labels } = await plain.containerStatus(id)
        made.set(labels['io.kubernetes.pod.name']!, resources.cpus)
      },
    }),
  })
  await client.create('v1/Pod', podOf('shares'))
  await clock.advance(100)
  assert.equal(made.get('shares'), '0-3')
  await client.create('v1/Pod', podOf('owns', { containers: [{ name: 'main', image: 'nginx', resources: whole('2') }] }))
  await clock.advance(100)
  assert.deepEqual([made.get('owns'), made.get('shares')], ['1-2', '0,3'])
  await client.create('v1/Pod', podOf('late', { containers: [{ name: 'main', image: 'nginx', resources: whole('1') }] }))
  await clock.advance(100)
  assert.equal(made.get('late'), '3')
  await client.delete('v1/Pod', { namespace: 'default', name: 'owns' })
  await clock.advance(60_000)
  assert.equal(made.get('shares'), '0-2')
})
