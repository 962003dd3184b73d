/** Custom resources, as upstream answers for them. */
import { compare, type Scenario, type Step } from './compare.ts'

const GROUP = '{name}.test'
const odds = `/apis/${GROUP}/v1/namespaces/{name}/odds`

const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `odds.${GROUP}` },
  spec: {
    group: GROUP,
    scope: 'Namespaced',
    names: { plural: 'odds', kind: 'Odd', shortNames: ['od'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {}, scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' } },
        selectableFields: [{ jsonPath: '.spec.color' }],
        additionalPrinterColumns: [{ name: 'Size', type: 'integer', jsonPath: '.spec.size' }],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                required: ['size'],
                'x-kubernetes-validations': [{ rule: 'self.size < 8', message: 'too large' }],
                properties: {
                  size: { type: 'integer', minimum: 1 },
                  color: { type: 'string', enum: ['red', 'green'], default: 'red' },
                  replicas: { type: 'integer' },
                  items: {
                    type: 'array',
                    'x-kubernetes-list-type': 'map',
                    'x-kubernetes-list-map-keys': ['k'],
                    items: { type: 'object', required: ['k'], properties: { k: { type: 'string' }, v: { type: 'integer' } } },
                  },
                },
              },
              status: { type: 'object', properties: { replicas: { type: 'integer' } } },
            },
          },
        },
      },
    ],
  },
}

const odd = (name: string, spec: object = { size: 1 }, more: object = {}) => ({
  apiVersion: `${GROUP}/v1`,
  kind: 'Odd',
  metadata: { name },
  spec,
  ...more,
})
const post = (body: Step['body'] & {}, path = odds, more: Partial<Step> = {}): Step => ({ method: 'POST', path, body, ...more })
const put = (body: Step['body'] & {}, path = `${odds}/a`, more: Partial<Step> = {}): Step => ({ method: 'PUT', path, body, ...more })
const patch = (type: string, body: Step['body'] & {}, path = `${odds}/a`): Step => ({
  method: 'PATCH',
  path,
  body,
  type: `application/${type}`,
})
const get = (path: string, more: Partial<Step> = {}): Step => ({ path, ...more })

/** The definition, and a moment until it is served. */
const defined: readonly Step[] = [
  post(definition, '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', { except: ['body.status'] }),
  // Answers 404 until upstream's server has learnt of it.
  ...Array.from({ length: 3 }, () =>
    get(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dodds.${GROUP}`, {
      except: ['body'],
    }),
  ),
]

const scenarios: readonly Scenario[] = [
  {
    name: 'create, update, delete',
    steps: [
      ...defined,
      post(odd('a')),
      post(odd('a')),
      post(odd('b', { size: 0 })),
      post(odd('b', { size: 'x' })),
      post(odd('b', { size: 9 })),
      post(odd('b', { size: 1, color: 'blue' })),
      post(odd('b', {})),
      post(odd('Bad_')),
      post({ ...odd('b'), kind: 'Even' }),
      post({ ...odd('b'), apiVersion: `${GROUP}/v2` }, undefined, { except: ['headers.warning'] }),
      post({ ...odd('b'), apiVersion: 'v1' }),
      post({ metadata: { name: 'b' }, spec: { size: 1 } }),
      post(''),
      post('[]'),
      post('{'),
      post('x', undefined, { type: 'text/plain' }),
      post(odd('b', { size: 1, bogus: 1 }), `${odds}?fieldValidation=Strict`),
      post(odd('b', { size: 1, bogus: 1 }), `${odds}?dryRun=All`),
      post('{"metadata":{"name":"b"},"spec":{"size":1,"size":2}}', `${odds}?fieldValidation=Strict`),
      post(odd('c', { size: 1, items: [{ k: 'a' }, { k: 'a' }] })),
      post(odd('d', { size: 1 }, { status: { replicas: 3 } })),
      put(odd('a', { size: 2 })),
      (seen) => put({ ...seen[4]!.body, spec: { size: 3 } }),
      (seen) => put({ ...seen[4]!.body, spec: { size: 4 } }),
      put({ ...odd('a'), metadata: { name: 'a', resourceVersion: 'abc' } }),
      put(odd('none'), `${odds}/none`),
      get(`${odds}/a`),
      get(`${odds}/none`),
      get(`${odds}?fieldSelector=spec.color%3Dred`),
      get(`${odds}?fieldSelector=spec.size%3D1`),
      get(`${odds}?limit=1`),
      get(odds, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' }),
      get(odds, { accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io' }),
      get(odds, { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' }),
      get(odds, { accept: 'application/yaml' }),
      get(odds, { accept: 'application/vnd.kubernetes.protobuf' }),
      get(odds, { accept: 'text/plain' }),
      { method: 'DELETE', path: `${odds}/d` },
      { method: 'DELETE', path: `${odds}/none` },
      { method: 'DELETE', path: odds },
    ],
  },
  {
    name: 'patches and applies',
    steps: [
      ...defined,
      post(odd('a', { size: 1, replicas: 2, items: [{ k: 'x', v: 1 }] })),
      patch('merge-patch+json', { spec: { size: 2 } }),
      patch('merge-patch+json', { spec: { size: 'x' } }),
      patch('merge-patch+json', { spec: { bogus: 1 } }),
      patch('merge-patch+json', { spec: { bogus: 1 } }, `${odds}/a?fieldValidation=Strict`),
      patch('merge-patch+json', { kind: 'Even' }),
      patch('merge-patch+json', { metadata: { name: 'b' } }),
      patch('json-patch+json', [{ op: 'replace', path: '/spec/size', value: 3 }]),
      patch('json-patch+json', [{ op: 'test', path: '/spec/size', value: 4 }]),
      patch('strategic-merge-patch+json', { spec: { size: 2 } }),
      patch('json', { spec: { size: 2 } }),
      patch('apply-patch+yaml', odd('a', { size: 4, items: [{ k: 'y', v: 2 }] }), `${odds}/a?fieldManager=one`),
      patch('apply-patch+yaml', odd('a', { size: 3, items: [{ k: 'y', v: 2 }] }), `${odds}/a?fieldManager=one`),
      patch('apply-patch+yaml', odd('a', { size: 3, items: [{ k: 'y', v: 3 }] }), `${odds}/a?fieldManager=two`),
      patch('apply-patch+yaml', odd('a', { size: 'x' }), `${odds}/a?fieldManager=two&force=true`),
      patch('apply-patch+yaml', odd('a', { size: 3, bogus: 1 }), `${odds}/a?fieldManager=two&force=true`),
      patch('apply-patch+yaml', odd('new', { size: 3 }), `${odds}/new?fieldManager=two`),
      patch('merge-patch+json', { status: { replicas: 1 }, spec: { size: 7 } }, `${odds}/a/status`),
      get(`${odds}/a/scale`),
      put({ metadata: { name: 'a' }, spec: { replicas: 5 } }, `${odds}/a/scale`),
      patch('merge-patch+json', { spec: { replicas: 6 } }, `${odds}/a/scale`),
      put({ metadata: { name: 'a' }, spec: { replicas: -6 } }, `${odds}/a/scale`),
      get(`${odds}/a/bogus`),
      { method: 'PUT', path: odds, body: odd('a') },
      { method: 'DELETE', path: `${odds}/a/status` },
      // Upstream loses the owner of replicas that were scaled.
      get(`${odds}/a`, { except: ['body.metadata.managedFields'] }),
      get(`/apis/${GROUP}/v1`),
      get(`/apis/${GROUP}/v2/odds`),
      get(`/apis/${GROUP}/v1/evens`),
      get(`/apis/${GROUP}`),
    ],
  },
  {
    name: 'definitions that are refused',
    steps: [
      post({ ...definition, metadata: { name: 'wrong' } }, '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'),
      post({ ...definition, spec: { ...definition.spec, versions: [] } }, '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'),
      post({ ...definition, spec: { ...definition.spec, scope: 'Nowhere' } }, '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'),
    ],
  },
]

compare('custom resources', scenarios)
