/** Names, types, labels and bounds of /metrics are upstream's: dashboards and alerts go by them. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseEndpoint } from '../upstream/endpoint.ts'
import { startLoneServer } from './api-server.ts'
import { ask, type Question } from './upstream/exchange.ts'

interface Family {
  readonly type: string
  /** Without the bounds of histograms. */
  readonly labels: string
  readonly bounds: string
}

/** What upstream's v1.36 server told after a few requests: a line a family, "name type {labels} bounds"; those of Go itself left out. */
const recorded = new Map(
  readFileSync(join(import.meta.dirname, 'testdata/upstream-metrics.txt'), 'utf8')
    .trim()
    .split('\n')
    .map((line): readonly [string, Family] => {
      const [name = '', type = '', labels = '', bounds = ''] = line.split(' ')
      return [name, { type, labels: labels.slice(1, -1), bounds }]
    }),
)

/** What a server alone and at rest does not tell, and why. Rows may only go. */
const LEFT_OUT: readonly (readonly [about: string, names: RegExp])[] = [
  ['controllers, which tell it in a cluster', /^workqueue_/],
  ['what did not happen', /^(aggregator_unavailable_apiservice|apiserver_flowcontrol_request_wait)/],
  [
    'another way of storing',
    /^(etcd_|grpc_client_|apiserver_storage_(size_bytes|data_key|envelope|list_)|apiserver_envelope|apiserver_storage_consistency)/,
  ],
  ['other workings', /^(aggregator_discovery_|rest_client_(exec|transport|request_size|response_size)|apiserver_cache_list_fetched)/],
  ['allocators', /^(kube_apiserver_(clusterip|nodeport)_allocator|apiserver_nodeport_repair)/],
  ['the metrics themselves', /^(registered|hidden|disabled)_metrics_total|cardinality_enforcement|kubernetes_feature_enabled/],
  ['what proa has not', /^(serviceaccount_|apiserver_(kube_aggregator|webhooks)_x509|apiserver_validation_|apiserver_selfrequest)/],
  [
    'finer measurements',
    /^apiserver_(audit_|cel_|client_certificate_|flowcontrol_(demand_seats|priority_level|read_vs_write|dispatch_r|latest_s|next_|request_queue_length)|impersonation_|requested_deprecated_apis|request_(filter|timestamp)|watch_cache_(consistent|read_wait)|watch_list_|admission_step_.*_summary)|^apiextensions_|^field_validation_|^pod_security_|^process_network_/,
  ],
]

const REQUESTS: readonly Question[] = [
  { method: 'POST', path: '/api/v1/namespaces/default/configmaps', body: { metadata: { name: 'a' } } },
  { path: '/api/v1/namespaces/default/configmaps/a' },
  { path: '/api/v1/configmaps' },
  { path: '/api/v1/configmaps?watch=1&timeoutSeconds=1' },
  { path: '/api/v1/configmaps', headers: { 'Impersonate-User': 'nobody' } },
  { method: 'DELETE', path: '/api/v1/namespaces/default/configmaps/a' },
]

test("what is told is told under upstream's names, with its labels and bounds", async (t) => {
  const server = await startLoneServer()
  t.after(server.stop)
  const endpoint = parseEndpoint(server.kubeconfig)
  const agent = new Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  for (const request of REQUESTS) await ask(endpoint, agent, request)
  const text = (await ask(endpoint, agent, { path: '/metrics' })).body.toString()
  const { families, series } = parse(text)
  assert.equal(new Set(series).size, series.length, `told twice: ${series.find((one, at) => series.indexOf(one) !== at)}`)
  const different = [...families].flatMap(([name, family]) => {
    const expected = recorded.get(name)
    if (!expected || JSON.stringify(expected) === JSON.stringify(family)) return []
    return `${name}\n  upstream: ${JSON.stringify(expected)}\n  proa:     ${JSON.stringify(family)}`
  })
  assert.deepEqual(different, [])
  const missing = [...recorded.keys()].filter((name) => !families.has(name))
  const unexplained = missing.filter((name) => !LEFT_OUT.some(([, names]) => names.test(name)))
  assert.deepEqual(unexplained, [], 'missing')
  for (const [about, names] of LEFT_OUT)
    assert.ok(
      missing.some((name) => names.test(name)),
      `nothing of ${about} is missing any more`,
    )
})

function parse(text: string): { readonly families: ReadonlyMap<string, Family>; readonly series: readonly string[] } {
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]))
  const families = new Map<string, Family>()
  const series: string[] = []
  for (const [, name = '', labels = ''] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    series.push(`${name}{${labels}}`)
    const base = types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '')
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', value = '']) => [label, value] as const)
    const bounds = new Set([
      ...(families.get(base)?.bounds.split(',') ?? []),
      ...pairs.flatMap(([label, value]) => (label === 'le' ? value : [])),
    ])
    bounds.delete('')
    families.set(base, {
      type: types.get(base) ?? '',
      labels: pairs.flatMap(([label]) => (label === 'le' ? [] : label)).join(','),
      bounds: [...bounds].join(','),
    })
  }
  return { families, series }
}
