/** Server-side apply and managed fields, as upstream answers them. */
import { compare, type Scenario, type Step } from './compare.ts'
import { configMap, deployment } from './objects.ts'

const APPLY = 'application/apply-patch+yaml'

const apply = (
  manager: string,
  body: object | string,
  path = '{ns}/configmaps/a',
  more: Partial<Step> & { readonly query?: string } = {},
): Step => {
  const { query = '', ...rest } = more
  return { method: 'PATCH', path: `${path}?fieldManager=${manager}${query}`, type: APPLY, body, ...rest }
}
const config = (data: object, more: object = {}) => configMap('a', { data, ...more })
const post = (body: object, path = '{ns}/configmaps'): Step => ({ method: 'POST', path, body })
const merge = (body: object, path = '{ns}/configmaps/a'): Step => ({ method: 'PATCH', path, body, type: 'application/merge-patch+json' })

const container = (name: string, more: object = {}) => ({ name, image: 'i:1', ...more })
const applied = (containers: readonly object[], more: object = {}) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'd' },
  spec: {
    selector: { matchLabels: { app: 'a' } },
    template: { metadata: { labels: { app: 'a' } }, spec: { containers } },
    ...more,
  },
})

const scenarios: readonly Scenario[] = [
  {
    name: 'create, change, take back',
    steps: [
      apply('one', config({ a: '1', b: '2' })),
      apply('one', config({ a: '1', b: '2' })),
      apply('one', config({ a: '3' })),
      apply('two', config({ c: '1' })),
      apply('two', config({ a: '3' })),
      apply('one', config({})),
      apply('one', { apiVersion: 'v1', kind: 'ConfigMap' }),
      apply('one', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: '{name}' } }),
    ],
  },
  {
    name: 'conflicts',
    steps: [
      apply('one', config({ a: '1', b: '1' })),
      merge({ data: { b: '2' } }),
      apply('two', config({ a: '2', b: '3' })),
      apply('three', config({ b: '3' })),
      apply('two', config({ a: '2', b: '3' }), undefined, { query: '&force=true' }),
      apply('two', config({ a: '2' }), undefined, { query: '&force=maybe' }),
      apply('two', config({ a: '2' }), undefined, { query: '&force=false' }),
      apply('one', config({ a: '9' })),
      apply('one', config({ a: '9' }), undefined, { query: '&dryRun=All&force=true' }),
      { path: '{ns}/configmaps/a' },
    ],
  },
  {
    name: 'what is refused',
    steps: [
      { method: 'PATCH', path: '{ns}/configmaps/a', type: APPLY, body: config({}) },
      apply('', config({})),
      apply('m'.repeat(129), config({})),
      apply('%01', config({})),
      apply('one', ''),
      apply('one', 'null'),
      apply('one', '[]'),
      apply('one', 'text'),
      apply('one', '1'),
      apply('one', '{}'),
      apply('one', { metadata: { name: 'a' } }),
      apply('one', { apiVersion: 'v1', metadata: { name: 'a' } }),
      apply('one', { kind: 'ConfigMap', metadata: { name: 'a' } }),
      apply('one', { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' } }),
      apply('one', { apiVersion: 'v2', kind: 'ConfigMap', metadata: { name: 'a' } }),
      apply('one', configMap('b')),
      apply('one', configMap('a', { metadata: { name: 'a', namespace: 'other' } })),
      apply('one', configMap('a', { metadata: { name: 'a', managedFields: [{ manager: 'x' }] } })),
      apply('one', configMap('a', { metadata: { name: 'a', managedFields: [] } })),
      apply('one', configMap('a', { metadata: { name: 'a', uid: '11111111-1111-1111-1111-111111111111' } })),
      apply('one', configMap('a', { metadata: { name: 'a', resourceVersion: '1' } })),
      apply('one', config({ a: 1 })),
      apply('one', config({ a: '1' }, { bogus: 1 })),
      apply('one', config({ a: '1' }, { bogus: 1 }), undefined, { query: '&fieldValidation=Ignore' }),
      apply('one', 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: b}\ndata: {c: d}\n', undefined, {
        query: '&fieldValidation=Strict',
      }),
      apply('one', 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: b}\ndata: {c: d}\n'),
      apply('one', configMap('Bad_', {}), '{ns}/configmaps/Bad_'),
      apply('one', config({ 'x/y': '1' })),
      post(configMap('x')),
      apply('one', configMap('x', { metadata: { name: 'x', uid: '11111111-1111-1111-1111-111111111111' } }), '{ns}/configmaps/x'),
      apply('one', configMap('x', { metadata: { name: 'x', resourceVersion: '1' } }), '{ns}/configmaps/x'),
    ],
  },
  {
    name: 'lists and maps',
    steps: [
      apply('one', applied([container('a', { ports: [{ containerPort: 80 }] }), container('b')], { replicas: 2 }), '{apps}/deployments/d'),
      apply('two', applied([container('b', { env: [{ name: 'A', value: '1' }] })], {}), '{apps}/deployments/d'),
      apply('two', applied([container('c')], { replicas: 3 }), '{apps}/deployments/d'),
      apply('one', applied([container('b')]), '{apps}/deployments/d'),
      apply('three', applied([{ image: 'x' }]), '{apps}/deployments/d'),
      apply('three', applied([container('a'), container('a')]), '{apps}/deployments/d'),
      apply('three', applied([], {}), '{apps}/deployments/d'),
      apply('two', applied([container('c', { command: ['x'] })]), '{apps}/deployments/d'),
      apply('three', applied([container('c', { command: ['y'] })]), '{apps}/deployments/d'),
      apply('four', { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd', finalizers: ['a/b'] } }, '{apps}/deployments/d'),
      apply('five', { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd', finalizers: ['c/d'] } }, '{apps}/deployments/d'),
      apply('four', { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' } }, '{apps}/deployments/d'),
    ],
  },
  {
    name: 'status and scale',
    steps: [
      post(deployment('d', { replicas: 1 }), '{apps}/deployments'),
      apply(
        'status',
        { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, status: { replicas: 3 }, spec: { replicas: 9 } },
        '{apps}/deployments/d/status',
      ),
      apply(
        'scaler',
        { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'd' }, spec: { replicas: 4 } },
        '{apps}/deployments/d/scale',
      ),
      apply(
        'scaler',
        { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'd' }, spec: { replicas: 4 } },
        '{apps}/deployments/d/scale',
        { query: '&force=true' },
      ),
      apply('one', { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, spec: { replicas: 5 } }, '{apps}/deployments/d'),
      apply('status', { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'none' } }, '{apps}/deployments/none/status'),
      { path: '{apps}/deployments/d' },
    ],
  },
  {
    name: 'from client-side apply',
    steps: [
      {
        method: 'POST',
        path: '{ns}/configmaps?fieldManager=kubectl-client-side-apply',
        body: config(
          { a: '1', b: '2' },
          {
            metadata: {
              name: 'a',
              annotations: {
                'kubectl.kubernetes.io/last-applied-configuration':
                  '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"1","b":"2"}}\n',
              },
            },
          },
        ),
      },
      apply('kubectl', config({ a: '2' })),
      apply('other', config({ a: '3' })),
      apply('kubectl', config({ a: '4' })),
    ],
  },
  {
    name: 'owners that are sent along',
    steps: [
      post(config({ a: '1' })),
      merge({ metadata: { managedFields: [{}] } }),
      merge({ data: { b: '1' } }),
      apply('one', config({ a: '1', c: '1' })),
      apply('one', config({ a: '2', c: '1' })),
      merge({ metadata: { managedFields: [] } }),
      merge({
        metadata: { managedFields: [{ manager: 'x', operation: 'Bogus', apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1: {} }] },
      }),
      merge({
        metadata: {
          managedFields: [
            {
              manager: 'x',
              operation: 'Update',
              apiVersion: 'v1',
              time: '2020-01-01T00:00:00Z',
              fieldsType: 'FieldsV1',
              fieldsV1: { 'f:data': { 'f:b': {} } },
            },
          ],
        },
      }),
      merge({
        metadata: {
          managedFields: [{ manager: 'x'.repeat(200), operation: 'Update', apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1: {} }],
        },
      }),
      post(configMap('b', { metadata: { name: 'b', managedFields: [{ manager: 'x', operation: 'Update', apiVersion: 'v1' }] } })),
    ],
  },
  {
    name: 'a cap on owners',
    steps: [
      post(configMap('a')),
      ...Array.from({ length: 12 }, (_, index): Step => ({
        ...merge({ data: { [`k${index}`]: '1' } }),
        path: `{ns}/configmaps/a?fieldManager=m${index}`,
      })),
    ],
  },
]

compare('server-side apply', scenarios)
