/** Webhooks that are down, slow or answer nonsense, and conversions that go wrong, as upstream tells of them. */
import { createServer, type Server } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after } from 'node:test'
import { systemClock } from '../../src/base/system.ts'
import { temporaryPki } from '../../src/cluster/pki.ts'
import { compare, type Step } from './compare.ts'

interface Review {
  readonly apiVersion: string
  readonly kind: string
  readonly request: { readonly uid: string; readonly objects?: readonly object[] }
}
type Answer = (review: Review, response: ServerResponse) => unknown

const reviewed = ({ apiVersion, kind, request }: Review, more: object, envelope: object = {}): object => ({
  apiVersion,
  kind,
  response: { uid: request.uid, ...more },
  ...envelope,
})
const status =
  (code: number, text = ''): Answer =>
  (_review, response) =>
    void response.writeHead(code, { 'content-type': 'text/plain' }).end(text)
const said =
  (text: string): Answer =>
  (_review, response) =>
    void response.end(text)
const answer =
  (more: object, envelope: object = {}): Answer =>
  (review) =>
    reviewed(review, more, envelope)
const patched = (patch: string, more: object = {}): Answer => answer({ allowed: true, patchType: 'JSONPatch', patch, ...more })
const patchOf = (...operations: readonly object[]): Answer => patched(btoa(JSON.stringify(operations)))

const validating: Readonly<Record<string, Answer>> = {
  slow: () => undefined,
  empty: said(''),
  text: said('hello'),
  object: said('{}'),
  list: said('[]'),
  'status-404': status(404),
  'status-500': status(500, 'it broke'),
  'status-503': status(503),
  'status-418': status(418, 'teapot'),
  'status-302': status(302),
  'no-response': answer({}, { response: undefined }),
  'other-kind': answer({ allowed: true }, { kind: 'Pod' }),
  'other-version': answer({ allowed: true }, { apiVersion: 'admission.k8s.io/v1beta1' }),
  'other-group': answer({ allowed: true }, { apiVersion: 'v1' }),
  'other-uid': answer({ allowed: true, uid: 'x' }),
  'no-verdict': answer({}),
  denied: answer({ allowed: false }),
  'denied-message': answer({ allowed: false, status: { message: 'no way' } }),
  'denied-code': answer({ allowed: false, status: { code: 418, message: 'no coffee', reason: 'Teapot' } }),
  'denied-reason': answer({ allowed: false, status: { reason: 'Expired' } }),
  'denied-success': answer({ allowed: false, status: { status: 'Success', code: 200, message: 'fine' } }),
  'wrong-type': answer({ allowed: 'yes' }),
  patch: patched(btoa('[]')),
  warns: answer({ allowed: true, warnings: ['one', 'two', ''] }),
}

const mutating: Readonly<Record<string, Answer>> = {
  'no-type': answer({ allowed: true, patch: btoa('[]') }),
  'other-type': answer({ allowed: true, patch: btoa('[]'), patchType: 'Merge' }),
  'no-base64': patched('%%%'),
  'no-json': patched(btoa('{')),
  'no-list': patched(btoa('{}')),
  'no-operation': patchOf({ op: 'turn', path: '/data' }),
  missing: patchOf({ op: 'remove', path: '/data/none' }),
  test: patchOf({ op: 'test', path: '/data/a', value: 'x' }),
  'wrong-type': patchOf({ op: 'replace', path: '/data', value: 'x' }),
  'other-name': patchOf({ op: 'replace', path: '/metadata/name', value: 'other' }),
  'other-kind': patchOf({ op: 'replace', path: '/kind', value: 'Pod' }),
  invalid: patchOf({ op: 'add', path: '/data/b c', value: 'x' }),
  unknown: patchOf({ op: 'add', path: '/bogus', value: 'x' }),
}

const objectsOf = ({ request }: Review): readonly Record<string, unknown>[] => request.objects as readonly Record<string, unknown>[]
const converted =
  (change: (object: Record<string, unknown>) => unknown): Answer =>
  (review) => {
    const convertedObjects = objectsOf(review).map((object) => change({ ...object, apiVersion: wantedVersion(review) }))
    return reviewed(review, { convertedObjects, result: { status: 'Success' } })
  }
const wantedVersion = ({ request }: Review): string => (request as { readonly desiredAPIVersion?: string }).desiredAPIVersion ?? ''

const converting: Readonly<Record<string, Answer>> = {
  fine: converted((object) => object),
  slow: () => undefined,
  text: said('hello'),
  'status-500': status(500, 'it broke'),
  failed: answer({ result: { status: 'Failed', message: 'cannot' } }),
  'failed-silently': answer({ result: { status: 'Failed' } }),
  'no-result': answer({ convertedObjects: [] }),
  none: answer({ convertedObjects: [], result: { status: 'Success' } }),
  'other-uid': answer({ uid: 'x', convertedObjects: [], result: { status: 'Success' } }),
  // The way back to where it came from: a loop if anybody followed it.
  unchanged: (review) => reviewed(review, { convertedObjects: review.request.objects, result: { status: 'Success' } }),
  'other-kind': converted((object) => ({ ...object, kind: 'Other' })),
  'other-name': converted((object) => ({ ...object, metadata: { ...(object['metadata'] as object), name: 'other' } })),
  'other-labels': converted((object) => ({ ...object, metadata: { ...(object['metadata'] as object), labels: { a: 'b' } } })),
  'no-metadata': converted((object) => Object.fromEntries(Object.entries(object).filter(([key]) => key !== 'metadata'))),
}

const roads = { validating, mutating, converting } as const

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

async function serve(): Promise<{ readonly server: Server; readonly origin: string; readonly caBundle: string }> {
  const pki = await temporaryPki(systemClock, ['127.0.0.1', 'localhost'])
  const server = createServer({ key: pki.server.key, cert: pki.server.cert }, (request, response) => {
    const [, road, name] = (request.url ?? '').split('?')[0]!.split('/') as [string, keyof typeof roads, string]
    const respond = async (): Promise<void> => {
      const made = roads[road][name]!(JSON.parse(await read(request)) as Review, response)
      if (made !== undefined) response.setHeader('content-type', 'application/json').end(JSON.stringify(made))
    }
    respond().catch((error: unknown) => response.destroy(error as Error))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { server, origin: `https://127.0.0.1:${port}`, caBundle: btoa(pki.authority.cert) }
}

const { server, origin, caBundle } = await serve()
after(() => {
  server.closeAllConnections()
  server.close()
})

const ADMISSION = '/apis/admissionregistration.k8s.io/v1'

/** One hook a case, for the objects that name it. */
const hooks = (road: 'validating' | 'mutating', more: Readonly<Record<string, object>> = {}): object => ({
  metadata: { name: '{name}' },
  webhooks: [...Object.keys(roads[road]), ...Object.keys(more)].map((name) => ({
    name: `${name}.{name}.test`,
    clientConfig: { url: `${origin}/${road}/${name}`, caBundle, ...more[name] },
    rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }],
    objectSelector: { matchLabels: { case: name } },
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': '{name}' } },
    sideEffects: 'None',
    timeoutSeconds: 1,
    admissionReviewVersions: ['v1', 'v1beta1'],
  })),
})

/** Upstream takes a moment to learn of what was configured. */
const moment = (seconds: number): readonly Step[] =>
  Array.from({ length: seconds }, () => ({ path: '{ns}/configmaps?watch=1&timeoutSeconds=1', except: ['body'] }))
const labelled = (name: string): Step => ({
  method: 'POST',
  path: '{ns}/configmaps?fieldManager=test',
  body: { metadata: { name: `c-${name}`, labels: { case: name } }, data: { a: '1' } },
})
const unreachable = {
  down: { url: 'https://127.0.0.1:1/x' },
  nowhere: { url: undefined, service: { namespace: '{name}', name: 'none', path: '/x' } },
}

const plural = (name: string): string => `${name.replaceAll('-', '')}s`
const definition = (name: string): Step => ({
  method: 'POST',
  path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
  except: ['body'],
  body: {
    metadata: { name: `${plural(name)}.{name}.test` },
    spec: {
      group: '{name}.test',
      scope: 'Namespaced',
      names: { plural: plural(name), kind: `K${plural(name)}` },
      versions: ['v1', 'v2'].map((version) => ({
        name: version,
        served: true,
        storage: version === 'v1',
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      })),
      conversion: {
        strategy: 'Webhook',
        webhook: { clientConfig: { url: `${origin}/converting/${name}`, caBundle }, conversionReviewVersions: ['v1'] },
      },
    },
  },
})

function conversionsOf(name: string): readonly Step[] {
  const path = (version: string): string => `/apis/{name}.test/${version}/namespaces/{name}/${plural(name)}`
  const body = (version: string, own: string): object => ({
    apiVersion: `{name}.test/${version}`,
    kind: `K${plural(name)}`,
    metadata: { name: own },
    spec: { a: 1 },
  })
  // A conversion has thirty seconds: too long for a test to wait more than once.
  if (name === 'slow') return []
  return [
    { method: 'POST', path: path('v1'), body: body('v1', 'a') },
    { path: `${path('v2')}/a` },
    // Of what cannot be converted upstream has no cache, and so no list.
    ...(name === 'fine' || name === 'other-labels' ? [{ path: path('v2') }] : []),
    { method: 'POST', path: path('v2'), body: body('v2', 'b') },
  ]
}

compare('webhooks that go wrong', [
  {
    name: 'validating',
    steps: [
      { method: 'POST', path: `${ADMISSION}/validatingwebhookconfigurations`, body: hooks('validating', unreachable) },
      ...moment(2),
      ...[...Object.keys(validating), ...Object.keys(unreachable)].map(labelled),
    ],
  },
  {
    name: 'mutating',
    steps: [
      { method: 'POST', path: `${ADMISSION}/mutatingwebhookconfigurations`, body: hooks('mutating') },
      ...moment(2),
      ...Object.keys(mutating).map(labelled),
    ],
  },
  {
    name: 'converting',
    steps: [...Object.keys(converting).map(definition), ...moment(6), ...Object.keys(converting).flatMap(conversionsOf)],
  },
])
