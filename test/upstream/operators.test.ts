/** Definitions that well-known operators publish, and samples of their kinds, as upstream serves them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import type { CustomResourceDefinition } from '../../src/api/generated/apiextensions/v1.ts'
import { definitionOwners, definitionsOf } from '../../upstream/programs.ts'
import { compare, type Scenario, type Step } from './compare.ts'

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

/** By kind: what is accepted, and what is not for one reason, as upstream tells several in no order. */
const samples: Readonly<Record<string, readonly object[]>> = {
  Certificate: [
    { secretName: 's', issuerRef: { name: 'i' }, dnsNames: ['a.test'], duration: '2160h' },
    { secretName: 's' },
    { secretName: 's', issuerRef: { name: 'i' }, privateKey: { algorithm: 'DES' }, bogus: 1 },
  ],
  CertificateRequest: [
    { request: 'YQ==', issuerRef: { name: 'i' } },
    { request: 1, issuerRef: { name: 'i' } },
  ],
  Issuer: [
    { selfSigned: {} },
    { ca: {} },
    { acme: { server: 'x', privateKeySecretRef: { name: 'k' }, solvers: [{ http01: { ingress: {} } }] } },
  ],
  ClusterIssuer: [{ selfSigned: {} }, { vault: { path: 'p' } }],
  Challenge: [{}, { type: 'HTTP-02' }],
  Order: [{ request: 'YQ==', issuerRef: { name: 'i' } }, { request: 'YQ==' }],
  ServiceMonitor: [
    { selector: {}, endpoints: [{ port: 'web', interval: '30s' }] },
    { selector: {}, endpoints: [{ interval: '30 seconds' }] },
  ],
  PodMonitor: [
    { selector: { matchLabels: { a: 'b' } }, podMetricsEndpoints: [{ portNumber: 80 }] },
    { selector: {}, podMetricsEndpoints: [{ portNumber: 0 }] },
  ],
  Prometheus: [{ replicas: 2, resources: { requests: { memory: '400Mi' } } }, { logLevel: 'loud' }],
  PrometheusRule: [{ groups: [{ name: 'g', rules: [{ alert: 'A', expr: 'up == 0', for: '5m' }] }] }, { groups: [{ rules: [{}] }] }],
  Alertmanager: [{ replicas: 1 }, { retention: '5 days' }],
  AlertmanagerConfig: [{ receivers: [{ name: 'r' }], route: { receiver: 'r' } }, { receivers: [{}] }],
  Probe: [{ prober: { url: 'p' }, targets: { staticConfig: { static: ['a'] } } }, { prober: {} }],
  ScrapeConfig: [{ staticConfigs: [{ targets: ['a:1'] }] }, { staticConfigs: [{ targets: [] }] }],
  ThanosRuler: [{ queryEndpoints: ['q'] }, { evaluationInterval: 'x' }],
  PrometheusAgent: [{ replicas: 1 }, { shards: 'x' }],
}

interface Published {
  readonly definition: CustomResourceDefinition
  readonly named: string
  readonly path: string
}

function read(file: string): Published {
  const definition = parse(readFileSync(file, 'utf8')) as CustomResourceDefinition
  const { group, names, scope, versions } = definition.spec
  const { name } = versions.find(({ storage }) => storage)!
  const path = `/apis/${group}/${name}/${scope === 'Namespaced' ? 'namespaces/{name}/' : ''}${names.plural}`
  return { definition, named: `${DEFINITIONS}/${names.plural}.${group}`, path }
}

function objectsOf({ definition, path }: Published): readonly Step[] {
  const { group, names, versions } = definition.spec
  const { name } = versions.find(({ storage }) => storage)!
  return (samples[names.kind] ?? []).flatMap((spec, index): Step[] => {
    const body = { apiVersion: `${group}/${name}`, kind: names.kind, metadata: { name: `a${index}` }, spec }
    return [
      { method: 'POST', path, body },
      { method: 'POST', path: `${path}?fieldValidation=Strict&dryRun=All`, body },
    ]
  })
}

/** All definitions first, so that they are waited for together; upstream tells a while later that it serves them. */
function scenarioOf(published: readonly Published[]): Scenario {
  const groups = new Set(published.map(({ definition }) => definition.spec.group))
  const served = new Set(published.map(({ path }) => /^\/apis\/[^/]+\/[^/]+/.exec(path)![0]))
  return {
    name: 'are taken, served and published, and their kinds judged alike',
    steps: [
      ...published.map(({ definition }): Step => ({ method: 'POST', path: DEFINITIONS, body: definition, except: ['body.status'] })),
      ...Array.from({ length: 4 }, () => ({ path: `${DEFINITIONS}?watch=1&timeoutSeconds=1`, except: ['body'] })),
      // Upstream says who wrote the status.
      ...published.map(({ named }): Step => ({ path: named, except: ['body.metadata.managedFields'] })),
      ...Array.from(groups, (group): Step => ({ path: `/apis/${group}` })),
      ...Array.from(served, (path): Step => ({ path: `/openapi/v3${path}`, except: OPERATIONS })),
      ...published.flatMap(objectsOf),
      ...published.flatMap(({ path }): Step[] => [{ path }, { path, accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' }]),
      ...published.flatMap(({ path, named }): Step[] => [
        { method: 'DELETE', path },
        { method: 'DELETE', path: named, except: ['body.status', 'body.metadata.managedFields'] },
      ]),
    ],
  }
}

/** What the server itself is told of: each in its own words. The kinds' schemas are compared whole. */
const OPERATIONS = ['headers', 'body.info', 'body.paths', 'body.components.securitySchemes', 'body.components.schemas.io.k8s']

for (const owner of definitionOwners) {
  const folder = definitionsOf(owner, false)
  if (folder === undefined) {
    test(`the definitions of ${owner}`, { skip: 'their module was not downloaded (npm run operators)' }, () => {})
    continue
  }
  const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'))
  compare(`the definitions of ${owner}`, [scenarioOf(files.map((file) => read(join(folder, file))))])
}
