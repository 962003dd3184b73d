import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from '../../cluster/cluster.ts'
import { planRules } from './plan.ts'

const KIND = 'rbac.authorization.k8s.io/v1/ClusterRole'
const role = (name: string, labels: Record<string, string>, resource: string) => ({
  metadata: { name, labels },
  rules: [{ verbs: ['get'], apiGroups: [''], resources: [resource] }],
})

test('rules come from the roles that match, by name, each once', () => {
  const made = { metadata: { name: 'all' }, aggregationRule: { clusterRoleSelectors: [{ matchLabels: { to: 'all' } }] }, rules: [] }
  const all = [
    role('b', { to: 'all' }, 'pods'),
    role('a', { to: 'all' }, 'nodes'),
    role('c', { to: 'all' }, 'pods'),
    role('d', {}, 'secrets'),
    made,
  ]
  const rules = planRules(made, all)
  assert.deepEqual(
    rules?.map((rule) => rule.resources?.[0]),
    ['nodes', 'pods'],
  )
  assert.equal(planRules({ ...made, rules }, all), rules)
})

test('what is added to admin is there', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const has = (resource: string) => (object: { readonly rules?: readonly { readonly resources?: readonly string[] }[] } | undefined) =>
    object?.rules?.some((rule) => rule.resources?.includes(resource)) ?? false
  const before = await cluster.until(KIND, { name: 'admin' }, has('pods'))
  assert.ok(!has('widgets')(before))
  await cluster.client.create(KIND, role('widgets', { 'rbac.authorization.k8s.io/aggregate-to-admin': 'true' }, 'widgets'))
  await cluster.until(KIND, { name: 'admin' }, has('widgets'))
  await cluster.client.delete(KIND, { name: 'widgets' })
  await cluster.until(KIND, { name: 'admin' }, (object) => has('pods')(object) && !has('widgets')(object))
})
