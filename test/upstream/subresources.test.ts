/** Pods' own subresources, tokens, events, reviews and service addresses, as upstream answers them. */
import { compare, type Scenario, type Step } from './compare.ts'
import { configMap, pod } from './objects.ts'

const post = (body: object, path: string, more: Partial<Step> = {}): Step => ({ method: 'POST', path, body, ...more })
const put = (body: object, path: string, more: Partial<Step> = {}): Step => ({ method: 'PUT', path, body, ...more })
const patch = (body: object, path: string, type = 'application/merge-patch+json'): Step => ({ method: 'PATCH', path, body, type })

const node = (name: string): object => ({ apiVersion: 'v1', kind: 'Node', name })
const pods = '{ns}/pods'

/** A pod that runs, as its node would tell. */
const running = (name: string, labels: object = { app: 'a' }): readonly Step[] => [
  post(pod(name, { nodeName: 'n' }, { labels }), pods),
  patch({ status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } }, `${pods}/${name}/status`),
]

const budget = (more: object, status: object): readonly Step[] => [
  post(
    { metadata: { name: 'b' }, spec: { selector: { matchLabels: { app: 'a' } }, ...more } },
    '/apis/policy/v1/namespaces/{name}/poddisruptionbudgets',
  ),
  patch({ status }, '/apis/policy/v1/namespaces/{name}/poddisruptionbudgets/b/status'),
]
const evict = (name: string, more: object = {}, query = ''): Step =>
  post({ metadata: { name }, ...more }, `${pods}/${name}/eviction${query}`)

/** Steps whose answers differ in these paths, all for one reason. */
const apart = (paths: readonly string[], steps: readonly Step[]): readonly Step[] =>
  steps.map((step) => ({ ...step, except: [...(step.except ?? []), ...paths] }))

const podScenarios: readonly Scenario[] = [
  {
    name: 'binding',
    steps: [
      post(pod('p'), pods),
      post({ target: {} }, `${pods}/p/binding`),
      post({ target: { kind: 'Pod', name: 'n' } }, `${pods}/p/binding`),
      post({ metadata: { name: 'other' }, target: node('n') }, `${pods}/p/binding`),
      post({ metadata: { name: 'p', uid: '11111111-1111-1111-1111-111111111111' }, target: node('n') }, `${pods}/p/binding`),
      post({ metadata: { name: 'p' }, target: node('n') }, `${pods}/p/binding?dryRun=All`),
      post({ metadata: { name: 'p', annotations: { a: 'b' } }, target: node('n') }, `${pods}/p/binding`),
      { path: `${pods}/p` },
      post({ metadata: { name: 'p' }, target: node('m') }, `${pods}/p/binding`),
      post({ metadata: { name: 'none' }, target: node('m') }, `${pods}/none/binding`),
      post(pod('q'), pods),
      post({ metadata: { name: 'q' }, target: node('n') }, '{ns}/bindings'),
      post(pod('gated', { schedulingGates: [{ name: 'a/b' }] }), pods),
      post({ metadata: { name: 'gated' }, target: node('n') }, `${pods}/gated/binding`),
      { method: 'DELETE', path: `${pods}/q` },
      post({ metadata: { name: 'q' }, target: node('n') }, `${pods}/q/binding`),
    ],
  },
  {
    name: 'eviction without a budget',
    steps: [
      post(pod('p'), pods),
      evict('p', {}, '?dryRun=All'),
      evict('p', { deleteOptions: { dryRun: ['All'] } }),
      evict('p', { deleteOptions: { preconditions: { uid: 'x' } } }),
      evict('p', { deleteOptions: { dryRun: ['x'] } }),
      post({ metadata: { name: 'other' } }, `${pods}/p/eviction`),
      post({ apiVersion: 'policy/v1beta1', kind: 'Eviction', metadata: { name: 'p' } }, `${pods}/p/eviction?dryRun=All`),
      post({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' } }, `${pods}/p/eviction`),
      evict('none'),
      evict('p'),
      { path: `${pods}/p` },
      { path: `${pods}/p/eviction` },
    ],
  },
  {
    name: 'eviction against a budget',
    steps: [
      ...running('p'),
      ...running('q'),
      ...budget(
        { minAvailable: 1 },
        { observedGeneration: 1, disruptionsAllowed: 1, currentHealthy: 2, desiredHealthy: 1, expectedPods: 2 },
      ),
      evict('p', {}, '?dryRun=All'),
      evict('p'),
      evict('q'),
      {
        path: '/apis/policy/v1/namespaces/{name}/poddisruptionbudgets/b',
        except: ['body.status.conditions', 'body.metadata.managedFields'],
      },
    ],
  },
  {
    name: 'eviction against a budget that is not up to date, and against two',
    steps: [
      ...running('p'),
      ...budget(
        { maxUnavailable: 0 },
        { observedGeneration: 0, disruptionsAllowed: 1, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 },
      ),
      evict('p'),
      post(
        { metadata: { name: 'c' }, spec: { selector: { matchLabels: { app: 'a' } }, minAvailable: 0 } },
        '/apis/policy/v1/namespaces/{name}/poddisruptionbudgets',
      ),
      evict('p'),
    ],
  },
  {
    name: 'ephemeral containers',
    steps: [
      post(pod('p'), pods),
      patch(
        { spec: { ephemeralContainers: [{ name: 'e', image: 'i' }] } },
        `${pods}/p/ephemeralcontainers`,
        'application/strategic-merge-patch+json',
      ),
      patch(
        { spec: { ephemeralContainers: [{ name: 'e', image: 'j' }] } },
        `${pods}/p/ephemeralcontainers`,
        'application/strategic-merge-patch+json',
      ),
      patch({ spec: { ephemeralContainers: [] } }, `${pods}/p/ephemeralcontainers`),
      patch(
        { spec: { ephemeralContainers: [{ name: 'main', image: 'i' }] } },
        `${pods}/p/ephemeralcontainers`,
        'application/strategic-merge-patch+json',
      ),
      patch(
        { spec: { ephemeralContainers: [{ name: 'f', image: 'i', targetContainerName: 'none' }] } },
        `${pods}/p/ephemeralcontainers`,
        'application/strategic-merge-patch+json',
      ),
      patch(
        { spec: { ephemeralContainers: [{ name: 'f', image: 'i', ports: [{ containerPort: 80 }] }] } },
        `${pods}/p/ephemeralcontainers`,
        'application/strategic-merge-patch+json',
      ),
      patch({ spec: { ephemeralContainers: [{ name: 'f', image: 'i' }] } }, `${pods}/p`, 'application/strategic-merge-patch+json'),
      { path: `${pods}/p/ephemeralcontainers` },
      { path: `${pods}/none/ephemeralcontainers` },
      post(pod('q', { ephemeralContainers: [{ name: 'e', image: 'i' }] }), pods),
    ],
  },
  {
    name: 'resize',
    // Upstream gives fields that a resize may not change to whoever asked for it, and then keeps them as they were.
    steps: apart(
      ['body.metadata.managedFields'],
      [
        post(
          pod('p', { containers: [{ name: 'main', image: 'i', resources: { requests: { cpu: '100m' }, limits: { cpu: '200m' } } }] }),
          pods,
        ),
        patch(
          { spec: { containers: [{ name: 'main', resources: { requests: { cpu: '150m' } } }] } },
          `${pods}/p/resize`,
          'application/strategic-merge-patch+json',
        ),
        patch(
          { spec: { containers: [{ name: 'main', resources: { requests: { cpu: '300m' } } }] } },
          `${pods}/p/resize`,
          'application/strategic-merge-patch+json',
        ),
        patch({ spec: { containers: [{ name: 'main', image: 'other' }] } }, `${pods}/p/resize`, 'application/strategic-merge-patch+json'),
        patch(
          { spec: { containers: [{ name: 'main', resources: { requests: { memory: '1Gi' } } }] } },
          `${pods}/p/resize`,
          'application/strategic-merge-patch+json',
        ),
        patch(
          { spec: { containers: [{ name: 'main', resources: { requests: { cpu: '170m' } } }] } },
          `${pods}/p`,
          'application/strategic-merge-patch+json',
        ),
        { path: `${pods}/p/resize` },
        { path: `${pods}/none/resize` },
      ],
    ),
  },
  {
    name: 'logs and streams of pods that run nowhere',
    steps: [
      post(pod('p'), pods),
      { path: `${pods}/p/log`, except: ['headers.content-type'] },
      { path: `${pods}/none/log` },
      { path: `${pods}/p/log?container=none` },
      { path: `${pods}/p/log?tailLines=-1` },
      { path: `${pods}/p/log?sinceSeconds=0` },
      { path: `${pods}/p/log?limitBytes=0` },
      { path: `${pods}/p/log?sinceSeconds=1&sinceTime=2020-01-01T00:00:00Z` },
      { path: `${pods}/p/log?tailLines=x` },
      post({}, `${pods}/p/exec?command=ls`),
      post({}, `${pods}/none/exec?command=ls`),
      post({}, `${pods}/p/attach`),
      post({}, `${pods}/p/portforward`),
    ],
  },
]

const tokenPath = '{ns}/serviceaccounts/default/token'
const others: readonly Scenario[] = [
  {
    name: 'tokens',
    steps: [
      post({ spec: {} }, tokenPath, { except: ['body.status.expirationTimestamp'] }),
      post({ spec: { audiences: ['x'], expirationSeconds: 600 } }, tokenPath),
      post({ spec: { expirationSeconds: 1 } }, tokenPath),
      post({ spec: { expirationSeconds: 2 ** 40 } }, tokenPath),
      post({ metadata: { name: 'other' }, spec: {} }, tokenPath),
      post({ metadata: { namespace: 'other' }, spec: {} }, tokenPath),
      post({ spec: {} }, '{ns}/serviceaccounts/none/token'),
      post({ spec: { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'none' } } }, tokenPath),
      post({ spec: { boundObjectRef: { kind: 'ConfigMap', apiVersion: 'v1', name: 'none' } } }, tokenPath),
      post(pod('p'), pods),
      post({ spec: { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'p' } } }, tokenPath),
      post({ spec: { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'p', uid: 'x' } } }, tokenPath),
      post({ spec: {} }, `${tokenPath}?dryRun=All`),
      { path: tokenPath },
    ],
  },
  {
    name: 'events in both groups',
    steps: [
      post(
        {
          metadata: { name: 'e' },
          involvedObject: { kind: 'Pod', name: 'p', namespace: '{name}' },
          reason: 'R',
          message: 'm',
          type: 'Normal',
        },
        '{ns}/events',
      ),
      { path: '/apis/events.k8s.io/v1/namespaces/{name}/events/e' },
      post(
        {
          metadata: { name: 'f' },
          eventTime: '2020-01-01T00:00:00.000000Z',
          reportingController: 'c/d',
          reportingInstance: 'i',
          action: 'A',
          reason: 'R',
          regarding: { kind: 'Pod', name: 'p', namespace: '{name}' },
          note: 'n',
          type: 'Warning',
        },
        '/apis/events.k8s.io/v1/namespaces/{name}/events',
      ),
      { path: '{ns}/events/f' },
      post({ metadata: { name: 'h' }, involvedObject: { namespace: 'other' } }, '{ns}/events'),
      { path: '{ns}/events' },
      { path: '/apis/events.k8s.io/v1/namespaces/{name}/events' },
      { path: '{ns}/events', accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
    ],
  },
  {
    name: 'component statuses',
    steps: [
      { path: '/api/v1/componentstatuses/none', except: ['body.message', 'body.details.kind'] },
      post({}, '/api/v1/componentstatuses'),
    ],
  },
  {
    name: 'reviews',
    steps: [
      post(
        { spec: { resourceAttributes: { verb: 'get', resource: 'pods', namespace: '{name}' }, user: 'bob' } },
        '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      ),
      post(
        { spec: { nonResourceAttributes: { verb: 'get', path: '/healthz' }, user: 'bob' } },
        '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      ),
      post({ spec: { user: 'bob' } }, '/apis/authorization.k8s.io/v1/subjectaccessreviews'),
      post(
        { spec: { resourceAttributes: {}, nonResourceAttributes: {}, user: 'bob' } },
        '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      ),
      post({ spec: { resourceAttributes: {} } }, '/apis/authorization.k8s.io/v1/subjectaccessreviews'),
      post({ spec: { resourceAttributes: { verb: 'get', resource: 'pods' } } }, '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'),
      post({ spec: {} }, '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'),
      post(
        { spec: { resourceAttributes: { verb: 'get', resource: 'pods', namespace: 'other' }, user: 'bob' } },
        '/apis/authorization.k8s.io/v1/namespaces/{name}/localsubjectaccessreviews',
      ),
      post({ spec: { token: 'nonsense' } }, '/apis/authentication.k8s.io/v1/tokenreviews'),
      post({ spec: {} }, '/apis/authentication.k8s.io/v1/tokenreviews'),
      post({}, '/apis/authentication.k8s.io/v1/selfsubjectreviews', { except: ['body.status.userInfo.extra'] }),
    ],
  },
  {
    name: 'addresses and ports of services',
    steps: [
      post({ metadata: { name: 'a' }, spec: { clusterIP: '10.96.77.7', ports: [{ port: 80 }] } }, '{ns}/services'),
      post({ metadata: { name: 'b' }, spec: { clusterIP: '10.96.77.7', ports: [{ port: 80 }] } }, '{ns}/services'),
      post({ metadata: { name: 'c' }, spec: { clusterIP: '192.168.1.1', ports: [{ port: 80 }] } }, '{ns}/services'),
      post({ metadata: { name: 'd' }, spec: { type: 'NodePort', ports: [{ port: 80, nodePort: 30999 }] } }, '{ns}/services'),
      post({ metadata: { name: 'e' }, spec: { type: 'NodePort', ports: [{ port: 80, nodePort: 30999 }] } }, '{ns}/services'),
      post({ metadata: { name: 'f' }, spec: { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] } }, '{ns}/services'),
      post({ metadata: { name: 'g' }, spec: { clusterIP: 'None', selector: { a: 'b' } } }, '{ns}/services'),
      { path: '/apis/networking.k8s.io/v1/ipaddresses/10.96.77.7', except: ['body.metadata.managedFields'] },
      { method: 'DELETE', path: '{ns}/services/a' },
      { path: '/apis/networking.k8s.io/v1/ipaddresses/10.96.77.7', except: ['body.metadata.managedFields'] },
      { method: 'DELETE', path: '{ns}/services/d' },
      { path: '{ns}/services/none/proxy/' },
    ],
  },
  {
    name: 'namespaces that go',
    steps: [
      post({ metadata: { name: 'x-{name}' } }, '/api/v1/namespaces'),
      post(configMap('a'), '/api/v1/namespaces/x-{name}/configmaps'),
      { method: 'DELETE', path: '/api/v1/namespaces/x-{name}' },
      { method: 'DELETE', path: '/api/v1/namespaces/x-{name}' },
      post(configMap('b'), '/api/v1/namespaces/x-{name}/configmaps'),
      put({ metadata: { name: 'x-{name}' }, spec: { finalizers: [] } }, '/api/v1/namespaces/x-{name}/finalize'),
      { path: '/api/v1/namespaces/x-{name}' },
      { method: 'DELETE', path: '/api/v1/namespaces/default' },
      { method: 'DELETE', path: '/api/v1/namespaces/kube-system' },
    ],
  },
]

compare('pods', podScenarios)
compare('other subresources', others)
