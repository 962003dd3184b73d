import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HorizontalPodAutoscaler, MetricSpec } from '../../api/generated/autoscaling/v2.ts'
import { failure } from '../../api/status.ts'
import type { Client } from '../../client/client.ts'
import { keepsRunning, startControllers } from '../built-in.test-support.ts'

const KIND = 'autoscaling/v2/HorizontalPodAutoscaler'
const DEPLOYMENT = 'apps/v1/Deployment'
const SHOP = 'shop'
const web = { namespace: SHOP, name: 'web' }

/** A cluster whose metrics APIs say what the test wants; the paths that were asked are noted. */
async function start(t: { after(fn: () => Promise<void>): void }, metrics: MetricSpec[], more: object = {}) {
  const answers = new Map<string, unknown>()
  const asked: string[] = []
  const getPath: Client['getPath'] = async (path, query = {}) => {
    const full = `${path}?${new URLSearchParams(query).toString()}`
    asked.push(full)
    for (const [prefix, answer] of answers) if (full.startsWith(prefix)) return answer
    throw failure('NotFound', '404 page not found')
  }
  const cluster = await startControllers(t, {
    runPod: (pod, now) => ({ ...keepsRunning(pod, now), startTime: now }),
    wrap: (client) => ({ ...client, getPath }),
  })
  const { admin, clock } = cluster
  await admin.create('v1/Namespace', { metadata: { name: SHOP } })
  const labels = { app: 'web' }
  const containers = [{ name: 'c', image: 'x', resources: { requests: { cpu: '100m', memory: '64Mi' } } }]
  const spec = { replicas: 2, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } }
  await admin.create(DEPLOYMENT, { metadata: web, spec })
  await clock.advance(1000)
  // Past the time in which a starting pod's cpu use says little.
  await clock.advance(400_000)
  const cpuOf = async (milli: number) => {
    const timestamp = new Date(clock.now()).toISOString()
    const names = (await admin.list('v1/Pod', { namespace: SHOP })).items.map((pod) => pod.metadata!.name!)
    const items = names.map((name) => ({
      metadata: { name },
      timestamp,
      window: '30s',
      containers: [{ name: 'c', usage: { cpu: `${milli}m` } }],
    }))
    answers.set(`/apis/metrics.k8s.io/v1beta1/namespaces/${SHOP}/pods?labelSelector=app%3Dweb`, { items })
  }
  const create = () =>
    admin.create(KIND, {
      metadata: web,
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
        minReplicas: 1,
        maxReplicas: 10,
        metrics,
        ...more,
      },
    })
  const hpa = () => admin.get(KIND, web)
  const size = async () => (await admin.get(DEPLOYMENT, web)).spec?.replicas
  const events = async () =>
    (await admin.list('v1/Event', { namespace: SHOP })).items.filter(
      ({ involvedObject }) => involvedObject.kind === 'HorizontalPodAutoscaler',
    )
  return { ...cluster, answers, asked, cpuOf, create, hpa, size, events }
}

const cpu: MetricSpec = { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } }
const conditionsOf = ({ status }: HorizontalPodAutoscaler) =>
  status?.conditions?.map(({ type, status: is, reason }) => `${type}=${is} ${reason}`)

test('a Deployment follows the cpu use of its pods, up at once and down after five minutes', async (t) => {
  const { clock, cpuOf, create, hpa, size, events, problems } = await start(t, [cpu])
  await cpuOf(100)
  await create()
  await clock.advance(1000)
  assert.equal(await size(), 4)
  const { status } = await hpa()
  assert.deepEqual(status?.currentMetrics, [
    { type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 100, averageValue: '100m' } } },
  ])
  assert.deepEqual([status.currentReplicas, status.desiredReplicas], [2, 4])
  assert.deepEqual(conditionsOf(await hpa()), [
    'AbleToScale=True SucceededRescale',
    'ScalingActive=True ValidMetricFound',
    'ScalingLimited=False DesiredWithinRange',
  ])
  const rescaled = (await events()).map(({ reason, message, source }) => [reason, message, source?.component])
  assert.deepEqual(rescaled, [
    [
      'SuccessfulRescale',
      'New size: 4; reason: cpu resource utilization (percentage of request) above target',
      'horizontal-pod-autoscaler',
    ],
  ])

  await clock.advance(400_000)
  const before = await size()
  await cpuOf(10)
  await clock.advance(60_000)
  assert.equal(await size(), before)
  assert.ok(conditionsOf(await hpa())?.includes('AbleToScale=True ScaleDownStabilized'))
  await clock.advance(300_000)
  assert.ok((await size())! < before!)
  assert.deepEqual(problems, [])
})

test('without a metrics API it says so, and changes nothing', async (t) => {
  const { clock, create, hpa, size, events, problems } = await start(t, [cpu])
  await create()
  await clock.advance(1000)
  assert.equal(await size(), 2)
  const text =
    'failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: ' +
    'the server could not find the requested resource (get pods.metrics.k8s.io)'
  const active = (await hpa()).status?.conditions?.find(({ type }) => type === 'ScalingActive')
  assert.deepEqual(
    [active?.reason, active?.message],
    ['FailedGetResourceMetric', `the HPA was unable to compute the replica count: ${text}`],
  )
  const told = (await events()).map(({ reason, message }) => `${reason}: ${message}`)
  assert.deepEqual(told.toSorted(), [
    `FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: ${text}`,
    `FailedGetResourceMetric: ${text}`,
  ])
  assert.deepEqual(problems, [])
})

test('object, pods and external metrics; the highest wins', async (t) => {
  const target = { type: 'AverageValue', averageValue: '10' }
  const { clock, answers, create, hpa, size, problems } = await start(t, [
    { type: 'Pods', pods: { metric: { name: 'qps' }, target } },
    {
      type: 'Object',
      object: {
        describedObject: { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', name: 'main' },
        metric: { name: 'hits' },
        target: { type: 'Value', value: '100' },
      },
    },
    { type: 'External', external: { metric: { name: 'queue', selector: { matchLabels: { q: 'a' } } }, target } },
  ])
  const names = (await (await start(t, [])).admin.list('v1/Pod', { namespace: SHOP })).items
  assert.equal(names.length, 2)
  const timestamp = new Date(clock.now()).toISOString()
  const custom = '/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop'
  answers.set('/apis?', { groups: [{ name: 'custom.metrics.k8s.io', versions: [{ groupVersion: 'custom.metrics.k8s.io/v1beta2' }] }] })
  const value = (name: string, text: string) => ({ describedObject: { name }, timestamp, value: text })
  answers.set(`${custom}/pods/*/qps?labelSelector=app%3Dweb`, { items: names.map((pod) => value(pod.metadata!.name!, '11')) })
  answers.set(`${custom}/ingresses.networking.k8s.io/main/hits`, { items: [value('main', '150')] })
  answers.set('/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queue?labelSelector=q%3Da', {
    items: [{ value: '20' }, { value: '14' }],
  })
  await create()
  await clock.advance(1000)
  assert.equal(await size(), 4)
  const active = (await hpa()).status?.conditions?.find(({ type }) => type === 'ScalingActive')
  assert.equal(
    active?.message,
    'the HPA was able to successfully calculate a replica count from external metric queue(&LabelSelector{MatchLabels:map[string]string{q: a,},MatchExpressions:[]LabelSelectorRequirement{},})',
  )
  const current = (await hpa()).status?.currentMetrics?.map(
    (metric) => metric.pods?.current ?? metric.object?.current ?? metric.external?.current,
  )
  assert.deepEqual(current, [{ averageValue: '11' }, { value: '150' }, { averageValue: '17' }])
  assert.deepEqual(problems, [])
})

test('a target that is not there, one of size zero, and pods that two autoscalers scale', async (t) => {
  const { admin, clock, cpuOf, create, hpa, events, problems } = await start(t, [cpu])
  await cpuOf(50)
  const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'none' }
  await admin.create(KIND, { metadata: { namespace: SHOP, name: 'lost' }, spec: { scaleTargetRef, maxReplicas: 3 } })
  await clock.advance(1000)
  const lost = await admin.get(KIND, { namespace: SHOP, name: 'lost' })
  assert.equal(
    lost.status?.conditions?.[0]?.message,
    'the HPA controller was unable to get the target\'s current scale: deployments.apps "none" not found',
  )
  await create()
  const rival = { scaleTargetRef: { ...scaleTargetRef, name: 'web' }, maxReplicas: 3 }
  await admin.create(KIND, { metadata: { namespace: SHOP, name: 'rival' }, spec: rival })
  await clock.advance(20_000)
  const ambiguous = (await events()).find(({ reason }) => reason === 'AmbiguousSelector')
  assert.equal(ambiguous?.message, 'pods by selector app=web are controlled by multiple HPAs: [shop/rival shop/web]')
  await admin.delete(KIND, { namespace: SHOP, name: 'rival' })
  await admin.patch(DEPLOYMENT, web, 'merge', { spec: { replicas: 0 } })
  await clock.advance(20_000)
  assert.ok(conditionsOf(await hpa())?.includes('ScalingActive=False ScalingDisabled'))
  assert.deepEqual(problems, [])
})
