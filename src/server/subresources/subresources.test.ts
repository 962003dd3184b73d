import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeService } from '../../api/node-service.ts'
import type { PodDisruptionBudget } from '../../api/generated/policy/v1.ts'
import { defineResource } from '../resource.ts'
import { startServer } from '../server.test-support.ts'

const PODS = '/api/v1/namespaces/default/pods'
const pods = defineResource({ group: '', version: 'v1', kind: 'Pod', prepareForUpdate: (next) => next })

const pod = (name: string, ...containers: readonly string[]) => ({
  metadata: { name, labels: { app: 'web' } },
  spec: { nodeName: 'n1', containers: containers.map((container) => ({ name: container, image: 'i' })) },
})

const asked: unknown[] = []
const node: NodeService = {
  async logs(of, options) {
    asked.push([of.name, options.container, options.tailLines])
    return (async function* () {
      yield new TextEncoder().encode('line\n')
    })()
  },
  async exec(of, options) {
    asked.push([of.name, options.container, options.command])
    return { exitCode: 3 }
  },
  async attach() {
    throw new Error('the container has ended')
  },
  async portForward() {},
}

test('logs, exec and attach go to the node of the pod, once it is clear which container is meant', async (t) => {
  const { call } = await startServer(t, { nodeConnector: (name) => (name === 'n1' ? node : undefined) })
  await call('POST', PODS, pod('one', 'c'))
  await call('POST', PODS, pod('two', 'a', 'b'))
  const messageOf = async (path: string) => (await call('GET', path)).body.message
  assert.equal(await messageOf(`${PODS}/two/log`), 'a container name must be specified for pod two, choose one of: [a b]')
  assert.equal(await messageOf(`${PODS}/two/log?container=x`), 'container x is not valid for pod two')
  assert.equal(await messageOf(`${PODS}/one/exec`), 'you must specify at least 1 command for the container')
  assert.equal(
    await messageOf(`${PODS}/one/log?tailLines=-1`),
    'PodLogOptions "one" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
  )
  const { response: log } = await call('GET', `${PODS}/one/log?tailLines=5`)
  assert.ok(log.type === 'raw' && !(log.body instanceof Uint8Array))
  assert.equal(new TextDecoder().decode((await Array.fromAsync(log.body))[0]), 'line\n')
  const { response: exec } = await call('POST', `${PODS}/two/exec?container=b&command=ls&command=-l&stdin=1&tty=1`)
  assert.ok(exec.type === 'upgrade')
  assert.deepEqual(exec.use, { kind: 'exec', stdin: true, stdout: true, stderr: false, tty: true })
  const outcomes: unknown[] = []
  const signal = new AbortController().signal
  await exec.serve({ kind: 'exec', streams: { signal }, finish: (outcome) => void outcomes.push(outcome) })
  const { response: attach } = await call('POST', `${PODS}/one/attach`)
  assert.ok(attach.type === 'upgrade')
  await attach.serve({ kind: 'attach', streams: { signal }, finish: (outcome) => void outcomes.push(outcome) })
  assert.deepEqual(outcomes, [{ exitCode: 3 }, { error: 'the container has ended' }])
  assert.deepEqual(asked, [
    ['one', 'c', 5],
    ['two', 'b', ['ls', '-l']],
  ])
})

test('an eviction takes from the budget, and is refused when it is spent', async (t) => {
  const { call } = await startServer(t, { resources: [pods] })
  const budgets = '/apis/policy/v1/namespaces/default/poddisruptionbudgets'
  for (const name of ['p1', 'p2', 'p3']) {
    await call('POST', PODS, pod(name, 'c'))
    await call('PUT', `${PODS}/${name}/status`, {
      ...pod(name, 'c'),
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
    })
  }
  const evict = (name: string) =>
    call('POST', `${PODS}/${name}/eviction`, { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name } })
  assert.equal((await evict('p3')).status, 201)
  const made = await call('POST', budgets, {
    metadata: { name: 'b' },
    spec: { minAvailable: 1, selector: { matchLabels: { app: 'web' } } },
  })
  const early = await evict('p1')
  assert.deepEqual(
    [early.status, early.body.details.causes[0].message],
    [429, 'The disruption budget b is still being processed by the server.'],
  )
  const status = { disruptionsAllowed: 1, currentHealthy: 2, desiredHealthy: 1, expectedPods: 2, observedGeneration: 1 }
  assert.equal((await call('PUT', `${budgets}/b/status`, { ...made.body, status })).status, 200)
  assert.equal((await evict('p1')).status, 201)
  assert.equal((await call('GET', `${PODS}/p1`)).status, 404)
  const budget = (await call('GET', `${budgets}/b`)).body as PodDisruptionBudget
  assert.deepEqual([budget.status?.disruptionsAllowed, Object.keys(budget.status?.disruptedPods ?? {})], [0, ['p1']])
  const refused = await evict('p2')
  assert.deepEqual([refused.status, refused.body.message], [429, "Cannot evict pod as it would violate the pod's disruption budget."])
  assert.equal((await call('GET', `${PODS}/p2`)).status, 200)
})
