import { compare } from './compare.ts'

const cm = (name: string, more: object = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, ...more })

compare('objects', [
  {
    name: 'create, get, conflict',
    steps: [
      { method: 'POST', path: '{ns}/configmaps', body: cm('a', { data: { a: '1' } }) },
      { path: '{ns}/configmaps/a' },
      { path: '{ns}/configmaps/none' },
      { method: 'POST', path: '{ns}/configmaps', body: cm('a') },
      (seen) => ({ method: 'PUT', path: '{ns}/configmaps/a', body: { ...seen[0]!.body, data: { a: '2' } } }),
      (seen) => ({ method: 'PUT', path: '{ns}/configmaps/a', body: { ...seen[0]!.body, data: { a: '3' } } }),
      { method: 'DELETE', path: '{ns}/configmaps/a' },
    ],
  },
])
