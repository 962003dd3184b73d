import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Container, Pod } from '../../api/generated/core/v1.ts'
import { emptyView } from '../cluster-view.ts'
import { extendedRequests } from './extended-resources.ts'

const view = { ...emptyView, classOfResource: () => ({ metadata: { name: 'gpu' }, spec: {} }) }
const asks = (name: string, gpus: string, more: Partial<Container> = {}): Container => ({
  name,
  resources: { requests: { cpu: '1', 'example.com/gpu': gpus } },
  ...more,
})

const cases: readonly { name: string; init?: Container[]; containers: Container[]; requests: string[]; mappings: string[] }[] = [
  {
    name: 'each container has its own',
    containers: [asks('a', '1'), asks('none', '0'), asks('b', '2')],
    requests: ['container-0-request-1=1', 'container-2-request-1=2'],
    mappings: ['a:container-0-request-1', 'b:container-2-request-1'],
  },
  {
    name: 'an init container uses what a later container gets',
    init: [asks('init', '1')],
    containers: [asks('main', '2')],
    requests: ['container-1-request-1=2'],
    mappings: ['main:container-1-request-1', 'init:container-1-request-1'],
  },
  {
    name: 'of init containers that need more the largest counts for all',
    init: [asks('small', '3'), asks('large', '5')],
    containers: [asks('main', '2')],
    requests: ['container-1-request-1=3', 'container-2-request-1=2'],
    mappings: [
      'main:container-2-request-1',
      'small:container-2-request-1',
      'small:container-1-request-1',
      'large:container-2-request-1',
      'large:container-1-request-1',
    ],
  },
  {
    name: 'a sidecar keeps its own, and only what starts later is shared',
    init: [asks('side', '1', { restartPolicy: 'Always' }), asks('init', '2')],
    containers: [asks('main', '1')],
    requests: ['container-0-request-1=1', 'container-1-request-1=1', 'container-2-request-1=1'],
    mappings: ['side:container-0-request-1', 'main:container-2-request-1', 'init:container-2-request-1', 'init:container-1-request-1'],
  },
]

for (const { name, init, containers, requests, mappings } of cases) {
  test(name, () => {
    const pod: Pod = { spec: { containers, ...(init ? { initContainers: init } : {}) } }
    const found = extendedRequests(pod, ['example.com/gpu'], view)
    assert.deepEqual(
      found.requests.map((request) => `${request.name}=${request.exactly?.count}`),
      requests,
    )
    assert.deepEqual(
      found.mappings.map(({ containerName, requestName }) => `${containerName}:${requestName}`),
      mappings,
    )
  })
}
