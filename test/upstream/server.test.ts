/** What an API server tells of itself, and how it speaks: media types, discovery, OpenAPI, health, metrics, unknown paths. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compare, type Scenario, type Step } from './compare.ts'
import { configMap, deployment } from './objects.ts'
import { noUpstream, startServers, type Server } from './servers.ts'

const post = (body: Step['body'] & {}, path = '{ns}/configmaps', more: Partial<Step> = {}): Step => ({
  method: 'POST',
  path,
  body,
  ...more,
})

const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io'
const PARTIAL = 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io'
const PARTIAL_LIST = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io'
const PROTOBUF = 'application/vnd.kubernetes.protobuf'

/** The paths, each asked with each of these Accept headers. */
const asked = (paths: readonly string[], accepts: readonly string[]): readonly Step[] =>
  accepts.flatMap((accept) => paths.map((path) => ({ path, accept })))

const media: readonly Scenario[] = [
  {
    name: 'encodings of an object and a list',
    steps: [
      post(configMap('a', { data: { a: '1' } })),
      ...asked(
        ['{ns}/configmaps/a', '{ns}/configmaps', '{ns}/configmaps/none'],
        [
          '*/*',
          'application/json',
          'application/*',
          'application/yaml',
          PROTOBUF,
          `application/yaml, ${PROTOBUF};q=0.9`,
          'application/cbor',
          'application/cbor, application/json;q=0.5',
          'text/plain',
          'text/html, */*;q=0.1',
          'application/json;pretty=1',
          'application/json;charset=utf-8',
          'application/json;q=0',
          '',
          'nonsense',
        ],
      ),
    ],
  },
  {
    name: 'Tables and metadata',
    steps: [
      post(configMap('a', { data: { a: '1' } })),
      post(deployment('d'), '{apps}/deployments'),
      ...asked(
        ['{ns}/configmaps/a', '{ns}/configmaps', '{apps}/deployments', '{ns}/configmaps/none'],
        [
          TABLE,
          PARTIAL,
          PARTIAL_LIST,
          'application/json;as=Table;v=v1beta1;g=meta.k8s.io',
          'application/json;as=Table;v=v2;g=meta.k8s.io',
          'application/json;as=Table;v=v1;g=other',
          'application/json;as=Bogus;v=v1;g=meta.k8s.io',
          `${TABLE}, application/json`,
          `application/json;as=Bogus;v=v1;g=meta.k8s.io, application/json`,
          'application/yaml;as=Table;v=v1;g=meta.k8s.io',
          `${PROTOBUF};as=PartialObjectMetadata;v=v1;g=meta.k8s.io`,
          `${PROTOBUF};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io`,
        ],
      ),
      { path: '{ns}/configmaps?includeObject=None', accept: TABLE },
      { path: '{ns}/configmaps?includeObject=Object', accept: TABLE },
      { path: '{ns}/configmaps?includeObject=Bogus', accept: TABLE },
      { path: '{ns}/configmaps?noHeaders=true', accept: TABLE },
      post(configMap('b'), '{ns}/configmaps', { accept: TABLE }),
      post(configMap('c'), '{ns}/configmaps', { accept: PARTIAL }),
      { method: 'DELETE', path: '{ns}/configmaps/b', accept: TABLE },
      { method: 'DELETE', path: '{ns}/configmaps/c', accept: PARTIAL },
      { method: 'DELETE', path: '{ns}/configmaps', accept: PARTIAL_LIST },
    ],
  },
  {
    name: 'gzip',
    steps: [
      post(configMap('a', { data: { a: 'x'.repeat(300_000) } })),
      { path: '{ns}/configmaps/a', headers: { 'Accept-Encoding': 'gzip' } },
      { path: '{ns}/configmaps/none', headers: { 'Accept-Encoding': 'gzip' } },
      { path: '{ns}/configmaps/a', headers: { 'Accept-Encoding': 'deflate' } },
    ],
  },
  {
    name: 'HEAD and OPTIONS',
    steps: [
      post(configMap('a')),
      { method: 'HEAD', path: '{ns}/configmaps/a' },
      { method: 'OPTIONS', path: '{ns}/configmaps/a' },
      { method: 'HEAD', path: '/version' },
    ],
  },
]

const paths: readonly Scenario[] = [
  {
    name: 'paths that are none',
    steps: [
      '/bogus',
      '/api/v2',
      '/api/v1/bogus',
      '/api/v1/namespaces/default/bogus',
      '/api/v1/namespaces/default/bogus/a',
      '/apis/bogus',
      '/apis/bogus/v1',
      '/apis/bogus/v1/things',
      '/apis/apps/v2',
      '/apis/apps/v2/deployments',
      '/apis/apps/v1/bogus',
      '/api/v1/namespaces/default/configmaps/a/b/c',
      '/api/v1/nodes/x/bogus',
      '/api/v1/namespaces/default/nodes',
      '/apis/apps/v1/deployments/d',
      '/api/v1/namespaces/default/pods/../configmaps',
      '/api/v1/namespaces/default/configmaps/a%2Fb',
    ].map((path) => ({ path })),
  },
  {
    name: 'methods that are not allowed',
    steps: [
      { method: 'POST', path: '/api/v1/nodes/x', body: {} },
      { method: 'PUT', path: '/api/v1/nodes', body: {} },
      { method: 'PATCH', path: '/api/v1/nodes', body: {}, type: 'application/merge-patch+json' },
      { method: 'DELETE', path: '/version' },
      { method: 'POST', path: '/version', body: {} },
      { method: 'POST', path: '/api', body: {} },
      { method: 'POST', path: '/apis/apps/v1', body: {} },
      { method: 'POST', path: '/healthz', body: {} },
      { method: 'PUT', path: '{ns}/pods/p/log', body: {} },
      { method: 'DELETE', path: '{ns}/pods/p/binding' },
      { method: 'GET', path: '{ns}/pods/p/binding' },
      { method: 'GET', path: '{ns}/bindings' },
      { method: 'GET', path: '/apis/authorization.k8s.io/v1/subjectaccessreviews' },
      { method: 'GET', path: '/apis/authentication.k8s.io/v1/tokenreviews' },
    ],
  },
]

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'

/** Groups of which upstream still stores something in a beta version, for a server of the release before; proa stores v1. */
const STORED_AS_BETA: readonly string[] = ['admissionregistration.k8s.io', 'apiextensions.k8s.io']
const HASHES = [0, 1].map((index) => `body.resources[${index}].storageVersionHash`)

/** Upstream chooses by chance what stands between names and values. */
const textOf = (accept: string): readonly string[] => (/text|^$|^\*/.test(accept) ? ['body'] : [])

const itself: readonly Scenario[] = [
  {
    name: 'discovery',
    steps: [
      { path: '/api', except: ['body.serverAddressByClientCIDRs'] },
      { path: '/api/', except: ['body.serverAddressByClientCIDRs'] },
      { path: '/api/v1' },
      { path: '/api/v1/' },
      ...[
        'admissionregistration.k8s.io',
        'apiextensions.k8s.io',
        'apiregistration.k8s.io',
        'apps',
        'authentication.k8s.io',
        'authorization.k8s.io',
        'autoscaling',
        'batch',
        'certificates.k8s.io',
        'coordination.k8s.io',
        'discovery.k8s.io',
        'events.k8s.io',
        'flowcontrol.apiserver.k8s.io',
        'networking.k8s.io',
        'node.k8s.io',
        'policy',
        'rbac.authorization.k8s.io',
        'resource.k8s.io',
        'scheduling.k8s.io',
        'storage.k8s.io',
      ].map((group) => ({ path: `/apis/${group}/v1`, except: STORED_AS_BETA.includes(group) ? HASHES : [] })),
      ...['apps', 'batch', 'autoscaling', 'policy'].map((group) => ({ path: `/apis/${group}` })),
      { path: '/apis/autoscaling/v2' },
    ],
  },
  {
    name: 'aggregated discovery',
    steps: [
      ...['/api', '/apis'].flatMap((path) =>
        [
          AGGREGATED,
          `${AGGREGATED},application/json`,
          `application/json;q=0.5, ${AGGREGATED}`,
          `application/json, ${AGGREGATED}`,
          AGGREGATED.replace('v2', 'v2beta1'),
          `${AGGREGATED.replace('v2', 'v2beta1')},application/json`,
        ].map((accept): Step => ({ path, accept, except: ['body.items', 'body.groups', 'body.serverAddressByClientCIDRs'] })),
      ),
      (seen) => ({
        path: '/api',
        accept: AGGREGATED,
        headers: { 'If-None-Match': String(seen[0]!.headers['etag']) },
        except: ['headers.content-type'],
      }),
    ],
  },
  {
    name: 'version and health',
    steps: [
      // Each is a version of its own.
      {
        path: '/version',
        except: ['body.gitVersion', 'body.gitCommit', 'body.buildDate', 'body.goVersion', 'body.compiler'],
      },
      ...['/healthz', '/livez', '/readyz'].flatMap((path) =>
        ['', '/ping', '/etcd', '/bogus', '?exclude=etcd'].map((more) => ({ path: path + more })),
      ),
    ],
  },
  {
    name: 'the index',
    steps: ['/', '/index.html'].map((path) => ({ path, except: ['body.paths'] })),
  },
  {
    name: 'status and flags',
    steps: [
      '',
      'text/plain',
      '*/*',
      'application/json',
      'application/yaml, text/plain',
      'text/*',
      ...['v1beta1', 'v1alpha1', 'v1'].map((version) => `application/json;v=${version};g=config.k8s.io;as=Statusz`),
      'application/yaml;v=v1beta1;g=config.k8s.io;as=Statusz',
      'application/json;v=v1beta1;g=config.k8s.io;as=Flagz',
    ].flatMap((accept) => [
      {
        path: '/statusz',
        accept,
        except: ['body[0]', 'body.uptimeSeconds', 'body.startTime', 'body.goVersion', 'body.binaryVersion', ...textOf(accept)],
      },
      { path: '/flagz', accept, except: ['body.flags', ...textOf(accept)] },
    ]),
  },
  {
    name: 'debugging',
    steps: [
      '/debug',
      '/debug/',
      '/debug/pprof',
      '/debug/pprof/bogus',
      '/debug/pprof/cmdline',
      '/debug/pprof/heap?seconds=x',
      '/debug/flags',
      '/debug/flags/',
      '/debug/flags/v',
      '/debug/api_priority_and_fairness/dump_bogus',
    ]
      .map((path): Step => ({ path }))
      .concat([
        { path: '/debug/pprof/', except: ['body'] },
        { path: '/debug/pprof/heap?seconds=1', accept: 'application/octet-stream', except: ['body', 'headers.content-disposition'] },
        { path: '/debug/pprof/profile?seconds=1', except: ['body'] },
        { method: 'PUT', path: '/debug/flags/v', body: '2' },
        { method: 'PUT', path: '/debug/flags/v', body: 'much' },
        ...['/debug/pprof/', '/debug/pprof/heap', '/debug/flags/v', '/statusz', '/flagz', '/metrics', '/'].map((path): Step => ({
          path,
          headers: { 'Impersonate-User': 'nobody' },
        })),
      ]),
  },
  {
    name: 'OpenAPI',
    steps: [
      { path: '/openapi' },
      { path: '/openapi/v3/api/v1', accept: 'text/plain', except: ['headers', 'body'] },
      { path: '/openapi/v3/bogus', except: ['headers', 'body'] },
    ],
  },
]

compare('media types', media)
compare('paths', paths)
compare('the server itself', itself)

/** By these dashboards and alerts go (kubernetes-mixin). */
const METRICS = [
  'apiserver_request_total',
  'apiserver_request_duration_seconds',
  'apiserver_request_sli_duration_seconds',
  'apiserver_current_inflight_requests',
  'apiserver_longrunning_requests',
  'apiserver_storage_objects',
  'apiserver_resource_objects',
  'kubernetes_build_info',
  'process_resident_memory_bytes',
  'process_cpu_seconds_total',
  'process_start_time_seconds',
]

test('metrics have the names, types and labels that dashboards read', { skip: noUpstream() }, async () => {
  const { upstream, proa } = await startServers()
  const read = async (server: Server) => (await server.ask({ path: '/metrics', accept: '*/*' })).body.toString()
  const [expected, got] = [await read(upstream), await read(proa)]
  const type = (text: string, name: string) => new RegExp(`^# TYPE ${name} (\\w+)$`, 'm').exec(text)?.[1]
  for (const name of METRICS) assert.equal(type(got, name), type(expected, name), name)
  const labels = (text: string) => /^apiserver_request_total\{(.*configmaps.*)\}/m.exec(text)?.[1]?.replaceAll(/="[^"]*"/g, '')
  assert.equal(labels(got), labels(expected))
})

test('flow control shows its levels, queues and requests in the columns of upstream', { skip: noUpstream() }, async () => {
  const { upstream, proa } = await startServers()
  for (const dump of ['dump_priority_levels', 'dump_queues', 'dump_requests', 'dump_requests?includeRequestDetails=1']) {
    const read = async (server: Server) => (await server.ask({ path: `/debug/api_priority_and_fairness/${dump}` })).body.toString()
    const [expected, got] = [await read(upstream), await read(proa)]
    const columns = (text: string) => text.split('\n', 1)[0]!.split(/, +/)
    assert.deepEqual(columns(got), columns(expected), dump)
    // Levels and queues are the same ones, in an order that upstream leaves to chance.
    const rows = (text: string) =>
      text
        .split('\n')
        .slice(1)
        .map((line) =>
          line
            .split(/, +/)
            .slice(0, dump === 'dump_queues' ? 2 : 1)
            .join(),
        )
        .toSorted()
    assert.deepEqual(rows(got), rows(expected), dump)
  }
})
